"""Charts as inline SVG and HTML: no script, no file beside them, no library.

Widths are percentages and heights are pixels. The tempting ``viewBox`` that scales the whole drawing would
shrink its letters on a phone as well; here only shapes give way and text keeps its size.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

# A file name may hold any byte but NUL and "/": lone surrogates cannot be written as UTF-8, and the bidirectional
# marks make "gpj.py" read as something else.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_TEXT = 400
_PLOT = 180
_TOP = 22
_LANE = 20
_FLOOR = 1e-6

Box = tuple[float, float, float, float]


class Html(str):
    """Text that is markup already. Anything else is escaped on its way into an element."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a ranking; *figure* is the value as it is read, *tip* what hovering tells."""

    label: str
    value: float
    figure: str
    tip: str


@dataclass(frozen=True, slots=True)
class Bin:
    """What finished in one slice of time; *tip* says when that was."""

    finished: int
    retried: int
    failed: int
    tip: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Run times of one task, in seconds."""

    label: str
    note: str
    p50: float
    p95: float
    longest: float


@dataclass(frozen=True, slots=True)
class Tile:
    """One area of a treemap; *tint* from 0 (pale) to 1 (full)."""

    label: str
    size: float
    figure: str
    tint: float
    tip: str


def clean(text: str) -> str:
    """Cut *text* to a length that a page can bear, with a visible mark for what cannot be printed."""
    cut = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return _UNPRINTABLE.sub("\ufffd", cut)


def join(parts: Iterable[str]) -> Html:
    """Put *parts* one after another, each escaped unless it is `Html`."""
    return Html("".join(part if isinstance(part, Html) else escape(clean(part)) for part in parts))


def tag(name: str, *children: str, **attributes: str | float) -> Html:
    """Write one element. ``class_`` stands for ``class`` and ``stroke_width`` for ``stroke-width``."""
    pairs = (f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{''.join(pairs)}>{join(children)}</{name}>")


def _attribute(value: str | float) -> str:
    return escape(clean(value)) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """Write *share* (0 to 1) as a CSS length."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def runtime(seconds: float) -> str:
    """Write a run time with three or four figures that matter, in the unit that suits it."""
    for limit, scale, digits, unit in (
        (1e-4, 1e6, 0, "µs"), (1e-2, 1e3, 2, "ms"), (0.1, 1e3, 1, "ms"), (10, 1e3, 0, "ms"), (120, 1, 1, "s"),
    ):  # fmt: skip
        if seconds < limit:
            return f"{seconds * scale:,.{digits}f}\u00a0{unit}"
    return moment(seconds)


def moment(seconds: float) -> str:
    """Write a span of time as a person says it: 0.25 s, 3 min 20 s, 2 h 5 min, 4 d 1 h."""
    if seconds < 120:  # noqa: PLR2004 - below two minutes seconds read best
        return f"{round(seconds, 2):g}\u00a0s"
    whole = round(seconds)
    for size, unit, part, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            tail = whole % size // part
            return f"{whole // size:,}\u00a0{unit}" + (f"\u00a0{tail}\u00a0{rest}" if tail else "")
    return f"{whole}\u00a0s"


def path_label(path: str) -> Html:
    """Show a path so that its directory, not its name, gives way when room is short."""
    folder, slash, name = path.rpartition("/")
    return tag("span", tag("span", folder + slash, class_="dir"), tag("b", name), class_="path")


def bars(rows: Sequence[Bar], kind: str) -> Html:
    """Rank *rows* as horizontal bars that share one scale from zero; *kind* names their colour."""
    longest = max((row.value for row in rows), default=0) or 1
    return tag("ol", *(_bar(row, row.value / longest) for row in rows), class_=f"bars {kind}")


def _bar(row: Bar, share: float) -> Html:
    rect = tag("rect", width=percent(share), height="100%", rx=3)
    drawing = tag("svg", rect, height=14, aria_hidden="true")
    return tag("li", path_label(row.label), drawing, tag("span", row.figure, class_="num"), title=row.tip)


def area(bins: Sequence[Bin], ticks: Sequence[tuple[float, str]], label: str) -> Html:
    """Draw jobs finished over time, with a lane each for retries and failures below.

    *ticks* are marks of the time axis: where (0 to 1) and what to write there.
    """
    levels = steps(max(slot.finished for slot in bins))
    axis = _TOP + _PLOT
    lanes = ((axis + 46, "retried", [slot.retried for slot in bins]),
             (axis + 46 + _LANE, "failed", [slot.failed for slot in bins]))  # fmt: skip
    drawn = [*_grid(levels), _curve(bins, levels[-1]), *_peak(bins, levels[-1]), *_time_axis(ticks)]
    for y, name, counts in lanes:
        drawn += _lane(y, name, counts)
    drawn += _hit_areas([slot.tip for slot in bins], axis + 46 + 2 * _LANE - 8)
    gutter = [*_levels(levels), *((y, name) for y, name, _ in lanes)]
    return _plot(label, axis + 46 + 2 * _LANE - 4, gutter, drawn)


def _curve(bins: Sequence[Bin], top: int) -> Html:
    width = 1000 / len(bins)
    heights = [_PLOT * (1 - slot.finished / top) for slot in bins]
    points = [(0.0, heights[0]), *((width * (i + 0.5), y) for i, y in enumerate(heights)), (1000.0, heights[-1])]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    fade = (tag("stop", offset=0, class_="dense"), tag("stop", offset=1, class_="thin"))
    return tag(
        "svg",
        tag("defs", tag("linearGradient", *fade, id="fade", x1=0, y1=0, x2=0, y2=1)),
        tag("polygon", points=f"0,{_PLOT} {line} 1000,{_PLOT}", fill="url(#fade)"),
        tag("polyline", points=line, class_="curve", vector_effect="non-scaling-stroke"),
        viewBox=f"0 0 1000 {_PLOT}", preserveAspectRatio="none", y=_TOP, width="100%", height=_PLOT, overflow="visible",
    )  # fmt: skip


def _peak(bins: Sequence[Bin], top: int) -> Iterator[Html]:
    best = max(range(len(bins)), key=lambda i: bins[i].finished)
    where, y = (best + 0.5) / len(bins), _height(bins[best].finished, top)
    yield tag("circle", cx=percent(where), cy=y, r=3.5, class_="peak")
    yield tag("text", f"{bins[best].finished:,}", x=percent(where), y=y - 9, text_anchor=_anchor(where), class_="strong")


def _lane(y: float, name: str, counts: Sequence[int]) -> Iterator[Html]:
    yield tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid")
    for i, count in enumerate(counts):
        if count:
            where = percent((i + 0.5) / len(counts))
            yield tag("circle", cx=where, cy=y, r=min(7.5, 2.6 + 0.7 * math.sqrt(count)), class_=name)


def _hit_areas(tips: Sequence[str], height: float) -> Iterator[Html]:
    # Invisible columns over the drawing: hovering anywhere above a slice tells its figures, script or not.
    for i, tip in enumerate(tips):
        column = {"x": percent(i / len(tips)), "width": percent(1 / len(tips)), "class_": "hit"}
        yield tag("rect", tag("title", tip), y=0, height=height, **column)


def histogram(seconds: Sequence[float], marks: Sequence[tuple[str, float]], label: str) -> Html:
    """Count run times in slices of equal ratio, with lines at *marks* (a name and a time in seconds)."""
    scale = LogScale.around(seconds)
    slices = max(10, min(36, round(12 * math.log10(scale.high / scale.low))))
    counts = [0] * slices
    for value in seconds:
        counts[min(slices - 1, int(scale.at(value) * slices))] += 1
    levels = steps(max(counts))
    drawn = list(_grid(levels))
    for i, count in enumerate(counts):
        y = _height(count, levels[-1])
        column = {"x": percent((i + 0.06) / slices), "width": percent(0.88 / slices), "class_": "column"}
        yield_ = f"{runtime(scale.value(i / slices))} to {runtime(scale.value((i + 1) / slices))}: {count:,} jobs"
        drawn.append(tag("rect", tag("title", yield_), y=y, height=_TOP + _PLOT - y, rx=2, **column))
    for name, value in marks:
        drawn += _mark(scale.at(value), f"{name} {runtime(value)}")
    drawn += _time_axis([(scale.at(tick), tick_label(tick)) for tick in scale.ticks()])
    return _plot(label, _TOP + _PLOT + 26, list(_levels(levels)), drawn)


def _mark(where: float, text: str) -> Iterator[Html]:
    yield tag("line", x1=percent(where), x2=percent(where), y1=_TOP - 6, y2=_TOP + _PLOT, class_="mark")
    yield tag("text", text, x=percent(where), y=_TOP - 11, text_anchor=_anchor(where), class_="strong")


def ranges(rows: Sequence[Spread]) -> Html:
    """Draw from median to longest run time, one row a task on one logarithmic axis, figures beside."""
    scale = LogScale.around([value for row in rows for value in (row.p50, row.longest)])
    ticks = [(scale.at(tick), tick_label(tick)) for tick in scale.ticks()]
    names = (tag("text", text, x=percent(x), y=12, text_anchor=_anchor(x)) for x, text in ticks)
    head = tag(
        "div", tag("span", "task"), tag("svg", *names, height=18, aria_hidden="true"),
        *(tag("span", name, class_="num") for name in ("p50", "p95", "max")), class_="row head",
    )  # fmt: skip
    return tag("div", head, *(_range(row, scale, [x for x, _ in ticks]) for row in rows), class_="ranges")


def _range(row: Spread, scale: "LogScale", grid: Sequence[float]) -> Html:
    p50, p95, longest = (percent(scale.at(value)) for value in (row.p50, row.p95, row.longest))
    figures = [runtime(value) for value in (row.p50, row.p95, row.longest)]
    drawing = tag(
        "svg",
        *(tag("line", x1=percent(x), x2=percent(x), y1=0, y2=34, class_="grid") for x in grid),
        tag("line", x1=p50, x2=longest, y1=17, y2=17, class_="whisker"),
        tag("line", x1=p50, x2=p95, y1=17, y2=17, class_="span"),
        tag("line", x1=longest, x2=longest, y1=11, y2=23, class_="end"),
        tag("circle", cx=p95, cy=17, r=5, class_="ring"),
        tag("circle", cx=p50, cy=17, r=5, class_="dot"),
        height=34, role="img", aria_label=f"p50 {figures[0]}, p95 {figures[1]}, max {figures[2]}",
    )  # fmt: skip
    name = tag("span", tag("b", row.label), tag("small", row.note), class_="name", title=row.label)
    return tag("div", name, drawing, *(tag("span", figure, class_="num") for figure in figures), class_="row")


def treemap(tiles: Sequence[Tile], shape: float, kind: str) -> Html:
    """Fill a box *shape* times as wide as high with *tiles*, largest first; the class *kind* sets its height."""
    boxes = squarify([tile.size for tile in tiles], shape, 1)
    drawn: list[Html] = []
    for tile, (x, y, width, height) in zip(tiles, boxes, strict=True):
        place = {"left": x / shape, "top": y, "width": width / shape, "height": height, "--tint": 0.14 + 0.4 * tile.tint}
        style = ";".join(f"{name}:{percent(share)}" for name, share in place.items())
        inner = tag("div", tag("b", tile.label), tag("span", tile.figure))
        drawn.append(tag("div", inner, class_="tile", style=style, title=tile.tip))
    return tag("div", *drawn, class_=f"treemap {kind}")


def squarify(sizes: Sequence[float], width: float, height: float) -> list[Box]:
    """Lay out positive, descending *sizes* as boxes (x, y, width, height) near to squares.

    Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000).
    """
    scale = width * height / (sum(sizes) or 1)
    areas = [size * scale for size in sizes]
    boxes: list[Box] = []
    x = y = 0.0
    while areas:
        side = max(min(width, height), _FLOOR)
        taken = _row_length(areas, side)
        row, areas = areas[:taken], areas[taken:]
        thick = sum(row) / side
        across = 0.0
        for piece in row:
            length = piece / thick
            boxes.append((x, y + across, thick, length) if width >= height else (x + across, y, length, thick))
            across += length
        if width >= height:
            x, width = x + thick, width - thick
        else:
            y, height = y + thick, height - thick
    return boxes


def _row_length(areas: Sequence[float], side: float) -> int:
    taken = 1
    while taken < len(areas) and _worst(areas[: taken + 1], side) <= _worst(areas[:taken], side):
        taken += 1
    return taken


def _worst(row: Sequence[float], side: float) -> float:
    total = sum(row)
    return max(side * side * row[0] / total**2, total**2 / (side * side * row[-1]))


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis from *low* to *high*, both in seconds and above zero."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> "LogScale":
        """Reach from the 1, 2 or 5 below the least value to the one above the greatest: at least one decade."""
        least, most = (max(_FLOOR, pick(values)) for pick in (min, max))
        low = max(mark for mark in _one_two_five(least) if mark <= least * 1.000001)
        high = min(mark for mark in _one_two_five(most) if mark >= most * 0.999999)
        return cls(low, max(high, low * 10))

    def at(self, value: float) -> float:
        """Place *value* between 0 and 1; what lies outside is drawn at the edge."""
        share = math.log(max(value, _FLOOR) / self.low) / math.log(self.high / self.low)
        return min(1.0, max(0.0, share))

    def value(self, share: float) -> float:
        """Give the time at *share* of the axis."""
        return float(self.low * (self.high / self.low) ** share)

    def ticks(self) -> list[float]:
        """Give at most seven times to label: 1, 2, 5 on a short axis, powers of ten on a long one."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        marks = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
        inside = [mark for mark in marks if self.low * 0.999 <= mark <= self.high * 1.001]
        if len(inside) > 5:  # noqa: PLR2004 - more labels than this touch on a phone
            inside = [mark for mark in inside if math.isclose(math.log10(mark), round(math.log10(mark)), abs_tol=1e-9)]
        return inside[:: math.ceil(len(inside) / 7)]


def _one_two_five(value: float) -> list[float]:
    decade = 10.0 ** math.floor(math.log10(value))
    return [decade * step for step in (0.5, 1, 2, 5, 10)]


def tick_label(seconds: float) -> str:
    """Write a round time below an axis."""
    for limit, scale, unit in ((0.000_999, 1e6, "µs"), (0.999, 1e3, "ms")):
        if seconds < limit:
            return f"{round(seconds * scale):,}\u00a0{unit}"
    return f"{round(seconds):,}\u00a0s"


def steps(most: int) -> list[int]:
    """Give the levels of a counting axis: from 0 by a round step to the first one not below *most*."""
    decade = 1
    while decade * 20 < most:
        decade *= 10
    step = next(decade * digit for digit in (1, 2, 5, 10) if decade * digit * 4 >= most)
    return list(range(0, max(most, 1) + step, step))[: -(-max(most, 1) // step) + 1]


def _height(value: float, top: int) -> float:
    return _TOP + _PLOT * (1 - value / top)


def _grid(levels: Sequence[int]) -> Iterator[Html]:
    for level in levels:
        y = _height(level, levels[-1])
        yield tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid" if level else "base")


def _levels(levels: Sequence[int]) -> Iterator[tuple[float, str]]:
    for level in levels:
        yield _height(level, levels[-1]), f"{level:,}"


def _time_axis(ticks: Iterable[tuple[float, str]]) -> Iterator[Html]:
    y = _TOP + _PLOT
    for x, text in ticks:
        yield tag("line", x1=percent(x), x2=percent(x), y1=y, y2=y + 5, class_="base")
        yield tag("text", text, x=percent(x), y=y + 19, text_anchor=_anchor(x))


def _anchor(where: float) -> str:
    return "start" if where < 0.05 else "end" if where > 0.95 else "middle"  # noqa: PLR2004 - the edges of the plot


def _plot(label: str, height: float, gutter: Sequence[tuple[float, str]], drawn: Sequence[Html]) -> Html:
    names = (tag("text", text, x="100%", y=y, dy="0.32em", text_anchor="end") for y, text in gutter)
    left = tag("svg", *names, height=height, class_="gutter", aria_hidden="true")
    return tag("div", left, tag("svg", *drawn, height=height, role="img", aria_label=label), class_="plot")
