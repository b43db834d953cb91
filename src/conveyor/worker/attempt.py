"""One attempt at one job: decode, run, encode. What it means is decided by ``judge``."""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Executor
from enum import Enum, auto
from typing import cast

from conveyor.context import Context, running
from conveyor.core.errors import AttemptTimedOut
from conveyor.core.failure import describe
from conveyor.core.judge import Ending, Interrupted, Raised, Returned
from conveyor.core.model import Claimed
from conveyor.job import Desk
from conveyor.task import Definition

CLEAN_UP = 5.0
"""Seconds that a cancelled task gets before it is cancelled again."""


class Interruption(Enum):
    """Why the worker ended an attempt."""

    TIMEOUT = auto()
    SHUTDOWN = auto()
    LEASE_LOST = auto()


class Attempt:
    """One running job, as the worker holds it."""

    __slots__ = ("_cancelled", "context", "deadline", "definition", "interruption", "job", "runner", "started", "task")

    def __init__(self, job: Claimed, runner: bytes, definition: Definition, desk: Desk) -> None:
        """The clock of its deadline starts here."""
        self.job = job
        self.runner = runner
        self.definition = definition
        self.context = Context(job, desk)
        self.started = time.monotonic()
        self.deadline = None if job.timeout is None else self.started + job.timeout / 1_000_000
        self.interruption: Interruption | None = None
        self.task: asyncio.Task[None] | None = None
        self._cancelled = -CLEAN_UP

    @property
    def in_thread(self) -> bool:
        """Whether it runs in a thread, which nobody can stop."""
        return self.definition.isolation == "thread"

    def interrupt(self, why: Interruption) -> None:
        """Ask it to end: an async task is cancelled, a thread sees ``ctx.cancelled``.

        Asked again, a task is cancelled again, but not before it had time to clean up.
        """
        now = time.monotonic()
        self.interruption = self.interruption or why
        self.context.cancel()
        if self.task is not None and not self.in_thread and now - self._cancelled > CLEAN_UP:
            self._cancelled = now
            self.task.cancel()

    async def perform(self, pool: Executor) -> Ending:
        """Run the function to its end, whatever that is."""
        if not self.in_thread:
            running.set(self.context)
            return await self._in_loop()
        scope = contextvars.copy_context()
        scope.run(running.set, self.context)
        return await asyncio.get_running_loop().run_in_executor(pool, scope.run, self._in_thread)

    async def _in_loop(self) -> Ending:
        try:
            call = self._call()
            return self._returned(await cast("asyncio.Future[object]", call()))
        except BaseException as error:  # noqa: BLE001 - the one place: whatever a user's function raises ends here
            return self._raised(error)

    def _in_thread(self) -> Ending:
        try:
            return self._returned(self._call()())
        except BaseException as error:  # noqa: BLE001 - as above, for the function in a thread
            return self._raised(error)

    def _call(self) -> Callable[[], object]:
        args, kwargs = self.definition.codec.decode(self.job.args)
        function = self.definition.function
        if self.definition.takes_context:
            return lambda: function(self.context, *args, **kwargs)
        return lambda: function(*args, **kwargs)

    def _returned(self, value: object) -> Ending:
        try:
            return Returned(self.definition.codec.encode_result(value))
        except Exception as error:  # noqa: BLE001 - the result's own type may raise anything
            # The work is done; doing it again would not make its result fit.
            return Raised(describe(error), final=True)

    def _raised(self, error: BaseException) -> Ending:
        cancelled = isinstance(error, asyncio.CancelledError)
        if cancelled and self.interruption is Interruption.TIMEOUT:
            return self.timed_out()
        if cancelled and self.interruption is not None:
            return Interrupted()
        return Raised(describe(error))

    def timed_out(self) -> Ending:
        """The ending of an attempt that outlived its timeout."""
        seconds = (self.job.timeout or 0) / 1_000_000
        return Raised(describe(AttemptTimedOut(f"it ran longer than its timeout of {seconds:g} s")))
