"""Work in several plans, driven in both colours: a generator yields plans, and receives what they gave."""

from collections.abc import Callable, Generator
from typing import TypeVar, cast

from conveyor.plan import Plan
from conveyor.store.contract import Store

T = TypeVar("T")
Rounds = Generator[Plan[object], object, T]


def step(plan: Plan[T]) -> Rounds[T]:
    """One plan of a generator's, and what it gave."""
    return cast(T, (yield cast(Plan[object], plan)))


def overheard(rounds: Rounds[T], hear: Callable[[object], None]) -> Rounds[T]:
    """*rounds*, while *hear* is told what each plan gave."""
    try:
        plan = next(rounds)
        while True:
            given = yield plan
            hear(given)
            plan = rounds.send(given)
    except StopIteration as end:
        value: T = end.value
        return value


def drive(store: Store, rounds: Rounds[T]) -> T:
    """Carry *rounds* out from blocking code."""
    try:
        plan = next(rounds)
        while True:
            plan = rounds.send(store.run(plan))
    except StopIteration as end:
        value: T = end.value
        return value


async def adrive(store: Store, rounds: Rounds[T]) -> T:
    """Carry *rounds* out from the running event loop."""
    try:
        plan = next(rounds)
        while True:
            plan = rounds.send(await store.arun(plan))
    except StopIteration as end:
        value: T = end.value
        return value
