"""How long a runner that is to end waits: for the jobs that run, and for what is to be written after them."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from conveyor.worker.claim import DOUBT_ROUND
from conveyor.worker.duty import first_of

FLUSH: Final = 10.0
"""Seconds that the last outcomes get to reach the store, and all else that is said after the grace; a claim as well."""
LAST_WORD: Final = 2.0
"""Seconds of these that are left, whatever a claim has taken."""
PARTING: Final = 5.0
"""Seconds of the grace that are kept for the end of the processes: connections that nobody answers on end slowly."""


def last_words(left: float, safe: float) -> float:
    """Seconds for what is to be written at the end: *left* of the grace, and ``FLUSH`` more.

    Beyond the grace there are only as many as the lease is *safe* for. A store that has not answered for so long will
    hear nothing now either, and a service manager that waits for the grace alone is not to be kept waiting in vain.
    """
    return min(FLUSH, max(left + FLUSH, LAST_WORD), max(left - PARTING, safe, 0.0))


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
