"""What the supervisor does at the store: it keeps leases, takes back what the dead held, and does the upkeep."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from conveyor.core.errors import ConveyorError, StoreUnavailable
from conveyor.core.model import Held, Outcome
from conveyor.core.scaling import Load
from conveyor.store.contract import Store
from conveyor.store.measuring import measured
from conveyor.store.rounds import adrive
from conveyor.worker.board import Board
from conveyor.worker.duty import every, kept, logged
from conveyor.worker.heartbeat import Heartbeat
from conveyor.worker.letters import Given, Hold, Refused
from conveyor.worker.rescue import Rescuer
from conveyor.worker.schedules import Scheduler
from conveyor.worker.supervisor.clocks import Clocks
from conveyor.worker.supervisor.tending import Tending
from conveyor.worker.upkeep import Upkeep

logger = logging.getLogger("conveyor.worker")


class Care:
    """All of it, over connections of the supervisor's own."""

    def __init__(
        self,
        store: Store,
        tending: Tending,
        *,
        lost: Callable[[bytes], None],
        able: Callable[[bytes], bool],
        tell: Callable[[Held, Outcome], None],
    ) -> None:
        """*lost* and *able* are asked from the heartbeat's thread; *tell* hears of each job that was taken back."""
        self._store = store
        self._tending = tending
        self._heartbeat = Heartbeat(store.leases(tending.lease), tending.beat, lost, able)
        self._rescuer = Rescuer(store, tending.lease, tell)
        self._turn = asyncio.Lock()
        self.scheduler = Scheduler(store)
        """Who fires the schedules."""

    async def work(self) -> None:
        """The duties."""
        async with asyncio.TaskGroup() as group:
            group.create_task(every(self._tending.rescue, "rescue", self._rescued))
            group.create_task(every(self._tending.upkeep, "upkeep", Upkeep(self._store).work))
            group.create_task(kept("schedules", self.scheduler.work))
            group.create_task(every(self._tending.upkeep, "clock", Clocks(self._store).compare))

    async def hold(self, wish: Hold, board: Board) -> tuple[Given | Refused, int | None]:
        """The answer to *wish*, and the file that goes with it."""
        try:
            await asyncio.to_thread(self._heartbeat.start, wish.runner, wish.info, board)
        except (ConveyorError, OSError) as error:
            again = isinstance(error, StoreUnavailable | OSError)
            return Refused(wish.runner, str(error), again=again), None
        return Given(wish.runner), self._heartbeat.witness(wish.runner)

    async def let_go(self, runner: bytes, *, clean: bool) -> None:
        """End a lease."""
        await asyncio.to_thread(self._heartbeat.stop, runner, clean=clean)

    async def rescue_now(self) -> None:
        """Take back what a dead runner of ours held, without waiting for the next round.

        Not at a store that does not answer: a worker that is to end would wait for that.
        """
        if self._heartbeat.answered:
            with logged("what a dead runner held is taken back later"):
                await self._rescued()

    async def load(self, target: timedelta, leaving: Collection[str]) -> Sequence[Load]:
        """How busy the queues are; runners that are *leaving* take nothing from them any more."""
        return await adrive(self._store, measured(self._store.operations, target, leaving))

    async def aclose(self) -> None:
        """End the heartbeat, and let go of the store."""
        await asyncio.to_thread(self._heartbeat.close)
        await self._store.aclose()
        self._store.close()

    async def _rescued(self) -> None:
        async with self._turn:
            await self._rescuer.work()
