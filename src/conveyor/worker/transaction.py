"""A transaction whose commit completes the job: the user's writes, the jobs enqueued inside, and the job's own end.

The completion is its last statement, and runs over the very connection that the transaction is open on. It touches
the job's row only while job, token and runner agree: an attempt whose job was given to another takes everything back.
"""

import asyncio
import logging
import math
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager
from enum import Enum, auto
from inspect import isawaitable
from types import TracebackType
from typing import ClassVar, Final, Self, TypeVar, cast

from conveyor.context import Context, encoded
from conveyor.core.codec import Codec, Foreign
from conveyor.core.errors import AttemptFenced, ConveyorError, StoreUnavailable, UsageError, WrongStore
from conveyor.core.model import Claimed, Completion
from conveyor.drivers.lend import lend
from conveyor.drivers.lent import AsyncLoan, BlockingLoan, lock_code
from conveyor.drivers.within import Within, entered
from conveyor.plan import Plan, Ring, arun, run
from conveyor.store.answers import Visit
from conveyor.store.contract import Store
from conveyor.worker.unrun import refuse_unrun

logger = logging.getLogger("conveyor.worker")

T = TypeVar("T")
Loan = BlockingLoan | AsyncLoan

LOCK_LOOK: Final = 0.005
"""Seconds between attempts to get SQLite's write lock without holding up the event loop."""
LAST_WORD: Final = 10.0
"""Seconds that a commit gets to end by itself after its task was cancelled."""


class Stage(Enum):
    """How far a transaction has come."""

    NEW = auto()
    OPEN = auto()
    LOST = auto()
    """The connection was not to be had, or broke before the commit: nothing is there, by no fault of the job's."""
    UNDONE = auto()
    """Rolled back: nothing of it is there."""
    FENCED = auto()
    """Rolled back, for the job was no longer this attempt's."""
    UNSURE = auto()
    """The answer to the commit was lost."""
    COMMITTED = auto()


class Completing:
    """The transaction of one attempt; see ``Context.transaction``.

    Written once, as coroutines. For a plain ``with`` they are driven to their end at once: over a blocking connection
    nothing in them ever waits.
    """

    lock_wait: ClassVar[float] = math.inf
    """Seconds to wait for SQLite's write lock; a worker waits for as long as the attempt may run."""

    def __init__(
        self,
        store: Store,
        job: Claimed,
        runner: bytes,
        codec: Codec,
        context: Context,
        *,
        keeps: bool,
        record: Callable[[], bytes | None],
    ) -> None:
        """Opens nothing yet. *keeps*: whether the job's result is stored; *record* gives that of its attempts."""
        self._store = store
        self._job = job
        self._runner = runner
        self._codec = codec
        self._context = context
        self._keeps = keeps
        self._record = record
        self._using: object = None
        self._own: Foreign = None
        self._loan: Loan | None = None
        self._isolation = ""
        self._block: Within | None = None
        self._inside = ExitStack()
        self.result: bytes | None = None
        """The encoded result that it stores."""
        self.stage = Stage.NEW
        self._pid = 0
        self.break_: BaseException | None = None
        """The error of the commit, when its connection broke over it."""

    @property
    def connection(self) -> Foreign:
        """See ``Transaction.connection``."""
        return self._context.connection

    @property
    def alone(self) -> bool:
        """Whether it is open, and a write of others to the job's row would spoil it, or wait for it."""
        return self.stage is Stage.OPEN and self._isolation != "read committed"

    def using(self, connection: object) -> Self:
        """Have it opened on *connection*; once for each attempt, but for one that was rolled back."""
        if self.stage is Stage.OPEN:
            raise UsageError("a transaction is open already, as always in a transactional task; use ctx.connection")
        if self.stage not in {Stage.NEW, Stage.UNDONE, Stage.LOST}:
            raise UsageError("ctx.transaction() is for once in an attempt: its commit is the job's completion")
        self._using, self.result = connection, None
        return self

    def complete(self, value: object) -> None:
        """See ``Transaction.complete``."""
        refuse_unrun("complete() was given a", value)
        self.result = self._codec.encode_result(value if self._keeps else None)

    def __enter__(self) -> Self:
        """Begin."""
        at_once(self._begin(_Blocking(self._store, self.lock_wait)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete and commit; roll back when the block raised."""
        at_once(self._end(error))

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._begin(_Awaited(self._store, self.lock_wait))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete and commit; roll back when the block raised."""
        await self._end(error)

    async def _begin(self, colour: "Colour") -> None:
        """Over a connection of ours, what goes wrong before the first statement of the task's is the store's fault."""
        own = self._using is None
        try:
            with _ours(own=own):
                loan = await self._lent(colour)
                await colour.begin(loan, self._context, own=own)
        except BaseException as error:
            self.stage = Stage.LOST if own and isinstance(error, StoreUnavailable) else self.stage
            await self._close()
            raise
        await self._opened(colour, loan, self._own if own else self._using)

    async def _opened(self, colour: "Colour", loan: Loan, connection: object) -> None:
        """See where the begun transaction leads. What is enqueued from here on joins it."""
        self._loan, self.stage, self._pid = loan, Stage.OPEN, os.getpid()
        try:
            identity = await colour.carried(self._store.operations.identity())
            visit = self._store.operations.visit(Visit(loan.name, self._store.url, identity))
            self._isolation = await _over(loan, visit)
        except BaseException as error:
            await self._undo(loan, Stage.LOST if isinstance(error, StoreUnavailable) else Stage.UNDONE)
            raise
        block = Within(self._store, loan, connection)
        block.isolation = self._isolation
        self._block = block
        self._inside.enter_context(entered(block))
        self._context.open_connection = connection

    async def _lent(self, colour: "Colour") -> Loan:
        if self._using is None:
            self._own = await colour.connect()
        loan = lend(self._own if self._using is None else self._using)
        if isinstance(loan, AsyncLoan) and isinstance(colour, _Blocking):
            raise UsageError(f"{loan.name} is awaited; use `async with ctx.transaction(using=...)`")
        if loan.kind != self._store.kind:
            raise WrongStore(f"{loan.name} leads to {loan.kind}, and this app's store is {self._store.kind}")
        loan.idle()
        return loan

    async def _end(self, error: BaseException | None) -> None:
        loan = self._loan
        if loan is None or self.stage is not Stage.OPEN:
            raise UsageError("this transaction is not open")
        if os.getpid() != self._pid:  # not even to be rolled back: the connection is the other process's as well
            raise UsageError("this transaction is not this process's: the task has forked within it")
        if error is not None:
            await self._undo(loan, Stage.UNDONE)
            return
        try:
            self._leave()
            await _done(loan.flush())
            mine = await self.completed(loan)
        except BaseException:
            await self._undo(loan, Stage.UNDONE)
            raise
        if not mine:
            await self._undo(loan, Stage.FENCED)
            raise AttemptFenced(
                f"job {self._context.job.id} is no longer attempt {self._job.attempt}'s: its worker was taken for "
                "dead; all that this transaction wrote is taken back"
            )
        await self._commit(loan)

    async def completed(self, loan: Loan) -> bool:
        """End the job inside the transaction; whether it was still this attempt's."""
        unsaved, self._context.unsaved = self._context.unsaved, None
        progress = None if unsaved is None else encoded(unsaved)
        done = Completion(self._job.id, self._job.token, self._runner, self.result, progress, self._record())
        return await _over(loan, self._store.operations.complete(done))

    async def _commit(self, loan: Loan) -> None:
        """From here on nobody knows how it ends until the commit has returned."""
        self.stage = Stage.UNSURE

        async def committed() -> None:
            await _done(loan.commit())
            self.stage = Stage.COMMITTED

        try:
            await (_to_its_end(committed()) if isinstance(loan, AsyncLoan) else committed())
        except BaseException as error:
            self.break_ = error if loan.lost else None
            await _done(loan.rollback())  # for the connection's sake; nothing is left to take back
            raise
        finally:
            await self._close()
        if self._block is not None and self._block.joined:
            self._store.ring(Ring.WORK)

    async def abandon(self) -> None:
        """The task is over: nobody ends what is still open, but we do. Raises ``UsageError`` if there was anything."""
        if self._loan is not None and self.stage is Stage.OPEN:
            await self._undo(self._loan, Stage.UNDONE)
            raise UsageError("the task returned inside of its ctx.transaction() block; all that it wrote is taken back")

    async def _undo(self, loan: Loan, stage: Stage) -> None:
        self.stage = Stage.LOST if stage is Stage.UNDONE and loan.lost else stage
        try:
            self._leave()
        finally:
            try:
                await _done(loan.rollback())
            finally:
                await self._close()

    def _leave(self) -> None:
        self._context.open_connection = None
        self._inside.close()

    async def _close(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            await _done(own.close())


class _Blocking:
    """How a plain ``with`` begins."""

    blocks: ClassVar[bool] = True

    def __init__(self, store: Store, lock_wait: float) -> None:
        self._store = store
        self._lock_wait = lock_wait

    async def connect(self) -> object:
        return self._store.connect()

    async def carried(self, plan: Plan[T]) -> T:
        return self._store.run(plan)

    async def begin(self, loan: Loan, context: Context, *, own: bool) -> None:
        """SQLite's write lock may be held for long, by other attempts of this worker for instance."""
        end = time.monotonic() + self._lock_wait
        while True:
            try:
                await _done(loan.begin())
            except sqlite3.OperationalError as error:
                if not own or not lock_code(error) or time.monotonic() > end:
                    raise
                context.checkpoint()
            else:
                return


class _Awaited:
    """How ``async with`` begins."""

    blocks: ClassVar[bool] = False

    def __init__(self, store: Store, lock_wait: float) -> None:
        self._store = store
        self._lock_wait = lock_wait

    async def connect(self) -> object:
        return await self._store.aconnect()

    async def carried(self, plan: Plan[T]) -> T:
        return await self._store.arun(plan)

    async def begin(self, loan: Loan, context: Context, *, own: bool) -> None:  # noqa: ARG002 - it is cancelled instead
        """SQLite's write lock is waited for in small steps: who holds it may run in this very event loop."""
        end = time.monotonic() + self._lock_wait
        while True:
            try:
                await _done(loan.begin())
            except sqlite3.OperationalError as error:
                if not own or not lock_code(error) or time.monotonic() > end:
                    raise
                await asyncio.sleep(LOCK_LOOK)
            else:
                return


Colour = _Blocking | _Awaited


@contextmanager
def _ours(*, own: bool) -> Generator[None]:
    """What the libraries say when a connection of our own cannot begin a transaction, as the store's trouble."""
    try:
        yield
    except ConveyorError:
        raise
    except Exception as error:
        if own:
            raise StoreUnavailable(f"no transaction could be begun: {error}") from error
        raise


async def _over(loan: Loan, plan: Plan[T]) -> T:
    return await arun(plan, loan.carry) if isinstance(loan, AsyncLoan) else run(plan, loan.carry)


async def _done(given: object) -> None:
    """Await what an awaited connection gives; a blocking one has done it by now."""
    if isawaitable(given):
        await cast(Awaitable[object], given)


def at_once(coroutine: Coroutine[object, None, T]) -> T:
    """Drive a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise ConveyorError("this connection must be awaited; use `async with`")


async def _to_its_end(commit: Coroutine[object, None, None]) -> None:
    """A commit is not to be cut off: its task may be cancelled, and it goes on, and is heard out."""
    task = asyncio.ensure_future(commit)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait([task], timeout=LAST_WORD)
        if not task.done():
            task.cancel()
        elif not task.cancelled():
            task.exception()  # whatever it was, it is found out in the store
        raise
