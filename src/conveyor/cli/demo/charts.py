"""Charts as inline SVG and HTML: no script, no file beside them, no library.

Widths are percentages and heights are pixels. The tempting ``viewBox`` that scales the whole drawing would
shrink its letters on a phone as well; here only shapes give way and text keeps its size.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

# A file name may hold any byte but NUL and "/": a lone surrogate cannot be written as UTF-8, and a mark for
# right-to-left text makes a name read as another.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_TEXT = 400
_TOP = 22
_PLOT = 180
_AXIS = _TOP + _PLOT
_LANES: dict[str, float] = {"retried": _AXIS + 46, "failed": _AXIS + 66}
_BRIEFEST = 1e-6
_SPANS = ((86400, 86400, "d", 3600, "h"), (3600, 3600, "h", 60, "min"), (120, 60, "min", 1, "s"))
_UNITS = ((1e-3, 1e6, "µs"), (1, 1e3, "ms"), (math.inf, 1, "s"))

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
class Tile:
    """One area of a treemap; *tint* from 0 (pale) to 1 (full)."""

    label: str
    size: int
    tint: float
    tip: str


def clean(text: str, most: int = _LONGEST_TEXT) -> str:
    """Cut *text* to *most* characters, with a visible mark for what cannot be printed."""
    return _UNPRINTABLE.sub("\ufffd", text if len(text) <= most else text[: most - 1] + "…")


def join(parts: Iterable[str]) -> Html:
    """Put *parts* one after another, each escaped unless it is `Html`."""
    return Html("".join(_safe(part) for part in parts))


def tag(name: str, *children: str, **attributes: str | float) -> Html:
    """Write one element. ``class_`` stands for ``class`` and ``stroke_width`` for ``stroke-width``."""
    pairs = (f' {key.rstrip("_").replace("_", "-")}="{_safe(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{''.join(pairs)}>{join(children)}</{name}>")


def _safe(value: str | float) -> str:
    if isinstance(value, str):
        return value if isinstance(value, Html) else escape(clean(value))
    return f"{value:.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """Write *share* (0 to 1) as a CSS length."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def runtime(seconds: float) -> str:
    """Write a run time with three figures, in the unit that suits it."""
    rounded = seconds * 1.0005  # so that 0.9999 s is 1.00 s, never 1000 ms
    scale, unit = next((scale, unit) for limit, scale, unit in _UNITS if rounded < limit)
    digits = 3 - len(str(int(rounded * scale)))
    return moment(seconds) if digits < 0 else f"{seconds * scale:.{digits}f}\u00a0{unit}"


def tick_label(seconds: float) -> str:
    """Write a round time below an axis."""
    scale, unit = next((scale, unit) for limit, scale, unit in _UNITS if seconds < limit * 0.999)
    return f"{round(seconds * scale):,}\u00a0{unit}"


def moment(seconds: float) -> str:
    """Write a span of time as a person says it: 0.25 s, 3 min 20 s, 2 h 5 min, 4 d 1 h."""
    whole = round(seconds)
    for least, size, unit, part, rest in _SPANS:
        if whole >= least:
            tail = whole % size // part
            return f"{whole // size:,}\u00a0{unit}" + (f" {tail}\u00a0{rest}" if tail else "")
    return f"{round(seconds, 2):g}\u00a0s"


def path_label(path: str) -> Html:
    """Show a path so that its folder, not its name, gives way when room is short."""
    folder, slash, name = path.rpartition("/")
    return tag("span", tag("span", folder + slash, class_="dir"), tag("b", name), class_="path")


def bars(rows: Sequence[Bar], kind: str) -> Html:
    """Rank *rows* as horizontal bars that share one scale from zero; *kind* names their colour."""
    if not rows:
        return Html()
    longest = max(row.value for row in rows) or 1
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
    drawn = [_curve(bins, levels[-1]), *_peak([slot.finished for slot in bins], levels[-1])]
    drawn += _lane("retried", [slot.retried for slot in bins])
    drawn += _lane("failed", [slot.failed for slot in bins])
    # Invisible columns over the drawing: hovering anywhere above a slice tells its figures, script or not.
    for i, slot in enumerate(bins):
        place = {"x": percent(i / len(bins)), "width": percent(1 / len(bins)), "class_": "hit"}
        drawn.append(tag("rect", tag("title", slot.tip), y=0, height=_LANES["failed"] + 8, **place))
    return _plot(label, levels, ticks, drawn, _LANES)


def _curve(bins: Sequence[Bin], top: int) -> Html:
    width = 1000 / len(bins)
    inner = [(width * (i + 0.5), _PLOT * (1 - slot.finished / top)) for i, slot in enumerate(bins)]
    points = [(0.0, inner[0][1]), *inner, (1000.0, inner[-1][1])]
    line = Html(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    under = tag("polygon", points=Html(f"0,{_PLOT} {line} 1000,{_PLOT}"), fill="url(#fade)")
    over = tag("polyline", points=line, class_="curve", vector_effect="non-scaling-stroke")
    stops = (tag("stop", offset=0, class_="dense"), tag("stop", offset=1, class_="thin"))
    fade = tag("defs", tag("linearGradient", *stops, id="fade", x1=0, y1=0, x2=0, y2=1))
    box = {"viewBox": f"0 0 1000 {_PLOT}", "preserveAspectRatio": "none", "width": "100%"}
    return tag("svg", fade, under, over, y=_TOP, height=_PLOT, **box)


def _peak(counts: Sequence[int], top: int) -> Iterator[Html]:
    best = counts.index(max(counts))
    where, y = (best + 0.5) / len(counts), _height(counts[best], top)
    yield tag("circle", cx=percent(where), cy=y, r=3.5, class_="peak")
    yield _text(where, y - 9, f"{counts[best]:,}", class_="strong")


def _lane(name: str, counts: Sequence[int]) -> Iterator[Html]:
    yield _line(0, 1, _LANES[name], _LANES[name], "grid")
    for i, count in enumerate(counts):
        if count:
            radius = min(7.5, 2.6 + 0.7 * math.sqrt(count))
            yield tag("circle", cx=percent((i + 0.5) / len(counts)), cy=_LANES[name], r=radius, class_=name)


def quantile(times: Sequence[float], share: float) -> float:
    """Give the least of the ascending *times* that *share* (0 to 1) of them do not exceed."""
    return times[max(0, math.ceil(share * len(times)) - 1)]


def histogram(times: Sequence[float], label: str) -> Html:
    """Count ascending run times, in seconds, in slices of equal ratio, with a line at the median."""
    scale = LogScale.around(times[0], times[-1])
    ratio = scale.high / scale.low
    slices = max(10, min(36, round(12 * math.log10(ratio))))
    counts = Counter(min(slices - 1, int(scale.at(value) * slices)) for value in times)
    levels, edges = (
        steps(max(counts.values())),
        [scale.low * ratio ** (i / slices) for i in range(slices + 1)],
    )
    drawn: list[Html] = []
    for i, count in sorted(counts.items()):
        tip = tag("title", f"{runtime(edges[i])} to {runtime(edges[i + 1])}\n{count:,} jobs")
        place = {"x": percent((i + 0.06) / slices), "width": percent(0.88 / slices), "class_": "column"}
        y = _height(count, levels[-1])
        drawn.append(tag("rect", tip, y=y, height=_AXIS - y, rx=2, **place))
    where, median = scale.at(quantile(times, 0.5)), f"p50 {runtime(quantile(times, 0.5))}"
    drawn += (_line(where, where, _TOP - 6, _AXIS, "mark"), _text(where, _TOP - 11, median, "strong"))
    return _plot(label, levels, scale.ticks(), drawn, {})


def ranges(tasks: Mapping[str, Sequence[float]]) -> Html:
    """Draw from median to longest of each task's ascending run times, on one logarithmic axis."""
    if not tasks:
        return Html()
    scale = LogScale.around(min(quantile(t, 0.5) for t in tasks.values()), max(t[-1] for t in tasks.values()))
    axis = tag("svg", *(_text(x, 12, text) for x, text in scale.ticks(3)), height=18, aria_hidden="true")
    names = (tag("span", name, class_="num") for name in ("p50", "p95", "max"))
    head = tag("div", tag("span", "task"), axis, *names, class_="row head")
    return tag("div", head, *(_range(name, times, scale) for name, times in tasks.items()), class_="ranges")


def _range(task: str, times: Sequence[float], scale: "LogScale") -> Html:
    figures = (quantile(times, 0.5), quantile(times, 0.95), times[-1])
    p50, p95, longest = (scale.at(value) for value in figures)
    drawn = [_line(x, x, 0, 34, "grid") for x, _ in scale.ticks(3)]
    drawn += (_line(p50, longest, 17, 17, "whisker"), _line(longest, longest, 11, 23, "whisker"))
    drawn += (_line(p50, p95, 17, 17, "span"), tag("circle", cx=percent(p95), cy=17, r=5, class_="ring"))
    drawn.append(tag("circle", cx=percent(p50), cy=17, r=5, class_="dot"))
    # A zero-width space after each underscore: a long name breaks there first.
    name = tag("b", clean(task.rpartition(".")[2], 40).replace("_", "_\u200b"))
    note = tag("small", f"{len(times):,} job" if len(times) == 1 else f"{len(times):,} jobs")
    told = (tag("span", runtime(value), class_="num") for value in figures)
    drawing = tag("svg", *drawn, height=34, aria_hidden="true")
    return tag("div", tag("span", name, note, class_="name", title=task), drawing, *told, class_="row")


def treemap(tiles: Sequence[Tile], shape: float, kind: str) -> Html:
    """Fill a box *shape* times as wide as high with *tiles*, largest first."""
    drawn: list[Html] = []
    places = boxes([tile.size for tile in tiles], (0, 0, shape, 1))
    for tile, (x, y, width, height) in zip(tiles, places, strict=True):
        place = {"left": x / shape, "top": y, "width": width / shape, "height": height}
        place["--tint"] = 0.14 + 0.4 * tile.tint
        style = ";".join(f"{name}:{percent(share)}" for name, share in place.items())
        inner = tag("div", tag("b", tile.label), tag("span", f"{tile.size:,}"))
        drawn.append(tag("div", inner, class_="tile", style=style, title=tile.tip))
    return tag("div", *drawn, class_=f"treemap {kind}")


def boxes(sizes: Sequence[float], whole: Box) -> list[Box]:
    """Divide *whole* (x, y, width, height) among positive, descending *sizes*, into shapes near to squares.

    Halving by weight across the longer side looks as square as "squarified", in a third of the code.
    """
    if len(sizes) <= 1:
        return [whole][: len(sizes)]
    total, cut, left = sum(sizes), 1, sizes[0]
    while cut < len(sizes) - 1 and left + sizes[cut] / 2 < total / 2:
        left, cut = left + sizes[cut], cut + 1
    share, (x, y, width, height) = left / total, whole
    if width >= height:
        first, second = (x, y, width * share, height), (x + width * share, y, width * (1 - share), height)
    else:
        first, second = (x, y, width, height * share), (x, y + height * share, width, height * (1 - share))
    return boxes(sizes[:cut], first) + boxes(sizes[cut:], second)


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis from *low* to *high*, both in seconds and above zero."""

    low: float
    high: float

    @classmethod
    def around(cls, least: float, most: float) -> "LogScale":
        """Reach from somewhat below *least* to somewhat above *most*, and over one decade at the least."""
        low = max(_BRIEFEST, least / 1.25)
        return cls(low, max(most * 1.25, low * 10))

    def at(self, value: float) -> float:
        """Place *value* between 0 and 1; what lies outside is drawn at the edge."""
        share = math.log(max(value, _BRIEFEST) / self.low) / math.log(self.high / self.low)
        return min(1.0, max(0.0, share))

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Give *most* places and labels: 1, 2, 5 if they are so few, else powers of ten, else some of them."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        inside: list[float] = []
        for digits in ((1, 2, 5), (1,)):
            marks = [digit * 10.0**power for power in decades for digit in digits]
            inside = [mark for mark in marks if self.low * 0.999 <= mark <= self.high * 1.001]
            if len(inside) <= most:
                break
        return [(self.at(mark), tick_label(mark)) for mark in inside[:: math.ceil(len(inside) / most)]]


def steps(most: int) -> list[int]:
    """Give the levels of a counting axis: from 0 by a round step to the first one not below *most*."""
    decade = 10 ** (len(str(most)) - 1)
    rough = [max(1, decade * digit // 10) for digit in (1, 2, 5, 10, 20, 50)]
    step = next(step for step in rough if step * 5 >= most)
    return [step * i for i in range(max(1, math.ceil(most / step)) + 1)]


def _height(value: float, top: int) -> float:
    return _TOP + _PLOT * (1 - value / top)


def _line(x1: float, x2: float, y1: float, y2: float, kind: str) -> Html:
    return tag("line", x1=percent(x1), x2=percent(x2), y1=y1, y2=y2, class_=kind)


def _text(where: float, y: float, text: str, class_: str = "") -> Html:
    # At the edges the text turns inwards, where it has room.
    anchor = "start" if where < 0.05 else "end" if where > 0.95 else "middle"  # noqa: PLR2004 - see above
    return tag("text", text, x=percent(where), y=y, text_anchor=anchor, class_=class_)


def _plot(
    label: str,
    levels: Sequence[int],
    ticks: Iterable[tuple[float, str]],
    drawn: Iterable[Html],
    lanes: dict[str, float],
) -> Html:
    names = {f"{level:,}": _height(level, levels[-1]) for level in levels}
    back = [_line(0, 1, y, y, "grid" if y < _AXIS else "base") for y in names.values()]
    for x, text in ticks:
        back += (_line(x, x, _AXIS, _AXIS + 5, "base"), _text(x, _AXIS + 19, text))
    height = max([_AXIS + 26, *(y + 12 for y in lanes.values())])
    beside = (tag("text", name, x="100%", y=y + 4, text_anchor="end") for name, y in (names | lanes).items())
    gutter = tag("svg", *beside, height=height, aria_hidden="true")
    drawing = tag("svg", *back, *drawn, height=height, role="img", aria_label=label)
    return tag("div", gutter, drawing, class_="plot")


# Blue counts jobs, green lines, violet time; amber and red are kept for retries and failures.
STYLE = """
:root{color-scheme:light dark;--page:#f3f1ea;--card:#fffdf8;--ink:#1d2228;--soft:#5f6670;--rule:#e4e0d5;
--jobs:#2a62c0;--size:#157a73;--time:#7a4db3;--retry:#b56800;--fail:#c03426;--good:#24794a}
@media(prefers-color-scheme:dark){:root{--page:#111417;--card:#191d22;--ink:#e9e6df;--soft:#9ca4ad;
--rule:#2b3138;--jobs:#74a5ff;--size:#45b8ad;--time:#b592f0;--retry:#f0aa3c;--fail:#ff7d6d;--good:#62c98c}}
svg{display:block;width:100%;overflow:visible}svg text{font-size:12px;fill:var(--soft)}
.num,dd,.tiles b,svg text{font-variant-numeric:tabular-nums}svg .strong{fill:var(--ink);font-weight:600}
.grid{stroke:var(--rule)}.base{stroke:var(--soft);stroke-opacity:.6}
.mark{stroke:var(--ink);stroke-dasharray:3 3}.hit{fill:var(--ink);fill-opacity:0}
.hit:hover{fill-opacity:.07}.plot{display:grid;gap:10px}.plot{grid-template-columns:52px minmax(0,1fr)}
.curve{fill:none;stroke:var(--jobs);stroke-width:2}.dense{stop-color:var(--jobs);stop-opacity:.38}
.thin{stop-color:var(--jobs);stop-opacity:.04}.peak{fill:var(--jobs)}circle.retried{fill:var(--retry)}
circle.failed{fill:var(--fail)}.column,.dot,.by-time rect{fill:var(--time)}.by-size rect{fill:var(--size)}
.column:hover{fill-opacity:.7}.path{display:flex;min-width:0;white-space:nowrap}.path b{font-weight:600}
.path .dir{flex:0 9999 auto}.path *,.tile *,.name *{overflow:hidden;text-overflow:ellipsis}
.path .dir{color:var(--soft)}.num{text-align:right}
.bars li,.ranges .row{display:grid;gap:0 12px;align-items:center;font-size:.88rem}.bars li{padding:4px 0}
.bars li{grid-template-columns:minmax(0,11fr) minmax(0,12fr) 4.2em}.bars li:hover rect{fill-opacity:.75}
.ranges .row{grid-template-columns:minmax(0,4fr) minmax(0,5fr) repeat(3,4.4em);
border-top:1px solid var(--rule)}.ranges .head{border:0;color:var(--soft);font-size:.82rem}
.name{padding:6px 0;min-width:0}.name *{display:block;overflow-wrap:anywhere}.name b{font-weight:600}
.whisker{stroke:var(--time);stroke-width:1.5}.span{stroke:var(--time);stroke-width:5;stroke-opacity:.4}
.ring{fill:var(--card);stroke:var(--time);stroke-width:2}.treemap{position:relative}.wide{aspect-ratio:2.6}
.tall{aspect-ratio:.62;display:none}.tile{position:absolute;padding:1px;font-size:.8rem;line-height:1.35}
.tile div{height:100%;border-radius:4px;container-type:size;padding-top:min(4px,10%)}
.tile div{background:color-mix(in srgb,var(--size) var(--tint),var(--card))}.tile b{font-weight:600}
.tile b,.tile span{display:block;white-space:nowrap;padding:0 6px}
@container(max-width:52px) or (max-height:17px){.tile b,.tile span{display:none}}
@container(max-width:64px) or (max-height:35px){.tile span{display:none}}
#tip{position:fixed;left:0;top:0;z-index:9;max-width:min(420px,92vw);padding:7px 11px;border-radius:8px;
font-size:.82rem;white-space:pre-line;background:var(--ink);color:var(--card);pointer-events:none}
#tip[hidden]{display:none}
@media(max-width:640px){.plot{grid-template-columns:44px minmax(0,1fr);gap:8px}.wide{display:none}
.tall{display:block}.bars li{grid-template-columns:minmax(0,1fr) auto;gap:2px 10px;padding:6px 0}
.bars svg{grid-area:2/1/3/3;height:9px}.bars .path{grid-area:1/1}.head span:first-child{display:none}
.ranges .row{grid-template-columns:repeat(3,1fr)}.ranges .name,.ranges svg{grid-column:1/-1}
.ranges .num{text-align:left;padding-bottom:8px}}
"""

# Without it every figure is still there: a tip is then the browser's own, and the table keeps its order.
SCRIPT = """
const all = (what) => document.querySelectorAll(what), tip = document.getElementById("tip");
all("svg title").forEach((title) => { title.parentNode.dataset.tip = title.textContent; title.remove(); });
all("[title]").forEach((owner) => { owner.dataset.tip = owner.title; owner.removeAttribute("title"); });
const show = ({ target, clientX, clientY }) => {
  const owner = target.closest("[data-tip]");
  tip.hidden = !owner;
  if (!owner) return;
  tip.textContent = owner.dataset.tip;
  const x = Math.max(8, Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8));
  const y = clientY + 20 + tip.offsetHeight > innerHeight ? clientY - tip.offsetHeight - 12 : clientY + 20;
  tip.style.transform = `translate(${x}px, ${y}px)`;
};
for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, show);
all("th").forEach((head) => {
  const body = head.closest("table").tBodies[0], key = (row) => row.cells[head.cellIndex].dataset.v
    ?? row.cells[head.cellIndex].textContent;
  head.tabIndex = 0;
  head.onclick = () => {
    const up = head.ariaSort === "ascending" ? -1 : 1;
    all("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.ariaSort = up > 0 ? "ascending" : "descending";
    body.append(...[...body.rows].sort((a, b) => up * key(a).localeCompare(key(b), "en", { numeric: true })));
  };
  head.onkeydown = (event) => { if (event.key === "Enter") head.onclick(); };
});
"""
