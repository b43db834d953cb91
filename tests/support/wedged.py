"""``conveyor worker`` whose claimer can be made to hang: ``python -m tests.support.wedged OPTIONS`` (P12).

In its runners there is a task besides, ``wedge``: from then on no claim of that runner ever comes back. It hangs
``before`` it asks, or ``after`` the store has given it jobs, which nobody starts then.
"""

import asyncio
import sys

from conveyor.cli import leave
from conveyor.cli import main as command
from conveyor.worker.claim import Claimer
from tests.faults.tasks import app

wedged: list[str] = []
_claim = Claimer._claim


async def hang(claimer: Claimer, room: dict[str, int]) -> bool:
    if not wedged:
        return await _claim(claimer, room)
    if wedged[0] == "after":
        plan = claimer._store.operations.claim(claimer._identity().runner, room, claimer._tasks)
        if not await claimer._store.arun(plan):
            return True
    return await asyncio.Event().wait()


@app.task(name="wedge")
async def wedge(when: str) -> None:
    wedged.append(when)


Claimer._claim = hang  # type: ignore[method-assign]  # that is the fault

if __name__ == "__main__":
    leave(command(["worker", "--app", "tests.support.wedged:app", *sys.argv[1:]]))
