"""Waiting for what happens, never for time to pass."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

PATIENCE = 10.0
PAUSES = (0.001, 0.05)
"""Seconds between two looks, at the least and at the most: the machine is for those who are waited for.

A look may be a connection of its own. A hundred a second took a quarter of what whole files of tests took.
"""


def until(condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Return once *condition* holds; fail when it does not within *patience* seconds."""
    begun = time.monotonic()
    look_again = threading.Event()
    while not condition():
        passed = time.monotonic() - begun
        assert passed < patience, f"not within {patience} s"
        look_again.wait(_pause(passed))


async def auntil(condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """The same, with the event loop left running."""
    begun = time.monotonic()
    look_again = asyncio.Event()
    async with asyncio.timeout(patience):
        while not condition():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(look_again.wait(), _pause(time.monotonic() - begun))


def _pause(passed: float) -> float:
    """Longer, the longer it takes."""
    least, most = PAUSES
    return min(max(passed / 20, least), most)
