"""What schedules have made, read as it is stored, and what they were to make: one job for each tick."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from conveyor.cli.bench.figures import quantile
from conveyor.cli.chaos.keys import HOT, PAST, keys, on_redis, schedules
from conveyor.cli.chaos.keys import clock as clock_of_redis
from conveyor.cli.chaos.tables import asking, sqlite

SECOND: Final = 1_000_000
GRACE: Final = 30 * SECOND
"""A tick that is later than this was missed, as the documentation has it."""
SHOWN: Final = 3
"""Ticks that are named for each violation."""
_FIELDS: Final = ("created_at", "next_at", "tick", "fired", "paused_at", "job")
_CURSORS: Final = f"SELECT name, {', '.join(_FIELDS)} FROM conveyor_schedule ORDER BY name"  # noqa: S608 - our own words
_MADE: Final = (
    "SELECT id, extras, enqueued_at FROM conveyor_job WHERE extras IS NOT NULL UNION ALL "
    "SELECT id, extras, enqueued_at FROM conveyor_history WHERE extras IS NOT NULL"
)
_CLOCK: Final = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"


class Cursor(NamedTuple):
    """Where a schedule stands. Times are microseconds since 1970, by the database's clock."""

    name: str
    created_at: int
    next_at: int | None
    tick: int | None
    """The latest that has passed."""
    fired: int
    """Jobs that it says it has made."""
    paused_at: int | None
    job: str | None
    """The latest of them."""


class Made(NamedTuple):
    """A job of a schedule."""

    job: str
    schedule: str
    tick: int
    at: int
    """When it was made."""


class Ticks(NamedTuple):
    """What came of the ticks of several schedules."""

    wanted: int
    doubled: Sequence[str]
    missed: Sequence[str]
    other: Sequence[str]
    """Whatever else is wrong."""
    late: Sequence[int]
    """Microseconds from each tick to its job, ascending."""


def read_cursors(url: str) -> Mapping[str, Cursor]:
    """All schedules, by name."""
    if on_redis(url):
        with keys(url) as here:
            found = [_cursor(*map(_plain, row)) for row in schedules(here, *_FIELDS)]
        return {cursor.name: cursor for cursor in found}
    with asking(url) as connection:
        return {cursor.name: cursor for cursor in (_cursor(*row) for row in connection.execute(_CURSORS))}


def read_made(url: str) -> Sequence[Made]:
    """Their jobs, in the order of their ticks, from both tables."""
    if on_redis(url):
        with keys(url) as here:
            rows = here.look((*HOT, *PAST), "extras", "enqueued_at")
        made = {_made(*map(_plain, row)) for _, row in rows}
    else:
        with asking(url) as connection:
            made = {_made(*row) for row in connection.execute(_MADE)}
    return sorted((job for job in made if job.schedule), key=lambda job: (job.tick, job.schedule))


def clock(url: str) -> int:
    """What time it is in the database; SQLite has no clock of its own."""
    if sqlite(url):
        return time.time_ns() // 1_000
    if on_redis(url):
        with keys(url) as here:
            return clock_of_redis(here)
    with asking(url) as connection:
        return int(str(next(iter(connection.execute(_CLOCK)))[0]))


def judged(cursors: Iterable[Cursor], made: Iterable[Made], period: int) -> Ticks:
    """Each of *cursors*, which tick whole *period*s since 1970, must have one job of each tick since it was made.

    Where it stands is not taken from its jobs, but what it says is held against them.
    """
    jobs: dict[str, dict[int, list[Made]]] = {cursor.name: {} for cursor in cursors}
    for job in made:
        jobs.setdefault(job.schedule, {}).setdefault(job.tick, []).append(job)
    doubled: list[str] = []
    missed: list[str] = []
    other: list[str] = []
    late: list[int] = []
    wanted = 0
    for cursor in cursors:
        found = jobs[cursor.name]
        first = cursor.created_at // period * period
        # who makes it has looked what time it is a little earlier: one tick before is allowed
        ticks = range(first if first in found else first + period, (cursor.tick or 0) + 1, period)
        wanted += len(ticks)
        late += [job.at - tick for tick, all_ in found.items() for job in all_]
        doubled += [f"{cursor.name} at {moment(tick)}" for tick, all_ in found.items() if len(all_) > 1]
        missed += [f"{cursor.name} at {moment(tick)}" for tick in ticks if tick not in found]
        other += [f"{cursor.name} has no tick at {moment(tick)}" for tick in found if tick not in ticks]
        if (count := sum(map(len, found.values()))) != cursor.fired:
            other.append(f"{cursor.name} says that it has made {cursor.fired:,} jobs, and there are {count:,}")
    return Ticks(wanted, doubled, missed, other, sorted(late))


def violations(ticks: Ticks) -> list[str]:
    """Each kind in a line, with the first ones."""
    told = (("doubled", ticks.doubled), ("missed", ticks.missed), ("wrong", ticks.other))
    return [f"ticks: {len(all_):,} {what}: {named(all_)}" for what, all_ in told if all_]


def told(ticks: Ticks) -> str:
    """The figures."""
    counts = f"{ticks.wanted:,} ticks, {len(ticks.doubled):,} doubled, {len(ticks.missed):,} missed"
    if not ticks.late:
        return counts
    p50, p99, most = (quantile(ticks.late, share) / SECOND for share in (0.5, 0.99, 1.0))
    return f"{counts}; their jobs were made {p50:.3f} s after them, p99 {p99:.3f}, max {most:.3f}"


def named(all_: Sequence[str]) -> str:
    """The first ones."""
    return ", ".join(all_[:SHOWN]) + (", ..." if len(all_) > SHOWN else "")


def moment(at: int) -> str:
    """For people."""
    return f"{datetime.fromtimestamp(at / SECOND, UTC):%H:%M:%S}"


def _cursor(*columns: object) -> Cursor:
    name, created_at, next_at, tick, fired, paused_at, job = columns
    return Cursor(
        str(name),
        int(str(created_at)),
        _number(next_at),
        _number(tick),
        int(str(fired)),
        _number(paused_at),
        None if job is None else _id(job),
    )


def _number(column: object) -> int | None:
    return None if column is None else int(str(column))


def _plain(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode()


def _id(column: object) -> str:
    if isinstance(column, str):
        return str(UUID(column))
    return str(column if isinstance(column, UUID) else UUID(bytes=column if isinstance(column, bytes) else b""))


def _made(*columns: object) -> Made:
    id_, extras, at = columns
    facts = json.loads(extras if isinstance(extras, str) else "{}")
    return Made(_id(id_), str(facts.get("schedule", "")), int(facts.get("tick", 0)), int(str(at)))
