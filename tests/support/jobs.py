"""Jobs, outcomes and runners, made by hand."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from conveyor.core import ids
from conveyor.core.extras import Extras, encoded, marked
from conveyor.core.failure import Failure
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, Claimed, JobInfo, NewJob, Outcome, RunnerInfo, appended
from conveyor.core.unique import Hold, OnConflict
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from conveyor.store.leases import Leases
from tests.support.waiting import until

TASK = "shop.tasks.mail"
QUEUE = "default"
HOUR = 3_600_000_000
FINGERPRINT = "0123456789abcdef"
CHANGED_ITS_MIND = "the task itself wants no more of it"
INFO = RunnerInfo(host="here", pid=1, queues={QUEUE: 10}, tasks=(TASK,), version="0")


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


def outcome(job: Claimed, runner: bytes, event: Event, *, delay: int = 0) -> Outcome:
    """What ``judge`` would make of *event*, with a result or a record where the event has one."""
    made = Outcome(job.id, job.token, runner, event, delay=delay, run_time=7)
    match event:
        case Event.SUCCEED:
            return made._replace(result=b"42")
        case Event.CANCEL:
            return made._replace(reason=CHANGED_ITS_MIND)
        case Event.EXPIRE:
            return made._replace(reason=EXPIRED, back=True)
        case Event.RETRY | Event.FAIL:
            failure = Failure(type="ValueError", message=f"attempt {job.attempt}", fingerprint=FINGERPRINT)
            times = (job.last_attempted_at, job.last_attempted_at + 7)
            record = appended(job.attempts, Attempt(job.attempt, event.value, *times, runner.hex(), failure))
            return made._replace(record=record, fingerprint=FINGERPRINT if event is Event.FAIL else None)
        case _:
            return made


@dataclass
class Hand:
    """A runner moved by hand: its id, its lease, and the operations that bear its name."""

    store: Store
    seconds: float = 60.0
    id: bytes = field(default_factory=lambda: os.urandom(16))
    lives: bool = True

    def __post_init__(self) -> None:
        self.leases: Leases = self.store.leases(self.seconds)
        self.leases.register(self.id, INFO)

    def renews(self) -> bool:
        """Renew the lease; whether it still holds."""
        return self.id in self.leases.renew([self.id])

    def retire(self, *, clean: bool) -> None:
        """End the lease."""
        self.leases.retire(self.id, clean=clean)
        self.leases.close()

    def claim(self, room: int | Mapping[str, int] = 10, tasks: Sequence[str] = (TASK,)) -> Sequence[Claimed]:
        """Claim once; a bare number is room in the default queue."""
        places = {QUEUE: room} if isinstance(room, int) else room
        return self.store.run(self.store.operations.claim(self.id, places, tasks))

    def take(self, count: int) -> list[Claimed]:
        """Claim until *count* jobs are there: those of one call come due 1 us apart."""
        taken: list[Claimed] = []

        def enough() -> bool:
            taken.extend(self.claim(count - len(taken)))
            return len(taken) >= count

        until(enough)
        return taken

    def take_one(self) -> Claimed:
        """Claim one job."""
        (job,) = self.take(1)
        return job

    def answer(self, *outcomes: Outcome) -> Settled:
        """Write *outcomes*; what the store says."""
        return self.store.run(self.store.operations.settle(outcomes))

    def settle(self, *outcomes: Outcome) -> frozenset[bytes]:
        """Write *outcomes* of jobs that nobody wants cancelled; the ids that were refused."""
        answer = self.answer(*outcomes)
        assert answer.stopped == frozenset()
        return answer.refused

    def end(self, job: Claimed, event: Event, *, delay: int = 0) -> None:
        """Write one outcome, which must be taken."""
        assert self.settle(outcome(job, self.id, event, delay=delay)) == frozenset()

    def run_one(self, event: Event = Event.SUCCEED, *, delay: int = 0) -> Claimed:
        """Claim one job, and end its attempt so."""
        job = self.take_one()
        self.end(job, event, delay=delay)
        return job

    def die(self) -> None:
        """Lose the lease, and leave what is held."""
        if self.lives:
            self.lives = False
            self.retire(clean=False)


class Hire(Protocol):
    """Makes a living runner, on the test's own store unless another is given; it is retired after the test."""

    def __call__(self, on: Store | None = None, *, seconds: float = 60.0, id_: bytes | None = None) -> Hand: ...


def enqueue(store: Store, *jobs: NewJob) -> dict[bytes, bytes]:
    """Store *jobs*; who holds the unique keys of those that were not."""
    return dict(store.run(store.operations.enqueue(jobs)))


def see(store: Store, id_: bytes) -> JobInfo:
    """The record of a job that must be there."""
    info = store.run(store.operations.get(id_))
    assert info is not None
    return info


def rescue(store: Store) -> int:
    """Rescue until nothing is left; how many jobs."""
    total = 0
    while True:
        rescued = store.run(store.operations.rescue(1000))
        total += len(rescued.jobs)
        if not rescued.more:
            return total
