"""Waiting for what happens, never for time to pass."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

PATIENCE = 10.0


def until(condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Return once *condition* holds; fail when it does not within *patience* seconds."""
    end = time.monotonic() + patience
    look_again = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s"
        look_again.wait(0.001)


async def auntil(condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """The same, with the event loop left running."""
    look_again = asyncio.Event()
    async with asyncio.timeout(patience):
        while not condition():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(look_again.wait(), 0.001)
