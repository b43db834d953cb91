"""Small duties that any worker may do for all.

Ending jobs whose time is over, deleting what is to stay no longer, mending what a server has lost.
"""

import logging
from collections import Counter
from typing import Final

from conveyor.store.contract import Store

logger = logging.getLogger("conveyor.worker")

AT_ONCE: Final = 500
"""Rows in one transaction: claims and settles go on in between."""
PASSES: Final = 20
"""In one round, so that nothing else waits for long."""
NAMED: Final = 5
"""Jobs that one line of the log names."""


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
        await self._mend()

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

    async def _mend(self) -> None:
        jobs = (await self._store.arun(self._store.control.mend())).jobs
        if jobs:
            logger.warning(
                "%d jobs were not where they should be, as after a crash of the server in the middle of a write, or "
                "when it throws keys away: %s (%s)",
                len(jobs),
                ", ".join(f"{number} {cure}" for cure, number in Counter(cure for _, cure in jobs).items()),
                ", ".join([*(id_ for id_, _ in jobs[:NAMED]), *(["..."] if len(jobs) > NAMED else [])]),
            )
