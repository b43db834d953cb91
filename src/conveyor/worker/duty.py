"""A duty is a coroutine; the task group is its lifecycle. One failure is logged and backed off, never fatal."""

import asyncio
import logging
from asyncio import CancelledError, current_task
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager

from conveyor.core.backoff import jittered
from conveyor.core.errors import ConveyorError

logger = logging.getLogger("conveyor.worker")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
QUIET = 60.0
ALL_SAID = 3
"""Failures that are logged as they come; from then on one each ``SAID_AGAIN``, for an outage may last for days."""
SAID_AGAIN = 15.0


async def every(seconds: float, name: str, duty: Callable[[], Awaitable[object]]) -> None:
    """Do *duty*, which the log calls *name*, now and then again, for ever."""

    async def rounds() -> None:
        while True:
            await duty()
            await asyncio.sleep(jittered(seconds))

    await kept(name, rounds)


async def kept(name: str, duty: Callable[[], Awaitable[object]]) -> None:
    """Do *duty*, which the log calls *name*, until it returns; after a failure, again, with growing pauses."""
    trouble = Trouble(name)
    while True:
        try:
            await duty()
        except CancelledError as stray:
            task = current_task()
            if task is None or task.cancelling():
                raise
            await trouble.pause(stray)  # nobody has cancelled this duty: something inside it raised that by itself
        except Exception as error:
            task = current_task()
            if task is not None and task.cancelling():
                raise CancelledError from error  # in some library an error has taken the place of our end
            await trouble.pause(error)
        else:
            return


@contextmanager
def logged(consequence: str) -> Generator[None]:
    """One failure is logged, with what follows from it, and passed over."""
    try:
        yield
    except ConveyorError as error:
        logger.warning("%s: %s", consequence, error)


async def first_of(*ends: Coroutine[object, object, object], seconds: float | None = None) -> None:
    """Wait until one of *ends* has come, for *seconds* at most."""
    waits = [asyncio.create_task(end) for end in ends]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class Trouble:
    """Growing pauses while something fails; a quiet minute makes them short again."""

    def __init__(self, what: str) -> None:
        """*what* fails, for the log."""
        self._what = what
        self._seconds = FIRST_PAUSE
        self._last = 0.0
        self._said = 0
        self._unsaid = 0
        self._said_at = 0.0

    async def pause(self, error: BaseException) -> None:
        """Log *error*, and wait."""
        now = asyncio.get_running_loop().time()
        if now - self._last > QUIET:
            self._seconds, self._said = FIRST_PAUSE, 0
        self._last = now
        seconds = jittered(self._seconds)
        self._say(error, seconds, now)
        await asyncio.sleep(seconds)
        self._seconds = min(self._seconds * 2, LONGEST_PAUSE)

    def _say(self, error: BaseException, seconds: float, now: float) -> None:
        if self._said >= ALL_SAID and now - self._said_at < SAID_AGAIN:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more times since)" if self._unsaid else ""
        expected = isinstance(error, ConveyorError)
        text = "%s: %s%s; again in %.1f s"
        logger.warning(text, self._what, error, more, seconds, exc_info=None if expected else error)
        self._said, self._said_at, self._unsaid = self._said + 1, now, 0
