"""How long a runner that is to end waits: for the jobs that run, and for what is to be written after them."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from conveyor.worker.claim import DOUBT_ROUND
from conveyor.worker.duty import first_of

FLUSH: Final = 10.0
"""Seconds that the last outcomes get to reach the store, and all else that is said after the grace; a claim as well."""
LAST_WORD: Final = 2.0
"""Seconds that outcomes get at least, whatever has taken of these."""
PARTING: Final = 7.0
"""Seconds of the grace that are kept for the end of the processes: connections that nobody answers on end slowly."""
LOOK: Final = 0.25
"""Seconds between looks at whether there is any use in waiting."""


class Parting:
    """The waits of a runner that ends.

    All together take no longer than the grace and ``FLUSH``. They are given up sooner when the lease is over that the
    store should have renewed: then it has not answered for long, will hear nothing now either, and a service manager
    that waits for the grace is not to be kept waiting in vain. What is left of the grace is used all the same.
    """

    def __init__(self, safe: Callable[[], float], hurry: float) -> None:
        """*safe*: for how many seconds the lease holds. Who is ``hurried`` gets *hurry* seconds for each wait."""
        self._safe = safe
        self._hurry = hurry
        self._loop = asyncio.get_running_loop()
        self._end = math.inf
        self._grace_end = 0.0
        self.hurried = False

    def begin(self, grace: float) -> None:
        """From now on, with so much left of the *grace*; less than nothing if more than that was taken."""
        now = self._loop.time()
        self._end = now + min(FLUSH, max(grace + FLUSH, LAST_WORD))
        self._grace_end = now + max(grace - PARTING, LAST_WORD)

    def left(self, seconds: float) -> float:
        """As many of *seconds* as there are."""
        if self._vain:
            return 0.0
        return max(min(seconds, self._end - self._loop.time(), self._hurry if self.hurried else math.inf), 0.0)

    async def wait(self, doing: Coroutine[object, object, object], seconds: float, least: float = 0.0) -> None:
        """Have *doing* done within *seconds*, or what is *left* of them, and *least* seconds in any case."""
        task = asyncio.ensure_future(doing)
        since = self._loop.time()
        sure, end = since + least, max(since + self.left(seconds), since + least)
        try:
            await asyncio.wait([task], timeout=0)
            while not task.done() and (left := end - self._loop.time()) > 0:
                if self._vain and self._loop.time() >= sure:
                    break
                await asyncio.wait([task], timeout=min(left, LOOK))
            if task.done():
                task.result()
        finally:
            task.cancel()

    @property
    def _vain(self) -> bool:
        return self._safe() < 0 and self._loop.time() >= self._grace_end


async def finished(
    unfinished: Callable[[], Sequence[asyncio.Task[None]]],
    undoubted: Callable[[], Coroutine[object, object, None]],
    seconds: float,
    told: asyncio.Event,
) -> None:
    """Wait for what is *unfinished*, for at most *seconds*, or until the runner is *told* more.

    That may last for hours, while the lease is kept. So what a claim may have taken whose answer was lost is given back
    meanwhile, by *undoubted*: nobody else would.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while tasks := unfinished():
        left = end - loop.time()
        if left <= 0 or told.is_set():
            return
        await first_of(told.wait(), undoubted(), seconds=left)
        await first_of(told.wait(), asyncio.wait(tasks), seconds=min(end - loop.time(), DOUBT_ROUND))
