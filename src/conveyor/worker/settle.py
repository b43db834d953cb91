"""Writes outcomes: as soon as the previous write has returned, all that have come since."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from conveyor.batch import halved
from conveyor.core import ids
from conveyor.core.errors import StoreRefused
from conveyor.core.lifecycle import Event
from conveyor.core.model import Outcome
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from conveyor.worker.duty import Trouble

logger = logging.getLogger("conveyor.worker")

AT_ONCE = 1_000


class Settler:
    """Outcomes on their way into the store. An outcome stays here until the store has answered for it."""

    def __init__(
        self,
        store: Store,
        settled: Callable[[Sequence[Outcome], Settled], None],
        before: Callable[[], Awaitable[None]],
    ) -> None:
        """*settled* is told of each batch that the store has answered for; *before* is awaited before each write."""
        self._store = store
        self._settled = settled
        self._before = before
        self._waiting: list[Outcome] = []
        self._writing = 0
        self._came = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        """Outcomes that the store has not answered for."""
        return len(self._waiting) + self._writing

    def put(self, outcome: Outcome) -> None:
        """Take one outcome."""
        self._waiting.append(outcome)
        self._empty.clear()
        self._came.set()

    async def work(self) -> None:
        """The duty."""
        while True:
            await self._came.wait()
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            self._writing = len(batch)
            await self._write(batch)
            self._writing = 0
            if not self._waiting:
                self._came.clear()
                self._empty.set()

    async def drained(self, seconds: float) -> bool:
        """Wait until all is written; ``False`` when that took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _write(self, batch: Sequence[Outcome]) -> None:
        """Until the store answers: a settle may be repeated, and an outcome must not be lost."""
        trouble = Trouble("outcomes cannot be written")
        while batch:
            try:
                await self._before()
                parts = await halved(self._send, batch)
            except Exception as error:  # noqa: BLE001 - whatever it was, it was no answer
                await trouble.pause(error)
                continue
            refused = [(outcomes[0], answer) for outcomes, answer in parts if isinstance(answer, StoreRefused)]
            for outcomes, answer in parts:
                if not isinstance(answer, StoreRefused):
                    self._settled(outcomes, answer)
                    _fenced([outcome for outcome in outcomes if outcome.id in answer.refused])
            batch = [_bare(outcome, refusal) for outcome, refusal in refused]
            if any(outcome in batch for outcome, _ in refused):  # bare already: the store takes nothing at all
                await trouble.pause(refused[0][1])

    async def _send(self, batch: Sequence[Outcome]) -> Settled:
        return await self._store.arun(self._store.operations.settle(batch))


def _bare(outcome: Outcome, refusal: StoreRefused) -> Outcome:
    """What the store refused, without what it may be unable to hold: a result or record is dropped, an end is not."""
    logger.error("the store refused an outcome: %s", refusal, extra={"job": ids.text(outcome.id)})
    if outcome.result is None and outcome.record is None:
        return outcome
    event = Event.FAIL if outcome.event is Event.SUCCEED else outcome.event
    return outcome._replace(result=None, record=None, event=event)


def _fenced(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        logger.warning(
            "its outcome (%s) was refused: the job is no longer this runner's",
            outcome.event,
            extra={"job": ids.text(outcome.id)},
        )
