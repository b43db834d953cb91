"""Takes back the jobs of dead runners."""

import logging
import time
from collections.abc import Callable

from conveyor.core.backoff import jittered
from conveyor.core.errors import StoreUnavailable
from conveyor.core.model import Held, Outcome
from conveyor.store.contract import Store

logger = logging.getLogger("conveyor.worker")

LOOK_ANYWAY = 60.0
"""Seconds after which to look though nobody is known dead: a row may name a runner that nobody knows."""
PASS = 20
"""Dead runners whose jobs are taken back in one transaction."""


class Rescuer:
    """Looks at the start, for the dead that nobody knows, then whenever a runner is known dead, and now and then.

    A store that was away for long has made every lease old, of the living too. They have outcomes to write and jobs
    to give back: so after an outage nobody is taken for dead for the length of a lease, and a lost database spends
    no attempt. A connection that is lost now and then is no outage, and must not put rescue off for ever.
    """

    def __init__(self, store: Store, lease: float, tell: Callable[[Held, Outcome], None]) -> None:
        """Has not looked yet. *lease* in seconds; *tell* hears of each job, and what became of it."""
        self._store = store
        self._tell = tell
        self._lease = lease
        self._look = 0.0
        self._failed = False
        self._answered = time.monotonic()
        self._patient_until = 0.0

    async def work(self) -> None:
        """One round."""
        try:
            dead = await self._store.arun(self._store.operations.dead_runners())
        except StoreUnavailable:
            self._failed = True
            raise
        now = time.monotonic()
        if self._failed and now - self._answered > self._lease / 2:
            self._patient_until = now + self._lease
        self._failed, self._answered = False, now
        if (dead or now >= self._look) and now >= self._patient_until:
            await self._rescue()
            self._look = now + jittered(LOOK_ANYWAY)

    async def _rescue(self) -> None:
        more = True
        while more:
            found = await self._store.arun(self._store.operations.rescue(PASS))
            more = found.more
            for job, outcome in found.jobs:
                self._tell(job, outcome)
            if found.jobs:
                logger.warning("took back %d jobs of dead runners", len(found.jobs))
