"""Jobs made by hand, for the runners and outcomes of ``conveyor.testing.hand``."""

from typing import Protocol

from conveyor.core import ids
from conveyor.core.extras import Extras, encoded, marked
from conveyor.core.model import NewJob
from conveyor.core.unique import Hold, OnConflict
from conveyor.store.contract import Store
from conveyor.testing.hand import CHANGED_ITS_MIND, FINGERPRINT, HOUR, INFO, QUEUE, TASK, Hand, enqueue, outcome, see

__all__ = [
    "CHANGED_ITS_MIND",
    "FINGERPRINT",
    "HOUR",
    "INFO",
    "QUEUE",
    "TASK",
    "Hand",
    "Hire",
    "enqueue",
    "key",
    "new_job",
    "new_jobs",
    "outcome",
    "rescue",
    "see",
    "tagged",
]


def new_job(
    *,
    task: str = TASK,
    queue: str = QUEUE,
    priority: int = 0,
    delay: int = 0,
    max_attempts: int = 5,
    args: bytes = b"[[],{}]",
    extras: Extras | None = None,
    unique: Hold | None = None,
) -> NewJob:
    """One job, due at once unless *delay* (microseconds) says otherwise."""
    rare = None if extras is None else encoded(extras)
    made = NewJob(ids.new(), task, queue, priority, 0, delay, max_attempts, None, args)
    return made._replace(extras=rare, unique=unique)


def key(name: str = "k", on_conflict: OnConflict = "existing", *, until_start: bool = False) -> Hold:
    """A unique key."""
    return Hold(name, until_start, on_conflict)


def tagged(*tags: str) -> Extras:
    """Extras with *tags*."""
    return Extras(tags=marked(tags))


def new_jobs(count: int) -> list[NewJob]:
    """So many jobs, told apart by their arguments."""
    return [new_job(args=f"[[{place}],{{}}]".encode()) for place in range(count)]


class Hire(Protocol):
    """Makes a living runner, on the test's own store unless another is given; it is retired after the test."""

    def __call__(self, on: Store | None = None, *, seconds: float = 60.0, id_: bytes | None = None) -> Hand: ...


def rescue(store: Store) -> int:
    """Rescue until nothing is left; how many jobs."""
    total = 0
    while True:
        rescued = store.run(store.operations.rescue(1000))
        total += len(rescued.jobs)
        if not rescued.more:
            return total
