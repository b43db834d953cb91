"""Draws a state diagram as SVG, for `docs/conf.py`: states are columns, and each move is an arrow in a row of its own.

It reads Mermaid's ``stateDiagram-v2``, which a code host draws by itself, so that a page holds its diagram once. Boxes
with arrows between them would need a layout, and lines that cross as soon as states are added; rows never cross.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

OUTSIDE: Final = "[*]"
"""Mermaid's word for "not yet" as a source, and for "nothing more" as a target."""
ARROW = re.compile(r"(\[\*\]|\w+) --> (\[\*\]|\w+)(?:: (.+))?")

GUTTER, FIRST, COLUMN, HEAD, ROW = 92, 4, 92, 40, 24
MUTED = "var(--color-foreground-border, #999)"
LINE = "var(--color-brand-primary, currentColor)"


POINT = (
    '<defs><marker id="point" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    f'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" style="fill:{LINE}"/></marker></defs>'
)


class Move(NamedTuple):
    """One arrow."""

    source: str
    target: str
    label: str


class Chart(NamedTuple):
    """What is to be drawn."""

    states: Sequence[str]
    """In the order in which the diagram names them; ``OUTSIDE`` first, if anything begins there."""
    moves: Sequence[Move]
    final: frozenset[str]


def read(text: str) -> Chart:
    """The diagram that *text* describes. ``ValueError`` for a line that is no arrow."""
    head, *lines = (line.strip() for line in text.strip().splitlines())
    if head != "stateDiagram-v2":
        raise ValueError(f"only a stateDiagram-v2 can be drawn, not {head!r}")
    arrows = [_arrow(line) for line in lines if line]
    moves = [move for move in arrows if move.target != OUTSIDE]
    names = list(dict.fromkeys(name for move in moves for name in (move.source, move.target)))
    final = frozenset(move.source for move in arrows if move.target == OUTSIDE)
    return Chart(sorted(names, key=lambda name: name != OUTSIDE), moves, final)


def _arrow(line: str) -> Move:
    found = ARROW.fullmatch(line)
    if found is None:
        raise ValueError(f"{line!r} is no arrow; write: source --> target: label")
    return Move(found[1], found[2], found[3] or "")


def svg(chart: Chart) -> str:
    """The drawing, in the page's own colours, so that it is readable by light and dark."""
    width = GUTTER + FIRST + COLUMN * len(chart.states)
    height = HEAD + ROW * len(chart.moves) + 8
    says = "; ".join(f"{move.source} to {move.target}: {move.label}" for move in chart.moves).replace(OUTSIDE, "new")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="100%" role="img" '
        f'aria-label="{escape(says)}" font-family="inherit" font-size="12" fill="currentColor">'
    )
    return "\n".join([head, POINT, *_columns(chart, height), *_rows(chart), "</svg>"])


def _place(chart: Chart, state: str) -> float:
    """The middle of the state's column."""
    return GUTTER + FIRST + COLUMN * (chart.states.index(state) + (0.2 if state == OUTSIDE else 0.5))


def _columns(chart: Chart, height: float) -> Iterator[str]:
    for state in chart.states:
        if state == OUTSIDE:
            continue
        x = _place(chart, state)
        yield f'<line x1="{x}" y1="{HEAD - 10}" x2="{x}" y2="{height}" style="stroke:{MUTED}" stroke-dasharray="2 3"/>'
        yield _box(x, inset=0)
        if state in chart.final:
            yield _box(x, inset=3)
        yield f'<text x="{x}" y="21" text-anchor="middle">{escape(state)}</text>'


def _box(x: float, *, inset: int) -> str:
    place = f'x="{x - COLUMN / 2 + 2 + inset}" y="{4 + inset}"'
    size = f'width="{COLUMN - 4 - 2 * inset}" height="{26 - 2 * inset}"'
    return f'<rect {place} {size} rx="6" fill="none" style="stroke:{MUTED}"/>'


def _rows(chart: Chart) -> Iterator[str]:
    for number, move in enumerate(chart.moves):
        y = HEAD + ROW * number + ROW / 2
        start, end = _place(chart, move.source), _place(chart, move.target)
        yield f'<text x="{GUTTER}" y="{y + 4}" text-anchor="end">{escape(move.label)}</text>'
        yield f'<circle cx="{start}" cy="{y}" r="4" style="fill:{LINE}"/>'
        path = f"M{start} {y}H{end}" if start != end else f"M{start} {y}h14v8h-14"
        yield f'<path d="{path}" fill="none" style="stroke:{LINE}" stroke-width="1.5" marker-end="url(#point)"/>'
