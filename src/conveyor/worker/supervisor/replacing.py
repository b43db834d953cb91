"""Replaces runners one by one, for new code: each new one works before an old one is told to end."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from conveyor.worker.duty import first_of
from conveyor.worker.letters import Stop
from conveyor.worker.supervisor.child import Child

logger = logging.getLogger("conveyor.worker")

START: Final = 120.0
"""Seconds that a new runner gets to import the app and to come to work."""


class Replacing:
    """The duty. Asked again while it goes on, it goes on for those that were started before that, too."""

    def __init__(
        self,
        children: list[Child],
        start: Callable[[], Awaitable[Child]],
        keep: Callable[[Child], None],
        stopping: asyncio.Event,
    ) -> None:
        """*start* starts one more runner, *keep* begins to attend it; nothing is replaced once *stopping* is set."""
        self._children = children
        self._start = start
        self._keep = keep
        self._stopping = stopping
        self._asked = asyncio.Event()
        self._since = 0.0
        self.busy = False
        """Whether it goes on just now."""

    def ask(self) -> None:
        """Replace all that there are now."""
        self._since = time.monotonic()
        self.busy = True
        self._asked.set()

    async def work(self) -> None:
        """Whenever it is asked."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self.busy = True
            while (old := self._next()) is not None and await self._replaced(old):
                pass
            self.busy = self._asked.is_set()

    def _next(self) -> Child | None:
        """One that is older than the latest wish."""
        old = (child for child in self._children if child.begun < self._since and child.wanted)
        return None if self._stopping.is_set() else next(old, None)

    async def _replaced(self, old: Child) -> bool:
        """Whether another one has taken its place, or may be tried next."""
        try:
            new = await self._start()
        except OSError as error:
            logger.error("no runner can be started, so the old ones stay: %s", error)  # noqa: TRY400 - the machine's trouble
            return False
        new.wanted = False  # not before it has shown that it can work
        self._keep(new)
        events = (new.at_work, new.over, old.over, self._asked, self._stopping)
        await first_of(*(event.wait() for event in events), seconds=START)
        if not new.at_work.is_set():
            return self._given_up(new, old)
        if old.over.is_set():  # it has died meanwhile, and has a successor with the new code by now
            new.say(Stop())
            return True
        new.wanted, old.wanted = True, False
        old.say(Stop())
        await first_of(old.over.wait(), self._stopping.wait())
        return True

    def _given_up(self, new: Child, old: Child) -> bool:
        """The *new* one has not come to work; whether to go on all the same."""
        if not new.over.is_set():
            new.kill()
        if old.over.is_set() or self._asked.is_set() or self._stopping.is_set():
            return True
        trouble = "" if new.over.is_set() else f" within {START:.0f} s"
        logger.error("the new runner did not come to work%s, so the old ones stay", trouble)
        return False
