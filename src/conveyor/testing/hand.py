"""A runner moved by hand, and what it begins with: for tests of a store. Needs no pytest."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from conveyor.core.failure import Failure
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, Claimed, JobInfo, NewJob, Outcome, RunnerInfo, appended
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from conveyor.store.leases import Leases

T = TypeVar("T")

TASK: Final = "shop.mail"
QUEUE: Final = "default"
SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
INFO: Final = RunnerInfo(host="here", pid=1, queues={QUEUE: 10}, tasks=(TASK,), version="0")
PATIENCE: Final = 10.0
FINGERPRINT: Final = "0123456789abcdef"
CHANGED_ITS_MIND: Final = "the task itself wants no more of it"


def outcome(job: Claimed, runner: bytes, event: Event, *, delay: int = 0, reason: str | None = None) -> Outcome:
    """What a worker would make of *event*, with a result, a record or a reason where the event has one."""
    made = Outcome(job.id, job.token, runner, event, delay=delay, reason=reason, run_time=7)
    match event:
        case Event.SUCCEED:
            return made._replace(result=b"42")
        case Event.CANCEL:
            return made._replace(reason=reason or CHANGED_ITS_MIND)
        case Event.EXPIRE:
            return made._replace(reason=reason or EXPIRED, back=True)
        case Event.RETRY | Event.FAIL | Event.QUARANTINE:
            failure = Failure(type="ValueError", message=f"attempt {job.attempt}", fingerprint=FINGERPRINT)
            times = (job.last_attempted_at, job.last_attempted_at + 7)
            record = appended(job.attempts, Attempt(job.attempt, event.value, *times, runner.hex(), failure))
            return made._replace(record=record, fingerprint=FINGERPRINT if event is Event.FAIL else None)
        case _:
            return made


def until(condition: Callable[[], T]) -> T:
    """What *condition* gives, once that is something; fails when it takes too long."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s"
        time.sleep(0.001)
    return found


@dataclass
class Hand:
    """A runner moved by hand: its id, its lease, and the operations that bear its name."""

    store: Store
    seconds: float = 60.0
    id: bytes = field(default_factory=lambda: os.urandom(16))
    lives: bool = True

    def __post_init__(self) -> None:
        """It lives."""
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
        """Claim until *count* jobs are there: those of one call may come due 1 us apart."""
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

    def end(self, job: Claimed, event: Event, *, delay: int = 0, reason: str | None = None) -> None:
        """Write one outcome, which must be taken."""
        assert self.settle(outcome(job, self.id, event, delay=delay, reason=reason)) == frozenset()

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


def enqueue(store: Store, *jobs: NewJob) -> Mapping[bytes, bytes]:
    """Store *jobs*; the holders of keys that were taken."""
    return store.run(store.operations.enqueue(jobs))


def see(store: Store, id_: bytes) -> JobInfo:
    """The record of a job that must be there."""
    info = store.run(store.operations.get(id_))
    assert info is not None
    return info
