"""What commands print: tables for people, JSON for programs."""

import json
import os
import sys
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

from conveyor.cli.masking import shown_call
from conveyor.core.health import span
from conveyor.core.lifecycle import State
from conveyor.core.model import COUNTED, JobInfo

ENOUGH: Final = 10
"""A column of a table is not cut below this while others have more."""
LEAST: Final = 5
"""A cell narrower than this would show nothing."""
COLOURS: Final[Mapping[str, str]] = {
    State.RUNNING: "cyan",
    State.RETRYABLE: "yellow",
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.QUARANTINED: "bold red",
    State.CANCELLED: "dim",
}


def say(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def say_json(value: object) -> None:
    """*value* as JSON on standard output; what could move a cursor or turn a line around is escaped as JSON does."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    say("\n".join(line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n")))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, or on a terminal as wide as there is room.

    Cells are shown, never obeyed: they hold what a user's code, or somebody who sent it something, has written.
    """
    lines = [tuple(map(clean, line)) for line in (head, *rows)]
    if is_terminal(sys.stdout) and _drawn(lines):
        return
    widths = _widths(lines)
    for line in lines:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())


def clean(text: str) -> str:
    """*text* with all that could move a cursor, colour or turn a line around written as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _escaped(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at *stream*, through something that can do more than a typewriter."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def colourless() -> bool:
    """Whether the user wants no colours: https://no-color.org."""
    return bool(os.environ.get("NO_COLOR"))


def _drawn(lines: Sequence[Sequence[str]]) -> bool:
    """Draw a table with rich; ``False`` where that is not installed, or there is no room."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    console = Console(file=sys.stdout, force_terminal=True, color_system=None if colourless() else "auto")
    head, *rows = lines
    states = head.index("STATE") if "STATE" in head else None
    for gap in (2, 1):
        widths = fitted(lines, console.width - gap * (len(head) - 1), {0, states})
        if widths is not None:
            break
    else:
        return False
    drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for name, width in zip(head, widths, strict=True):
        drawn.add_column(Text(name), width=width, no_wrap=True, overflow="ellipsis")
    for row in rows:
        styles = [COLOURS.get(cell, "") if place == states else "" for place, cell in enumerate(row)]
        drawn.add_row(*(Text(cell, style=style) for cell, style in zip(row, styles, strict=True)))
    console.print(drawn)
    return True


def fitted(lines: Sequence[Sequence[str]], room: int, whole: Collection[int | None]) -> list[int] | None:
    """Widths of the columns of *lines* that come to no more than *room*; ``None`` when cells would show nothing.

    The columns *whole*, by their places, keep theirs. The widest is cut first; headings give way to what is below.
    """
    widths = _widths(lines)
    cells = [max(map(_width, column[1:]), default=0) for column in zip(*lines, strict=True)]
    for least in ([ENOUGH] * len(widths), cells, [LEAST] * len(widths)):
        while sum(widths) > room:
            longer = [place for place, width in enumerate(widths) if place not in whole and width > least[place]]
            if not longer:
                break
            widths[max(longer, key=lambda place: (widths[place], place))] -= 1
    return widths if sum(widths) <= room else None


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(_width, column)) for column in zip(*lines, strict=True)]


def _width(text: str) -> int:
    """The columns that *text* takes on a terminal."""
    if text.isascii():
        return len(text)
    marks = {"Mn", "Me"}  # they share the place of what is before them
    places = [1 + (unicodedata.east_asian_width(c) in "WF") for c in text if unicodedata.category(c) not in marks]
    return sum(places)


def counted(number: int) -> str:
    """A count as people read it; counts end at 10,000."""
    return f"{number:,}" if number <= COUNTED else f"{COUNTED:,}+"


def age(moment: datetime) -> str:
    """How long ago, in one unit."""
    return span(datetime.now(UTC) - moment)


def stamp(moment: datetime | None) -> str | None:
    """A time for programs."""
    return moment.isoformat() if moment else None


def job_json(info: JobInfo) -> dict[str, object]:
    """A job's record for programs; times in ISO 8601, durations in seconds, redacted arguments hidden."""
    arguments, result = shown_call(info)
    error = info.error
    return {
        "id": info.id,
        "task": info.task,
        "queue": info.queue,
        "priority": info.priority,
        "state": info.state,
        "attempt": info.attempt,
        "max_attempts": info.max_attempts,
        "crashes": info.crashes,
        "enqueued_at": stamp(info.enqueued_at),
        "run_after": stamp(info.run_after),
        "started_at": stamp(info.started_at),
        "last_attempted_at": stamp(info.last_attempted_at),
        "finished_at": stamp(info.finished_at),
        "expires_at": stamp(info.expires_at),
        "delete_after": stamp(info.delete_after),
        "run_time": info.run_time.total_seconds() if info.run_time is not None else None,
        "error": str(error) if error else None,
        "fingerprint": error.fingerprint if error else None,
        "cancelled": info.cancelled,
        "progress": {"value": info.progress.value, "message": info.progress.message} if info.progress else None,
        "tags": list(info.tags),
        "meta": info.meta,
        "unique": info.unique,
        "arguments": arguments,
        "result": result,
    }
