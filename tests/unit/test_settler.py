"""The settler: an outcome stays until the store has answered for it."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from conveyor.core.errors import OutcomeUnknown, SchemaOutdated, StoreUnavailable
from conveyor.core.lifecycle import Event
from conveyor.core.model import Outcome
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from conveyor.worker.duty import kept
from conveyor.worker.settle import Settler


class Failing:
    """A store whose first settle fails, and which then takes everything."""

    def __init__(self, error: Exception) -> None:
        self.operations = self
        self.written: list[Outcome] = []
        self._errors = [error]

    def settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        return outcomes

    async def arun(self, outcomes: Sequence[Outcome]) -> Settled:
        if self._errors:
            raise self._errors.pop()
        self.written += outcomes
        return Settled()


async def nothing() -> None:
    """Nothing comes before a write."""


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("down"),
        OutcomeUnknown("lost"),
        SchemaOutdated("a table is missing; run `conveyor migrate`"),
        RuntimeError("a mistake of our own"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_outcome_is_lost_whatever_a_settle_raises(error: Exception) -> None:
    store = Failing(error)
    settler = Settler(cast(Store, cast(Any, store)), lambda _, __: None, nothing)
    duty = asyncio.create_task(kept("settle", settler.work))
    outcome = Outcome(b"j" * 16, 1, b"r" * 16, Event.SUCCEED, result=b"1")
    settler.put(outcome)
    assert await settler.drained(5)
    assert store.written == [outcome]
    duty.cancel()
