"""Runs a call at once, where it stands: for debugging (``CONVEYOR_INLINE=1``) and for tests. Nothing is stored.

An exception of the task's comes out of ``enqueue`` as it is, from the frame that raised it, so that a debugger stops
where the trouble is. There is one attempt; times to come are not waited for.
"""

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar, cast

from conveyor.core import ids
from conveyor.core.clock import MICROSECOND, moment, stored
from conveyor.core.errors import ConveyorError, StoreUnavailable
from conveyor.core.extras import decoded
from conveyor.core.judge import Returned, Snoozed, Stopped
from conveyor.core.lifecycle import State
from conveyor.core.loops import loop_runs_here
from conveyor.core.model import Claimed, JobInfo, NewJob
from conveyor.drivers.commits import Commits
from conveyor.drivers.within import Within, current
from conveyor.job import Desk, Job
from conveyor.task import Call
from conveyor.worker.attempt import Attempt, End, Written
from conveyor.worker.surround import Surround
from conveyor.worker.threads import DaemonThreads
from conveyor.worker.transaction import Colour, Completing, Loan, Stage

R = TypeVar("R")
T = TypeVar("T")

NOBODY: Final = bytes(16)
"""The runner of jobs that no worker holds."""
LOCK_WAIT: Final = 1.0
"""Seconds to wait for SQLite's write lock: who holds it may be the very code that waits for this call."""
OWN: Final = {
    ("sqlite", True): "sqlite3.Connection",
    ("sqlite", False): "sqlite3.Connection",
    ("postgresql", True): "psycopg.Connection",
    ("postgresql", False): "psycopg.AsyncConnection",
}
"""What a worker's own transaction is open on, by the store's kind and whether the task blocks."""


class _Inside(Completing):
    """The transaction of an attempt whose job no store knows: there is nothing to complete.

    In a ``within`` block that lends what a worker would give, it is the caller's own transaction, for the caller ends
    it after this call. A second one would wait for the first: SQLite has one write lock.
    """

    lock_wait = LOCK_WAIT
    _joined = False

    async def _begin(self, colour: Colour) -> None:
        block = None if self._using is not None else self._callers(colour)
        if block is not None and not isinstance(block.loan, Commits):
            self._joined = True
            await self._opened(colour, block.loan, block.connection)
            return
        try:
            await super()._begin(colour)
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"{error}; it runs inline, so a transaction of the caller's may hold the lock: end that first, lend it "
                "(app.within) as a connection of sqlite3's, or let a worker run the job"
            ) from error

    def _callers(self, colour: Colour) -> Within | None:
        block = current(self._store)
        if block is None or block.thread != threading.get_ident():
            return None
        block.check(self._store.kind)
        return block if block.loan.name == OWN.get((self._store.kind, colour.blocks)) else None

    async def _lent(self, colour: Colour) -> Loan:
        loan = await super()._lent(colour)
        if colour.blocks and isinstance(self._own, sqlite3.Connection):
            self._own.execute(f"PRAGMA busy_timeout = {round(LOCK_WAIT * 1_000)}")
        return loan

    async def completed(self, loan: Loan) -> bool:  # noqa: ARG002 - as the method that it stands for
        return True

    async def _commit(self, loan: Loan) -> None:
        if self._joined:
            self.stage = Stage.COMMITTED
        else:
            await super()._commit(loan)

    async def _undo(self, loan: Loan, stage: Stage) -> None:
        """The caller's transaction is the caller's to take back."""
        if not self._joined:
            await super()._undo(loan, stage)
            return
        self.stage = stage
        self._leave()


class _InlineAttempt(Attempt):
    __slots__ = ()
    completing = _Inside


class _Alone:
    """Where the handles of a job ask that no store knows; see ``Desk``. Of other jobs the store is asked."""

    def __init__(self, desk: Desk, job: Claimed) -> None:
        self._desk = desk
        self._id = job.id
        self.record = _info(job, State.RUNNING)

    def info(self, id_: bytes) -> JobInfo:
        return self.record if id_ == self._id else self._desk.info(id_)

    async def ainfo(self, id_: bytes) -> JobInfo:
        return self.record if id_ == self._id else await self._desk.ainfo(id_)

    def cancel(self, id_: bytes, reason: str) -> JobInfo:
        return self.record if id_ == self._id else self._desk.cancel(id_, reason)

    async def acancel(self, id_: bytes, reason: str) -> JobInfo:
        return self.record if id_ == self._id else await self._desk.acancel(id_, reason)

    def retry(self, id_: bytes) -> JobInfo:
        self._refuse(id_)
        return self._desk.retry(id_)

    async def aretry(self, id_: bytes) -> JobInfo:
        self._refuse(id_)
        return await self._desk.aretry(id_)

    def delete(self, id_: bytes) -> None:
        if id_ != self._id:
            self._desk.delete(id_)

    async def adelete(self, id_: bytes) -> None:
        if id_ != self._id:
            await self._desk.adelete(id_)

    def unattended(self) -> str:
        return self._desk.unattended()

    def _refuse(self, id_: bytes) -> None:
        if id_ == self._id:
            raise ConveyorError("this job ran inline, and is not stored; enqueue it again")


@dataclass(frozen=True, slots=True)
class Done:
    """An attempt that has come to its end."""

    attempt: Attempt
    surround: Surround
    end: End

    @property
    def succeeded(self) -> bool:
        """Whether the function returned, and its result can be stored."""
        return isinstance(self.end, Returned | Written)

    def value(self) -> object:
        """What the function returned, as it would be read from the store; raises what it raised."""
        if not isinstance(self.end, Returned | Written):
            raise self.error()
        return self.attempt.definition.codec.decode_result(self.end.result)

    def error(self) -> BaseException:
        """What it raised instead of returning."""
        failure = getattr(self.end, "failure", None) or "it did not end"
        return self.attempt.error or ConveyorError(f"{self.attempt.definition.name}: {failure}")


class Inline:
    """Performs calls in the process that enqueues them."""

    def __init__(self, surround: Callable[[], Surround]) -> None:
        """*surround* makes what an attempt needs; the lifespan is entered for each call."""
        self._surround = surround

    def perform(self, job: NewJob, call: Call[R]) -> Job[R]:
        """Run *call* now; the handle knows how it ended."""
        return _handle(call, self.attempted(job, call))

    async def aperform(self, job: NewJob, call: Call[R]) -> Job[R]:
        """The same, in the running event loop."""
        return _handle(call, await self.aattempted(job, call))

    def attempted(self, job: NewJob, call: Call[R], attempt: int = 1) -> Done:
        """Run *call* as its attempt of that number, to its end."""
        made, surround = self._made(job, call, attempt)
        if made.in_thread and surround.around.lifespan is None:
            return Done(made, surround, contextvars.copy_context().run(made.here))
        with _loop() as run:
            stack = AsyncExitStack()
            run(_entered(made, surround, stack))
            try:
                end = (
                    contextvars.copy_context().run(made.here)
                    if made.in_thread
                    else cast(End, run(made.perform(NO_POOL)))
                )
            finally:
                run(stack.aclose())
        return Done(made, surround, end)

    async def aattempted(self, job: NewJob, call: Call[R], attempt: int = 1) -> Done:
        """The same, in the running event loop.

        A plain task runs in another thread, unless it may join a transaction here: a connection may suffer one thread
        only.
        """
        made, surround = self._made(job, call, attempt)
        async with AsyncExitStack() as stack:
            await _entered(made, surround, stack)
            if not made.in_thread:
                end = await asyncio.create_task(made.perform(NO_POOL))
            elif current(surround.store) is None:
                end = await asyncio.to_thread(made.here)
            else:
                end = contextvars.copy_context().run(made.here)
        return Done(made, surround, end)

    def _made(self, job: NewJob, call: Call[R], attempt: int) -> tuple[Attempt, Surround]:
        now = stored(datetime.now(UTC))
        claimed = Claimed(
            id=job.id,
            task=job.task,
            queue=job.queue,
            priority=job.priority,
            run_after=now,
            attempt=attempt,
            max_attempts=max(job.max_attempts, attempt),
            crashes=0,
            token=now,
            timeout=job.timeout,
            args=job.args,
            attempts=None,
            last_attempted_at=now,
            extras=job.extras,
        )
        usual = self._surround()
        surround = replace(usual, desk=_Alone(usual.desk, claimed))
        return _InlineAttempt(claimed, NOBODY, call.definition, surround), surround


NO_POOL: Final = DaemonThreads("conveyor-inline")
"""For ``async`` tasks, which take no thread."""

Run = Callable[[Coroutine[object, object, T]], T]


@contextmanager
def _loop() -> "Generator[Run[object]]":
    """An event loop to run coroutines on: in this thread, or, when one runs here already, in another."""
    if not loop_runs_here():
        with asyncio.Runner() as runner:
            yield lambda coroutine: runner.run(coroutine, context=contextvars.copy_context())
        return
    with ThreadPoolExecutor(1) as pool:
        runner = asyncio.Runner()
        try:
            yield lambda one: pool.submit(runner.run, one, context=contextvars.copy_context()).result()
        finally:
            pool.submit(runner.close).result()


async def _entered(attempt: Attempt, surround: Surround, stack: AsyncExitStack) -> None:
    attempt.context.state = await surround.around.open(stack)


def _handle(call: Call[R], done: Done) -> Job[R]:
    """The handle of an ended call. Raises what the function raised, unless that was a word to the worker."""
    result: bytes | None = None
    match done.end:
        case Returned(result) | Written(result):
            state = State.SUCCEEDED
        case Snoozed():
            state = State.SCHEDULED
        case Stopped():
            state = State.CANCELLED
        case _:
            raise done.error()
    job = done.attempt.job
    decode = cast(Callable[[bytes | None], R], call.definition.codec.decode_result)
    handle = Job(job.id, job.task, done.surround.desk, decode, state=state, attempt=job.attempt, created=True)
    record = _info(job, state, result, done.end.reason if isinstance(done.end, Stopped) else None)
    if isinstance(done.surround.desk, _Alone):
        done.surround.desk.record = record
    handle.seen(record)
    return handle


def _info(job: Claimed, state: State, result: bytes | None = None, reason: str | None = None) -> JobInfo:
    now = datetime.now(UTC)
    began = moment(job.last_attempted_at)
    return JobInfo(
        id=ids.text(job.id),
        task=job.task,
        queue=job.queue,
        priority=job.priority,
        state=state,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        crashes=0,
        token=job.token,
        timeout=None if job.timeout is None else job.timeout * MICROSECOND,
        enqueued_at=began,
        run_after=began,
        started_at=began,
        last_attempted_at=began,
        finished_at=now if state.final else None,
        run_time=now - began,
        runner=None,
        payload=job.args,
        result=result,
        attempts=(),
        extras=decoded(job.extras),
        cancelled=reason,
    )
