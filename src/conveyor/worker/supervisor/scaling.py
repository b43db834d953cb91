"""Starts more runners when due jobs wait too long, and ends some when fewer would do."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from conveyor.core.errors import ConveyorError
from conveyor.core.scaling import Load, needed_runners
from conveyor.worker.letters import Leave, Stop
from conveyor.worker.supervisor.child import Child
from conveyor.worker.supervisor.proc import processor_time
from conveyor.worker.supervisor.replacing import START
from conveyor.worker.supervisor.tending import Autoscale

logger = logging.getLogger("conveyor.worker")

IDLE: Final = 0.05
"""Of a core: runners without jobs that compute less need nothing, and the store need not be asked for it."""
PAUSE: Final = 10.0
LONGEST_PAUSE: Final = 600.0
"""Seconds until another runner is tried after one that did not come to work, the first time, and at most."""


class Scaled(Protocol):
    """Whose runners they are."""

    children: list[Child]

    @property
    def posts(self) -> int:
        """Runners that are wanted; one that has just died is still to have a successor."""
        ...

    @property
    def changing(self) -> bool:
        """Whether they are being replaced, or end: then they are left alone."""
        ...

    async def add(self) -> Child:
        """Start one more, not wanted yet. Raises ``OSError`` when the machine has no room for it."""
        ...


class Scaling:
    """The duty. Grows by as many as are needed, but at most to the double at a time; shrinks one by one."""

    def __init__(
        self,
        scaled: Scaled,
        settings: Autoscale,
        least: int,
        load: Callable[[Child, timedelta], Awaitable[Sequence[Load]]],
    ) -> None:
        """*least* runners stay; *load* asks a runner's store how busy the queues are."""
        self._scaled = scaled
        self._settings = settings
        self._least = least
        self._load = load
        self._coming: list[Child] = []
        self._failures = 0
        self._not_before = 0.0
        self._computed: dict[int, float] = {}
        self._looked = time.monotonic()
        self._calm_since = time.monotonic()

    async def work(self) -> None:
        """Look now and then."""
        while True:
            await asyncio.sleep(self._settings.look)
            try:
                await self._look()
            except (ConveyorError, OSError) as error:
                logger.warning("the number of runners stays as it is: %s", error)

    async def _look(self) -> None:
        self._greet()
        own = self._scaled.posts
        able = [child for child in self._scaled.children if child.wanted and child.at_work.is_set()]
        cores = self._cores(able)
        if self._scaled.changing or self._coming or len(able) != own:  # first let them all come to work
            self._calm_since = time.monotonic()
            return
        needed = await self._needed(able, cores)
        if needed >= own or own == self._least:
            self._calm_since = time.monotonic()
        if needed > own:
            await self._grow(own, needed)
        elif needed < own and time.monotonic() - self._calm_since >= self._settings.calm:
            self._shrink(able)

    async def _needed(self, able: Sequence[Child], cores: float) -> int:
        if not able or (cores < IDLE and not any(child.board.running for child in able)):
            return 1
        loads = await self._load(able[-1], self._settings.target)
        return needed_runners(loads, able[-1].queues, len(able), cores, self._settings.target)

    async def _grow(self, own: int, needed: int) -> None:
        leaving = len(self._scaled.children) - own  # they take their part of the machine to the end
        more = min(needed, 2 * own, self._settings.most - leaving) - own
        if more <= 0 or time.monotonic() < self._not_before:
            return
        logger.info("due jobs wait: %d more %s, %d in all", more, "runner" if more == 1 else "runners", own + more)
        for _ in range(more):
            self._coming.append(await self._scaled.add())

    def _greet(self) -> None:
        """Those that have come to work are wanted from then on; those that have not, or have old code, are let go."""
        for child in list(self._coming):
            late = time.monotonic() - child.begun > START
            if late:
                child.kill()
            if late or child.over.is_set():
                self._failed()
            elif self._scaled.changing:
                child.say(Stop())
            elif child.at_work.is_set():
                child.wanted, self._failures = True, 0
            else:
                continue
            self._coming.remove(child)

    def _failed(self) -> None:
        pause = min(PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures += 1
        self._not_before = time.monotonic() + pause
        logger.error("a further runner did not come to work; the next one is tried in %.0f s at the earliest", pause)

    def _shrink(self, able: Sequence[Child]) -> None:
        """The one with the fewest jobs: it ends with the last of them."""
        child = min(reversed(able), key=lambda child: child.board.running)
        child.wanted = False
        child.say(Leave())
        self._calm_since = time.monotonic()
        logger.info("fewer runners would do: runner %s is to end, %d stay", child.name, len(able) - 1)

    def _cores(self, children: Sequence[Child]) -> float:
        """How many cores they have kept busy since the last time."""
        now = time.monotonic()
        computed = {child.pid: processor_time(child.pid) for child in children}
        seconds = max(now - self._looked, 1e-3)
        spent = sum(time_ - self._computed[pid] for pid, time_ in computed.items() if pid in self._computed)
        self._computed, self._looked = computed, now
        return max(spent, 0.0) / seconds
