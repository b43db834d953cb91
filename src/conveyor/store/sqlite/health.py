"""What ``app.doctor()`` looks at in an SQLite store besides its jobs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from conveyor.core.errors import ConveyorError
from conveyor.core.health import Finding, fine, note, trouble
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.sqlite.place import Place

WAL_USUAL: Final = 64 * 1024 * 1024
"""Bytes. SQLite writes its log back into the file each 4 MiB, unless somebody goes on reading what was before."""
SOUND: Final = "ok"

Run = Callable[[Plan[Sequence[str]]], Sequence[str]]


def examined(place: Place, run: Run, *, deep: bool) -> list[Finding]:
    """What is found; that the file is not on a network is seen to before it is opened."""
    found: list[Finding] = []
    if place.memory:
        found.append(note("file", "the store is in memory: its jobs end with this process"))
    else:
        found += [_durability(place), _log(place.file.with_name(place.file.name + "-wal"))]
    return [*found, _sound(run)] if deep else found


def _durability(place: Place) -> Finding:
    if place.synchronous == "FULL":
        return fine("durability", "synchronous=FULL: what was accepted outlives a power cut")
    fix = "leave synchronous= out of the URL, unless that is meant"
    return note("durability", f"synchronous={place.synchronous}: a power cut may lose the last commits", fix)


def _log(file: Path) -> Finding:
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        size = 0
    except OSError as error:
        return note("log", f"the write-ahead log cannot be looked at: {error}")
    text = f"the write-ahead log has {size / 1024 / 1024:,.1f} MiB"
    if size <= WAL_USUAL:
        return fine("log", text)
    return note("log", text, "find who keeps a transaction open on the file: it cannot be written back meanwhile")


def _sound(run: Run) -> Finding:
    def steps() -> "Steps[Sequence[str]]":
        answer = yield Statement("PRAGMA quick_check(3)", {})
        return [str(row[0]) for row in answer.rows]

    try:
        told = run(Plan(steps, writes=False))
    except ConveyorError as error:
        told = [str(error)]
    if told == [SOUND]:
        return fine("integrity", "SQLite's quick_check finds the file sound")
    fix = "stop the workers, copy the file away, and restore a backup, or what `sqlite3 FILE .recover` gives"
    return trouble("integrity", f"the file is damaged: {'; '.join(told)}", fix)
