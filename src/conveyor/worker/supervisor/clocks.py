"""Says in the log when this host's clock is not the database's."""

import logging
import math
import time
from collections.abc import Callable
from typing import Final

from conveyor.core.health import Severity, of_clock
from conveyor.store.contract import Store

logger = logging.getLogger("conveyor.worker")

SAY_AGAIN: Final = 3_600.0
"""Seconds after which it is said again."""
UNSTEADY: Final = 1.0
"""Seconds by which two clocks may go apart during one look."""


class Clocks:
    """Nothing in a worker goes by this host's clock, but those who read its log do. SQLite has none of its own."""

    def __init__(self, store: Store, wall: Callable[[], float] = time.time) -> None:
        """Has compared nothing yet."""
        self._store = store
        self._wall = wall
        self._said = -math.inf

    async def compare(self) -> None:
        """One look. That an answer is slow is no difference."""
        if self._store.kind == "sqlite":
            return
        before, since = self._wall(), time.monotonic()
        clock = await self._store.arun(self._store.operations.clock())
        after, now = self._wall(), time.monotonic()
        if abs((after - before) - (now - since)) > UNSTEADY:
            return  # it was set meanwhile, or this host has slept
        found = of_clock(round(clock - (before + after) / 2 * 1e6), round((now - since) / 2 * 1e6))
        if found.severity is Severity.TROUBLE and now - self._said > SAY_AGAIN:
            logger.warning("%s; %s", found.text, found.fix)
            self._said = now
