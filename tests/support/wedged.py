"""``conveyor worker`` whose claimer can be made to hang: ``python -m tests.support.wedged OPTIONS`` (P12).

In its runners there is a task besides, ``wedge``: from then on no claim of that runner ever comes back. It hangs
``before`` it asks, or ``after`` the store has given it jobs, which nobody starts then.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import cast

from conveyor.cli import leave
from conveyor.cli import main as command
from conveyor.core.model import Claimed
from conveyor.plan import Plan
from conveyor.store.contract import Store
from conveyor.worker.claim import Claimer
from tests.faults.tasks import app

wedged: list[str] = []
_claim = Claimer._claim


class Hanging:
    """A store whose answers to claims never come; all else about a claim is as it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.operations = store.operations

    async def arun(self, plan: Plan[Sequence[Claimed]]) -> Sequence[Claimed]:
        if wedged[0] == "after" and not await self._store.arun(plan):
            return ()
        return await asyncio.Event().wait() and ()


async def hang(claimer: Claimer, room: dict[str, int]) -> bool:
    store = claimer._store
    if wedged:
        claimer._store = cast(Store, Hanging(store))
    try:
        return await _claim(claimer, room)
    finally:
        claimer._store = store


@app.task(name="wedge")
async def wedge(when: str) -> None:
    wedged.append(when)


Claimer._claim = hang  # type: ignore[method-assign]  # that is the fault

if __name__ == "__main__":
    leave(command(["worker", "--app", "tests.support.wedged:app", *sys.argv[1:]]))
