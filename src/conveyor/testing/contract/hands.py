"""Jobs made by hand, and the fixtures that the suite stands on."""

import asyncio
from collections.abc import Callable, Generator
from typing import ClassVar, TypeVar

import pytest

from conveyor.core import ids
from conveyor.core.extras import Extras, encoded
from conveyor.core.lifecycle import State
from conveyor.core.model import Claimed, JobFilter, NewJob
from conveyor.core.unique import Hold, OnConflict
from conveyor.plan import Plan
from conveyor.store.answers import Pass, Rescued
from conveyor.store.contract import Store
from conveyor.testing.hand import (
    QUEUE,
    TASK,
    Hand,
    see,
)

T = TypeVar("T")


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
