"""One attempt at one job: decode, run, encode. What it means is decided by ``judge``."""

import asyncio
import contextvars
import logging
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, cast

import msgspec

from conveyor.context import Context, Transaction, running
from conveyor.core.clock import Start
from conveyor.core.codec import Codec
from conveyor.core.errors import AttemptTimedOut, UnfitArguments
from conveyor.core.extras import NONE as NO_EXTRAS
from conveyor.core.extras import Extras, decoded
from conveyor.core.failure import Failure, describe
from conveyor.core.judge import Ending, Interrupted, Raised, Returned, Snoozed, Stopped, Unfit
from conveyor.core.model import Claimed
from conveyor.core.trace import alone, traceback_of
from conveyor.core.usage import Usage, completion_record
from conveyor.core.verdicts import Cancel, Retry, Snooze, Verdict
from conveyor.drivers.between import tidied
from conveyor.task import Definition
from conveyor.worker.surround import Surround
from conveyor.worker.transaction import Completing, Stage, at_once
from conveyor.worker.unrun import refuse_unrun
from conveyor.worker.words import Words

logger = logging.getLogger("conveyor.worker")

CLEAN_UP: Final = 5.0
"""Seconds that a cancelled task gets before it is cancelled again."""
LOST_PAUSE: Final = 1_000_000
"""Microseconds until a job is tried again whose transaction the store has lost."""


OURS: Final = f"{Path(__file__).parents[1]}{os.sep}"
"""The folder of this package."""


class Interruption(Enum):
    """Why the worker ended an attempt."""

    TIMEOUT = auto()
    SHUTDOWN = auto()
    LEASE_LOST = auto()
    CANCEL = auto()


class Written(msgspec.Struct, frozen=True, tag=True):
    """The job's end is in the store already: it was part of the attempt's own transaction."""

    result: bytes | None


class Unsure(msgspec.Struct, frozen=True, tag=True):
    """It may be: the commit was not answered by yes."""

    otherwise: Ending
    """The attempt's end, if the transaction turns out not to be there."""
    result: bytes | None


class Fenced(msgspec.Struct, frozen=True, tag=True):
    """The job was another's when the transaction was to complete it; nothing was written."""


class _Decided(Exception):
    """What the attempt came to, found where only raising leads out. A class of ours: no task raises it."""

    def __init__(self, ending: Raised | Unfit) -> None:
        super().__init__(ending.failure.message)
        self.ending = ending


End = Ending | Written | Unsure | Fenced
NOTHING_USED: Final = Usage()


def _checked(start: Start) -> Start:
    """A verdict's own moment; anyone can have put something else there."""
    if type(start) is not Start:
        raise TypeError("a verdict's start is made by its __init__, from a time or a wait")
    return start


class Attempt:
    """One running job, as the worker holds it."""

    __slots__ = (
        "_around",
        "_begun",
        "_cancelled",
        "_completing",
        "_store",
        "context",
        "deadline",
        "definition",
        "error",
        "extras",
        "in_cell",
        "in_thread",
        "interruption",
        "job",
        "measured",
        "reason",
        "runner",
        "started",
        "task",
        "told",
        "usage",
        "words",
    )
    completing: ClassVar[type[Completing]] = Completing
    """How its transaction completes the job."""

    def __init__(self, job: Claimed, runner: bytes, definition: Definition, surround: Surround) -> None:
        """The clock of its deadline starts here."""
        self.job = job
        self.runner = runner
        self.definition = definition
        self.in_thread = not definition.coroutine
        """Whether it runs in a thread, which nobody can stop."""
        self.in_cell = False
        """Whether it runs in a process of its own, and is here for its runner to hold alone."""
        self.extras = NO_EXTRAS if job.extras is None else decoded(job.extras)
        self.words = Words(job, definition, self.extras)
        self.context = Context(job, surround.desk, self._transact, surround.state, self.words.clipped)
        self.started = time.monotonic()
        self.deadline = None if job.timeout is None else self.started + job.timeout / 1_000_000
        self.interruption: Interruption | None = None
        self.reason = ""
        """Why it was cancelled."""
        self.error: BaseException | None = None
        """What the function raised; for who runs it inline."""
        self.task: asyncio.Task[None] | None = None
        self.told: Callable[[Interruption, str], None] | None = None
        """Hears of each interruption, where it runs in a process of its own."""
        self.measured: Callable[[float], Usage] | None = None
        """What it has used so far, after so many seconds; known in a process of its own."""
        self.usage = NOTHING_USED
        self._store, self._around = surround.store, surround.around
        self._begun, self._cancelled = False, -CLEAN_UP
        self._completing: Completing | None = None

    @property
    def untouchable(self) -> bool:
        """Whether its transaction suffers no other write to the job's row just now."""
        return self._completing is not None and self._completing.alone

    def interrupt(self, why: Interruption, reason: str = "") -> None:
        """Ask it to end: an async task is cancelled, a thread sees ``ctx.cancelled``.

        Asked again, a task is cancelled again, but not before it had time to clean up. One that has not had its first
        step is not cancelled: asyncio would end it without running any of it, so that nobody would hear of its end.
        """
        now = time.monotonic()
        if self.interruption is None:
            self.interruption, self.reason = why, reason
        self.context.cancel()
        if self.told is not None:
            self.told(why, reason)
        if self.task is not None and self._begun and not self.in_thread and now - self._cancelled > CLEAN_UP:
            self._cancelled = now
            self.task.cancel()

    def let_go(self) -> None:
        """It has ended: break the circles of references, so that nothing of it waits for the garbage collector.

        A circle for each job would cost a busy worker a collection every few hundred jobs.
        """
        self.task = self.told = self.error = self._completing = None
        self.context.end()

    async def perform(self, pool: Executor) -> End:
        """Run the function to its end, whatever that is; not at all, if it is to end before its first step."""
        if self.interruption is not None:
            return self.unstarted()
        self._begun = True
        if not self.in_thread:
            running.set(self.context)
            return await self.in_loop()
        scope = contextvars.copy_context()
        here: Callable[[], End] = partial(tidied, self.here)
        return await asyncio.get_running_loop().run_in_executor(pool, scope.run, here)

    def leaves(self) -> None:
        """It is to run in a process of its own; its clock starts there."""
        self.in_cell, self.in_thread, self.deadline = True, False, None

    async def in_loop(self) -> End:
        """Run an ``async`` function in this event loop."""
        try:
            value = await self._awaited()
        except BaseException as error:  # noqa: BLE001 - the one place: whatever a user's function raises ends here
            return self._raised(error)
        return self._returned(value)

    async def _awaited(self) -> object:
        call = cast("Callable[[], Awaitable[object]]", self._call())
        if self.definition.transactional:
            async with self.context.transaction() as transaction:
                self._complete(transaction, await self._around.awaited(self.context, call))
            return None
        value = await self._around.awaited(self.context, call)
        if self._completing is not None:
            await self._completing.abandon()
        return value

    def here(self) -> End:
        """Run a plain function in this thread."""
        running.set(self.context)
        try:
            value = self._called()
        except BaseException as error:  # noqa: BLE001 - as above, for the function in a thread
            return self._raised(error)
        return self._returned(value)

    def _called(self) -> object:
        call = self._call()
        if self.definition.transactional:
            with self.context.transaction() as transaction:
                self._complete(transaction, self._around.called(self.context, call))
            return None
        value = self._around.called(self.context, call)
        if self._completing is not None:
            at_once(self._completing.abandon())
        return value

    def _call(self) -> Callable[[], object]:
        args, kwargs = _arguments(self.definition.codec, self.job, self.extras)
        function = self.definition.function
        if self.definition.takes_context:
            return lambda: function(self.context, *args, **kwargs)
        return lambda: function(*args, **kwargs)

    def _transact(self, context: Context, using: object) -> Completing:
        if self._completing is None:
            make, keeps = partial(self.completing, record=partial(_record, self)), self.extras.store_result
            self._completing = make(self._store, self.job, self.runner, self.definition.codec, context, keeps=keeps)
        return self._completing.using(using)

    def _complete(self, transaction: Transaction, value: object) -> None:
        try:
            self._refuse_unrun(value)
            transaction.complete(value)
        except BaseException as error:
            # What was to be its result cannot be stored, and to do the work again would not make it fit.
            raise _Decided(Raised(self.described(error), final=True)) from error

    def _returned(self, value: object) -> End:
        return self._kept(value) if self._completing is None else self._ended(partial(self._kept, value))

    def _kept(self, value: object) -> Ending:
        try:
            self._refuse_unrun(value)
            return Returned(self.definition.codec.encode_result(value if self.extras.store_result else None))
        except BaseException as error:  # noqa: BLE001 - the result's own type may raise anything, SystemExit too
            # The work is done; doing it again would not make its result fit.
            self.error = error
            return Raised(self.described(error), final=True)

    def _refuse_unrun(self, value: object) -> None:
        refuse_unrun(f"the task {self.definition.name} returned a", value, self.definition)

    def _raised(self, error: BaseException) -> End:
        self.error = error.__cause__ if type(error) is _Decided else error
        completing = self._completing
        if completing is not None and completing.stage is Stage.COMMITTED:
            _tell_late(self, error)
        if completing is not None and completing.stage is Stage.LOST:
            return Interrupted(LOST_PAUSE, self.described(error))
        return self._ended(partial(self._surely_judged, error))

    def _ended(self, ending: Callable[[], Ending]) -> End:
        """By the attempt's transaction, if it came so far; otherwise it is *ending*.

        A task may have swallowed the error of a commit: then it is all the more to be found out what became of it.
        """
        completing = self._completing
        match completing.stage if completing else Stage.NEW:
            case Stage.COMMITTED if completing:
                return Written(completing.result)
            case Stage.FENCED:
                return Fenced()
            case Stage.UNSURE if completing and completing.break_:
                return Unsure(Interrupted(LOST_PAUSE, self.described(completing.break_)), completing.result)
            case Stage.UNSURE if completing:
                return Unsure(ending(), completing.result)
            case _:
                return ending()

    def _surely_judged(self, error: BaseException) -> Ending:
        try:
            return self._judged(error)
        except BaseException as trouble:  # noqa: BLE001 - the verdict may be of the user's own making, and must not be lost
            return Raised(self.described(trouble))

    def _judged(self, error: BaseException) -> Ending:
        error = _verdict_in(error)
        kind = type(error)  # isinstance() asks the error itself, which may raise another: its job would never end
        if self.interruption is Interruption.CANCEL:
            stopped = issubclass(kind, asyncio.CancelledError | Cancel)
            return Stopped(self.reason, failure=None if stopped else self.described(error))
        if issubclass(kind, asyncio.CancelledError) and self.interruption is not None:
            return self.timed_out() if self.interruption is Interruption.TIMEOUT else Interrupted()
        if kind is _Decided:
            return cast(_Decided, error).ending
        if not issubclass(kind, Verdict):
            return Raised(self.described(error), final=not _worth_another(self, error))
        match error:
            case Snooze():
                return Snoozed(_checked(error.start), self.words.reason(error.reason))
            case Cancel():
                return Stopped(self.words.reason(error.reason) or "cancelled by its task")
            case Retry():
                return Raised(self.described(error), start=error.start and _checked(error.start))
            case _:
                return Raised(self.described(error), final=True)

    def described(self, error: BaseException) -> Failure:
        """The stored form of what its function raised."""
        return self.words.described(_from_the_users_code(error))

    def unstarted(self) -> Ending:
        """The ending of an attempt that was cancelled before its first step."""
        return Stopped(self.reason, started=False) if self.interruption is Interruption.CANCEL else Interrupted()

    def timed_out(self) -> Ending:
        """The ending of an attempt that outlived its timeout."""
        seconds = (self.job.timeout or 0) / 1_000_000
        return self.failed(AttemptTimedOut(f"it ran longer than its timeout of {seconds:g} s"))

    def failed(self, error: BaseException) -> Ending:
        """The ending of an attempt that was ended from outside, by its own fault."""
        return Raised(self.described(error), final=not _worth_another(self, error))


def _worth_another(attempt: Attempt, error: BaseException) -> bool:
    try:
        return attempt.definition.policy.retries(error)
    except BaseException as trouble:  # noqa: BLE001 - nor may it end the worker
        told = attempt.described(trouble)  # what it is chained to, the task's own error, may hold secrets
        logger.error(  # noqa: TRY400 - as said
            "retry_on raised; the job is tried again: %s\n%s", told, told.traceback, extra=attempt.context.labels()
        )
        return True


def _record(attempt: Attempt) -> bytes | None:
    """Of the attempts of a job that ends now, within its transaction."""
    if attempt.measured is None:
        return None
    seconds = time.monotonic() - attempt.started
    return completion_record(attempt.job, attempt.runner, seconds, attempt.measured(seconds))


def _tell_late(attempt: Attempt, error: BaseException) -> None:
    if not issubclass(type(error), asyncio.CancelledError):
        logger.warning(
            "raised after its transaction was committed, which changes nothing: %s",
            attempt.described(error),
            extra=attempt.context.labels(),
        )


def _arguments(codec: Codec, job: Claimed, extras: Extras) -> tuple[list[object], dict[str, object]]:
    """Those of *job*. Nobody knows where in unfit ones the secrets are: where there are some, none of it is quoted."""
    try:
        return codec.decode(job.args)
    except UnfitArguments as error:
        raise _Decided(Unfit(describe(UnfitArguments(error.bare) if extras.redact else error))) from error


def _verdict_in(error: BaseException) -> BaseException:
    """The verdict that *error* is a group of, and of nothing else: what a child says in an ``asyncio.TaskGroup``."""
    inner = alone(error)
    return inner if issubclass(type(inner), Verdict) else error


def _from_the_users_code(error: BaseException) -> BaseException:
    """*error*, its traceback without our frames at the top: they tell nobody anything, and change with our versions."""
    trace = traceback_of(error)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OURS):
        trace = trace.tb_next
    return error if trace is None else BaseException.with_traceback(error, trace)
