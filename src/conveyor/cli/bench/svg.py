"""A small writer of SVG: panels below each other, with lines over time or bars; no script, no library.

Colours are variables that follow the reader's light or dark theme, and the picture brings its own background.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
LEFT, RIGHT, TOP = 150, 24, 44
"""Margins of a panel: names stand on the left of it, title and legend above."""
PLOT: Final = 150
ROW: Final = 22
BAR: Final = 13
AXIS: Final = 38
"""Height below a plot, for its labels."""
HEAD: Final = 64
STEPS: Final = 4
COLOURS: Final = 6
LETTER: Final = 6.6
"""About the width of one, in this size."""
STYLE: Final = """
:root{color-scheme:light dark;--page:#fffdf8;--ink:#1d2228;--soft:#5f6670;--rule:#e4e0d5;
--c0:#2a62c0;--c1:#b56800;--c2:#7a4db3;--c3:#157a73;--c4:#c03426;--c5:#24794a}
@media(prefers-color-scheme:dark){:root{--page:#16191d;--ink:#e9e6df;--soft:#9ca4ad;--rule:#2f353c;
--c0:#74a5ff;--c1:#f0aa3c;--c2:#b592f0;--c3:#45b8ad;--c4:#ff7d6d;--c5:#62c98c}}
text{font-family:system-ui,sans-serif;font-size:12px;fill:var(--soft)}.name{fill:var(--ink)}
.title{font-size:14px;font-weight:600;fill:var(--ink)}.big{font-size:17px;font-weight:600;fill:var(--ink)}
.grid{stroke:var(--rule)}.base{stroke:var(--soft)}.line{fill:none;stroke-width:2;stroke-linejoin:round}
.spread{stroke:var(--ink);stroke-width:1.5}
"""


@dataclass(frozen=True)
class Lines:
    """Figures over time: each line by its name, as seconds and values."""

    title: str
    unit: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Bar:
    """One figure, and what it was at the lowest and the highest."""

    label: str
    value: float
    lowest: float
    highest: float
    colour: int = 0


@dataclass(frozen=True)
class Bars:
    """Figures of one kind; *legend* names the colours."""

    title: str
    unit: str
    bars: Sequence[Bar]
    legend: Sequence[str] = ()


Panel = Lines | Bars


def drawn(title: str, about: str, panels: Sequence[Panel]) -> str:
    """The picture."""
    parts, y = [_text(24, 30, title, "big"), _text(24, 50, about)], float(HEAD)
    for panel in panels:
        inner, height = _lines(panel) if isinstance(panel, Lines) else _bars(panel)
        parts.append(f'<g transform="translate(0 {_n(y)})">{inner}</g>')
        y += height
    size = f'width="{WIDTH}" height="{_n(y)}" viewBox="0 0 {WIDTH} {_n(y)}"'
    page = f'<rect width="{WIDTH}" height="{_n(y)}" rx="8" style="fill:var(--page)"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(title)}</title>\n'
        f"<desc>{escape(about)}</desc>\n<style>{STYLE}</style>\n{page}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def levels(most: float) -> Sequence[float]:
    """Round values from 0 to the first that is not below *most*, a few of them."""
    rough = max(most, 1e-9) / STEPS
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * decade for factor in (1, 2, 2.5, 5, 10) if factor * decade >= rough * (1 - 1e-9))
    return [step * place for place in range(math.ceil(most / step - 1e-9) + 1)] if most > 0 else [0.0, step]


def label(value: float) -> str:
    """A figure beside an axis, or at the end of a bar."""
    if value >= 1_000 or value == int(value):  # noqa: PLR2004 - four digits need no more
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _lines(panel: Lines) -> tuple[str, float]:
    points = [point for line in panel.lines.values() for point in line]
    across, up = levels(max(at for at, _ in points)), levels(max(value for _, value in points))
    end = max(at for at, _ in points)
    parts = [_text(LEFT, 18, f"{panel.title}, {panel.unit}", "title"), *_legend(list(panel.lines))]
    for value in up:
        y = _height(value, up[-1])
        parts += [
            _line(LEFT, y, WIDTH - RIGHT, y, "grid" if value else "base"),
            _text(LEFT - 8, y + 4, label(value), "", "end"),
        ]
    for at in (at for at in across if at <= end):
        x = _across(at, end)
        parts += [_line(x, TOP + PLOT, x, TOP + PLOT + 4, "base"), _text(x, TOP + PLOT + 18, label(at), "", "middle")]
    parts.append(_text(WIDTH - RIGHT, TOP + PLOT + 32, "seconds", "", "end"))
    for colour, line in enumerate(panel.lines.values()):
        places = " ".join(f"{_n(_across(at, end))},{_n(_height(value, up[-1]))}" for at, value in line)
        parts.append(f'<polyline class="line" style="stroke:{_colour(colour)}" points="{places}"/>')
    return "".join(parts), TOP + PLOT + AXIS


def _bars(panel: Bars) -> tuple[str, float]:
    along = levels(max((bar.highest for bar in panel.bars), default=1.0))
    bottom = TOP + ROW * len(panel.bars)
    parts = [_text(LEFT, 18, f"{panel.title}, {panel.unit}", "title"), *_legend(panel.legend)]
    for value in along:
        x = _across(value, along[-1])
        parts += [_line(x, TOP - 4, x, bottom, "grid" if value else "base")]
        parts += [_text(x, bottom + 14, label(value), "", "middle")]
    for place, bar in enumerate(panel.bars):
        y = TOP + ROW * place
        x, low, high = (_across(value, along[-1]) for value in (bar.value, bar.lowest, bar.highest))
        parts.append(_text(LEFT - 8, y + 11, bar.label, "name", "end"))
        shape = f'x="{LEFT}" y="{_n(y)}" width="{_n(x - LEFT)}" height="{BAR}" rx="2"'
        parts.append(f'<rect {shape} style="fill:{_colour(bar.colour)}"/>')
        if bar.highest > bar.lowest:
            parts.append(_line(low, y + BAR / 2, high, y + BAR / 2, "spread"))
        parts.append(_value(max(x, high), y, label(bar.value)))
    return "".join(parts), bottom + AXIS


def _value(x: float, y: float, text: str) -> str:
    """What a bar says, behind it; where there is no room, on it."""
    if x + LETTER * len(text) + 6 > WIDTH - 4:
        return _text(x - 6, y + 11, text, "name", "end")
    return _text(x + 6, y + 11, text, "name")


def _legend(names: Iterable[str]) -> list[str]:
    """Names and their colours, in one line below the title; none where there is only one."""
    parts: list[str] = []
    x = float(LEFT)
    names = list(names)
    for place, name in enumerate(names if len(names) > 1 else []):
        parts.append(f'<rect x="{_n(x)}" y="27" width="10" height="10" rx="2" style="fill:{_colour(place)}"/>')
        parts.append(_text(x + 14, 36, name))
        x += 14 + LETTER * len(name) + 18
    return parts


def _across(value: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value / most if most else 0)


def _height(value: float, most: float) -> float:
    return TOP + PLOT * (1 - value / most)


def _colour(place: int) -> str:
    return f"var(--c{place % COLOURS})"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{kind}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
