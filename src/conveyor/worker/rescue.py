"""Takes back the jobs of dead runners."""

import logging

from conveyor.store.contract import Store

logger = logging.getLogger("conveyor.worker")

PASS = 20
"""Dead runners whose jobs are taken back in one transaction."""


class Rescuer:
    """Looks once at the start, for the dead that nobody knows, and then whenever a runner is known dead."""

    def __init__(self, store: Store) -> None:
        """Has not looked yet."""
        self._store = store
        self._looked = False

    async def work(self) -> None:
        """One round."""
        operations = self._store.operations
        if self._looked and not await self._store.arun(operations.dead_runners()):
            return
        while True:
            found = await self._store.arun(operations.rescue(PASS))
            self._looked = True
            if found.jobs:
                logger.warning("took back %d jobs of dead runners", found.jobs)
            if not found.more:
                return
