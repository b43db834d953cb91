"""Jobs, outcomes and runners, made by hand."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from conveyor.core import ids
from conveyor.core.failure import Failure
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, Claimed, JobInfo, NewJob, Outcome, RunnerInfo, appended
from conveyor.store.contract import Lease, Store
from tests.support.waiting import until

TASK = "shop.tasks.mail"
QUEUE = "default"
HOUR = 3_600_000_000
INFO = RunnerInfo(host="here", pid=1, queues={QUEUE: 10}, tasks=(TASK,), version="0")


def new_job(
    *,
    task: str = TASK,
    queue: str = QUEUE,
    priority: int = 0,
    delay: int = 0,
    max_attempts: int = 5,
    args: bytes = b"[[],{}]",
) -> NewJob:
    """One job, due at once unless *delay* (microseconds) says otherwise."""
    return NewJob(ids.new(), task, queue, priority, 0, delay, max_attempts, None, args)


def new_jobs(count: int) -> list[NewJob]:
    """So many jobs, told apart by their arguments."""
    return [new_job(args=f"[[{place}],{{}}]".encode()) for place in range(count)]


def outcome(job: Claimed, runner: bytes, event: Event, *, delay: int = 0) -> Outcome:
    """What ``judge`` would make of *event*, with a result or a record where the event has one."""
    result = b"42" if event is Event.SUCCEED else None
    record = None
    if event in {Event.RETRY, Event.FAIL}:
        failure = Failure(type="ValueError", message=f"attempt {job.attempt}")
        times = (job.last_attempted_at, job.last_attempted_at + 7)
        record = appended(job.attempts, Attempt(job.attempt, event.value, *times, runner.hex(), failure))
    return Outcome(job.id, job.token, runner, event, delay=delay, result=result, record=record, run_time=7)


@dataclass
class Hand:
    """A runner moved by hand: its id, its lease, and the operations that bear its name."""

    store: Store
    seconds: float = 60.0
    id: bytes = field(default_factory=lambda: os.urandom(16))
    lives: bool = True

    def __post_init__(self) -> None:
        self.lease: Lease = self.store.lease(self.id, INFO, self.seconds)
        self.lease.register()

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

    def settle(self, *outcomes: Outcome) -> frozenset[bytes]:
        """Write *outcomes*; the ids that were refused."""
        return self.store.run(self.store.operations.settle(outcomes))

    def end(self, job: Claimed, event: Event, *, delay: int = 0) -> None:
        """Write one outcome, which must be taken."""
        assert self.settle(outcome(job, self.id, event, delay=delay)) == frozenset()

    def die(self) -> None:
        """Lose the lease, and leave what is held."""
        if self.lives:
            self.lives = False
            self.lease.retire(clean=False)


class Hire(Protocol):
    """Makes a living runner, on the test's own store unless another is given; it is retired after the test."""

    def __call__(self, on: Store | None = None, *, seconds: float = 60.0) -> Hand: ...


def enqueue(store: Store, *jobs: NewJob) -> None:
    """Store *jobs*."""
    store.run(store.operations.enqueue(jobs))


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
        total += rescued.jobs
        if not rescued.more:
            return total
