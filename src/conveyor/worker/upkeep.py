"""Small duties that any worker may do for all: ending jobs whose time is over, deleting what is to stay no longer."""

import logging
from typing import Final

from conveyor.store.contract import Store

logger = logging.getLogger("conveyor.worker")

AT_ONCE: Final = 500
"""Rows in one transaction: claims and settles go on in between."""
PASSES: Final = 20
"""In one round, so that nothing else waits for long."""


class Upkeep:
    """Two workers that do it at a time do no harm: each row is changed once."""

    def __init__(self, store: Store) -> None:
        """Has done nothing yet."""
        self._store = store

    async def work(self) -> None:
        """One round."""
        await self._expire()
        await self._prune()
        await self._arrange()

    async def _expire(self) -> None:
        ended = 0
        for _ in range(PASSES):
            done = await self._store.arun(self._store.control.expire(AT_ONCE))
            ended += done.changed
            if done.picked < AT_ONCE:
                break
        if ended:
            logger.info("%d jobs have expired before they started", ended)

    async def _prune(self) -> None:
        gone = 0
        for _ in range(PASSES):
            deleted = await self._store.arun(self._store.control.prune(AT_ONCE))
            gone += deleted
            if deleted < AT_ONCE:
                break
        if gone:
            logger.info("deleted %d ended jobs whose time to stay was over", gone)

    async def _arrange(self) -> None:
        done = await self._store.arun(self._store.control.arrange())
        if done.made or done.dropped:
            logger.info("history has got %d new partitions, and lost %d that were over", done.made, done.dropped)
