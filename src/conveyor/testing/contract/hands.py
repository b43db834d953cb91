"""Jobs, outcomes and runners made by hand, and the fixtures that the suite stands on."""

import asyncio
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeVar

import pytest

from conveyor.core import ids
from conveyor.core.extras import Extras, encoded
from conveyor.core.failure import Failure
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Attempt, Claimed, JobFilter, JobInfo, NewJob, Outcome, RunnerInfo, appended
from conveyor.core.unique import Hold, OnConflict
from conveyor.plan import Plan
from conveyor.store.answers import Pass, Rescued
from conveyor.store.contract import Store
from conveyor.store.leases import Leases

T = TypeVar("T")

TASK: Final = "shop.mail"
QUEUE: Final = "default"
SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
INFO: Final = RunnerInfo(host="here", pid=1, queues={QUEUE: 10}, tasks=(TASK,), version="0")
PATIENCE: Final = 10.0


def new_job(  # noqa: PLR0913 - a job has that many sides
    number: int = 0,
    *,
    task: str = TASK,
    queue: str = QUEUE,
    priority: int = 0,
    due: int = 0,
    delay: int = 0,
    max_attempts: int = 5,
    expires: int | None = None,
    keep: int | None = None,
    extras: Extras | None = None,
    unique: str | None = None,
    until_start: bool = False,
    on_conflict: OnConflict = "existing",
) -> NewJob:
    """One job, due at once unless *due* or *delay* (microseconds) say otherwise; *number* is its argument."""
    return NewJob(
        ids.new(),
        task,
        queue,
        priority,
        due,
        delay,
        max_attempts,
        None,
        f"[[{number}],{{}}]".encode(),
        expires,
        keep,
        None if extras is None else encoded(extras),
        None if unique is None else Hold(unique, until_start, on_conflict),
    )


def outcome(job: Claimed, runner: bytes, event: Event, *, delay: int = 0, reason: str | None = None) -> Outcome:
    """What a worker would make of *event*, with a result or a record where the event has one."""
    record = None
    if event in {Event.RETRY, Event.FAIL, Event.QUARANTINE}:
        failure = Failure(type="ValueError", message=f"attempt {job.attempt}", fingerprint="0123456789abcdef")
        times = (job.last_attempted_at, job.last_attempted_at + 7)
        record = appended(job.attempts, Attempt(job.attempt, event.value, *times, runner.hex(), failure))
    return Outcome(
        job.id,
        job.token,
        runner,
        event,
        delay=delay,
        result=b"42" if event is Event.SUCCEED else None,
        record=record,
        reason=reason,
        fingerprint="0123456789abcdef" if event is Event.FAIL else None,
        run_time=7,
    )


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

    def settle(self, *outcomes: Outcome) -> frozenset[bytes]:
        """Write *outcomes*; the ids that were refused."""
        return self.store.run(self.store.operations.settle(outcomes)).refused

    def end(self, job: Claimed, event: Event, *, delay: int = 0, reason: str | None = None) -> None:
        """Write one outcome, which must be taken."""
        assert self.settle(outcome(job, self.id, event, delay=delay, reason=reason)) == frozenset()

    def die(self) -> None:
        """Lose the lease, and leave what is held."""
        if self.lives:
            self.lives = False
            self.retire(clean=False)


class Hire:
    """Makes living runners, and retires them at the end."""

    def __init__(self, store: Store) -> None:
        """On *store*, unless another is given."""
        self._store = store
        self._hands: list[Hand] = []

    def __call__(self, on: Store | None = None, *, seconds: float = 60.0) -> Hand:
        """One more, with a lease of *seconds*."""
        self._hands.append(Hand(on or self._store, seconds))
        return self._hands[-1]

    def dismiss(self) -> None:
        """All of them."""
        for hand in self._hands:
            hand.die()


class Suite:
    """What a class of the suite stands on. A subclass gives the fixture ``open_store``."""

    shared: ClassVar[bool] = True
    """Whether a store that is opened twice is the same store; not so for one in memory."""
    ordered: ClassVar[bool] = True
    """Whether priorities and times order all jobs of a queue; not so for one in parts, which orders those of each."""

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        """A function that opens the store, which is empty at the start of each test."""
        raise NotImplementedError("give your class a fixture open_store that returns a function: it opens the store")

    @pytest.fixture
    def opened(self, open_store: Callable[[], Store]) -> Generator[Callable[[], Store]]:
        """Opens the store once more at each call, with its tables; closes all at the end."""
        stores: list[Store] = []

        def another() -> Store:
            stores.append(open_store())
            stores[-1].migrate()
            return stores[-1]

        yield another
        for store in stores:
            store.close()

    @pytest.fixture
    def store(self, opened: Callable[[], Store]) -> Store:
        """The store."""
        return opened()

    @pytest.fixture
    def second(self, store: Store, opened: Callable[[], Store]) -> Store:
        """The same store, opened once more where it is shared, as by another process."""
        return opened() if self.shared else store

    @pytest.fixture
    def hire(self, store: Store) -> Generator[Hire]:
        """Makes living runners."""
        hire = Hire(store)
        yield hire
        hire.dismiss()

    @pytest.fixture
    def hand(self, hire: Hire) -> Hand:
        """A living runner."""
        return hire()


def enqueue(store: Store, *jobs: NewJob) -> Mapping[bytes, bytes]:
    """Store *jobs*; the holders of keys that were taken."""
    return store.run(store.operations.enqueue(jobs))


def see(store: Store, id_: bytes) -> JobInfo:
    """The record of a job that must be there."""
    info = store.run(store.operations.get(id_))
    assert info is not None
    return info


def states(store: Store, *jobs: NewJob | Claimed) -> list[State]:
    """Where *jobs* stand."""
    return [see(store, job.id).state for job in jobs]


def rescue(store: Store) -> list[bytes]:
    """Rescue until nothing is left; the ids of the jobs."""
    found: list[bytes] = []
    more = True
    while more:
        rescued: Rescued = store.run(store.operations.rescue(100))
        found += [job.id for job, _ in rescued.jobs]
        more = rescued.more
    return found


def ask(store: Store, where: JobFilter, reason: str = "enough") -> Pass:
    """Ask running jobs to stop."""
    return store.run(store.control.ask(where, reason, 100, None))


def in_a_loop(store: Store, *plans: Plan[T]) -> list[T]:
    """Carry *plans* out all at once, in an event loop of their own."""

    async def carried() -> list[T]:
        try:
            return await asyncio.gather(*map(store.arun, plans))
        finally:
            await store.aclose()

    return asyncio.run(carried())
