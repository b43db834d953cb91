"""``app.jobs.unrunnable``: looks through what waits, from both ends, within bounds, and at the schedules."""

from collections.abc import Callable, Sequence
from typing import Final

from conveyor.core import ids
from conveyor.core.codec import Codec
from conveyor.core.deploy import DeployCheck, MisfitSchedule, Tally
from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import WAITING
from conveyor.core.model import Direction, JobFilter
from conveyor.store.contract import Store
from conveyor.store.rounds import Rounds, step

PAGE: Final = 500
LOOKED_AT: Final = 10_000
"""Waiting jobs, unless somebody asks for more."""

Lasting = Callable[[str | None], Rounds[Sequence[MisfitSchedule]]]
"""Looks at the schedules, or at those of one queue."""


def looked_through(
    store: Store, codecs: Callable[[str], Codec | None], lasting: Lasting, queue: str | None, limit: int
) -> Rounds[DeployCheck]:
    """The oldest half and the newest: a backlog at one end must not hide what is at the other."""
    if limit < 1:
        raise UsageError(f"limit={limit!r} must be a whole number above 0")
    where, tally = JobFilter(states=tuple(WAITING), queue=queue), Tally(codecs)
    last = yield from _pages(store, where, tally, "oldest", (limit + 1) // 2, "")
    if last:
        last = yield from _pages(store, where, tally, "newest", limit, last)
    return tally.result((yield from lasting(queue)), whole=not last)


def _pages(store: Store, where: JobFilter, tally: Tally, direction: Direction, limit: int, until: str) -> Rounds[str]:
    """Look at jobs until there were *limit* in all; gives the id of the last, or nothing when all were looked at.

    Those up to the id *until* have been looked at from the other end. What comes and goes meanwhile is no matter.
    """
    last = ""
    while tally.looked < limit:
        many = min(PAGE, limit - tally.looked)
        after = ids.parse(last) if last else None
        page = yield from step(store.operations.list(where, limit=many, after=after, direction=direction))
        for job in page:
            if until and job.id <= until:
                return ""
            tally.add(job)
            last = job.id
        if len(page) < many:
            return ""
    return last or until
