"""What the doctor says of the partitions in which history lies."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from conveyor.core.health import Finding, fine, note, trouble
from conveyor.store.postgres.checks.look import Look

ASTRAY: Final = 10_000
"""Ended jobs without a partition: nobody counts more."""
DAY: Final = 86_400_000_000
"""Microseconds."""
FREE: Final = "see that a worker runs, which makes and drops them; then find who holds a transaction that reads history"


class History(NamedTuple):
    """The answer to ``arranged.sql``."""

    there: int
    """Partitions."""
    ahead: int | None
    """Microseconds from now on for which those of days will do; ``None`` when there are none."""
    overdue: int
    """Partitions that should have been dropped a day ago or longer."""
    stray: int
    """Ended jobs that have no partition; not more than ``ASTRAY`` are counted."""


def looked(look: Look) -> Sequence[Finding]:
    """The partitions that there are, and what they lack."""
    bare = [
        trouble("history", f"the partition {name} lacks an index, so that all of it is read for one job", str(fix))
        for name, fix in look.ask("indexed")
    ]
    return bare or of_history(History._make(look.ask("arranged", most=ASTRAY)[0]))


def of_history(history: History) -> list[Finding]:
    """Whether there is room in time, and whether what is over goes. None of it loses a job or keeps one from ending."""
    found: list[Finding] = []
    if history.ahead is None or history.ahead < DAY:
        when = "now" if (history.ahead or 0) <= 0 else "in less than a day"
        text = f"history lacks partitions for jobs that end {when}: they will be deleted one by one"
        found.append(note("history", text, FREE))
    if history.overdue:
        text = f"{history.overdue} partitions of history are over for a day and still there"
        found.append(note("history", text, FREE))
    if history.stray >= ASTRAY:
        text = f"{ASTRAY:,} ended jobs or more have no partition, and will be deleted one by one"
        fix = "nothing, if jobs are kept for a new length of time since less than that; else see that a worker runs"
        found.append(note("history", text, fix))
    return found or [fine("history", f"history lies in {history.there} partitions, and has those of the next days")]
