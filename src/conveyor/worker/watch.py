"""Hears that running jobs are to be cancelled: at once by a ring, and by looking now and then."""

import asyncio
from collections.abc import Callable
from typing import Final

from conveyor.core.backoff import jittered
from conveyor.store.contract import Store
from conveyor.worker.execute import Executor

LOOK: Final = 1.0
"""Seconds between looks while something runs."""


class Watch:
    """The duty."""

    def __init__(self, store: Store, executor: Executor, runner: Callable[[], bytes]) -> None:
        """*runner* gives the id in whose name the worker claims just now."""
        self._store = store
        self._executor = executor
        self._runner = runner
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Look now."""
        self._rung.set()

    async def work(self) -> None:
        """Look when rung, and each second while something runs."""
        while True:
            try:
                async with asyncio.timeout(jittered(LOOK)):
                    await self._rung.wait()
            except TimeoutError:
                if not self._executor.holds:
                    continue
            self._rung.clear()
            asked = await self._store.arun(self._store.operations.asked(self._runner()))
            for id_, token, reason in asked:
                self._executor.cancel(id_, token, reason)
