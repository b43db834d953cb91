"""Waiting for the jobs that run when a runner is to end."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from conveyor.worker.claim import DOUBT_ROUND
from conveyor.worker.duty import first_of


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
