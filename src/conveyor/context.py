"""What a running task can know of its attempt: ``takes_context=True`` or ``conveyor.current()``."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from conveyor.core import ids
from conveyor.core.clock import moment
from conveyor.core.codec import Foreign
from conveyor.core.errors import NotInTransaction, PayloadError
from conveyor.core.extras import decoded
from conveyor.core.lifecycle import State
from conveyor.core.model import Claimed, Progress
from conveyor.core.redact import DEFAULT
from conveyor.core.text import free_text, is_a, told
from conveyor.core.trace import Clean
from conveyor.job import Desk, Job

logger = logging.getLogger("conveyor.task")

MESSAGE_LENGTH: Final = 500


class Transaction(Protocol):
    """A transaction that the attempt's completion is part of; entered by ``with``, or ``async with``."""

    @property
    def connection(self) -> Foreign:
        """What the transaction is open on: what was given as *using*, or a connection of our own driver's."""
        ...

    def complete(self, value: object) -> None:
        """The job's result; without a call it is ``None``. Stored, and committed, when the block ends."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Context:
    """One attempt, seen from inside."""

    __slots__ = ("_claimed", "_clean", "_desk", "_stop", "_transact", "open_connection", "state", "unsaved")

    def __init__(
        self,
        claimed: Claimed,
        desk: Desk,
        transact: Callable[["Context", object], Transaction],
        state: Foreign = None,
        clean: Clean = DEFAULT.clipped,
    ) -> None:
        """Made by the worker for each attempt; *transact* makes its transactions, *clean* leaves out secrets."""
        self._claimed = claimed
        self._clean = clean
        self._desk = desk
        self._transact = transact
        self._stop = False
        self.state: Foreign = state
        """What the app's lifespan gave."""
        self.unsaved: Progress | None = None
        """Progress that is not in the store yet; the worker's."""
        self.open_connection: Foreign = None
        """The connection of the transaction that is open; the worker's."""

    def __repr__(self) -> str:
        """For logs and the prompt."""
        return f"<Context of attempt {self.attempt}, {self.job!r}>"

    @property
    def job(self) -> Job[object]:
        """The job's handle."""
        claimed = self._claimed
        return Job(claimed.id, claimed.task, self._desk, _unread, state=State.RUNNING, attempt=claimed.attempt)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._claimed.attempt

    @property
    def max_attempts(self) -> int:
        """How many there may be; in the last one ``attempt`` equals it."""
        return self._claimed.max_attempts

    @property
    def token(self) -> int:
        """The number that fences this attempt's writes: higher at each claim of the job."""
        return self._claimed.token

    @property
    def queue(self) -> str:
        """The queue that the job came through."""
        return self._claimed.queue

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return decoded(self._claimed.extras).tag_list

    @property
    def meta(self) -> dict[str, object]:
        """What ``using(meta=...)`` gave the job."""
        return decoded(self._claimed.extras).meta_dict

    @property
    def schedule(self) -> str:
        """The schedule that made the job; empty when none did."""
        return decoded(self._claimed.extras).schedule

    @property
    def tick(self) -> datetime | None:
        """The time that the job was made for, as its schedule has it, in UTC; ``None`` when none made it.

        It is the same at each attempt, however late that is: "the report of that day" is to be told by it.
        """
        tick = decoded(self._claimed.extras).tick
        return moment(tick) if tick else None

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose lines carry job, task and attempt."""
        return logging.LoggerAdapter(logger, self.labels())

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should end: somebody cancelled it, its time is up, its worker stops, or lost its lease.

        An async task is cancelled besides; a task in a thread cannot be, and should look here now and then, or call
        ``checkpoint``.
        """
        return self._stop

    def checkpoint(self) -> None:
        """End this attempt here, if it should end: for tasks in threads, which nobody can stop from outside.

        Raises ``asyncio.CancelledError``, which is to be let through: the worker knows why, and a deploy spends no
        attempt while a cancelled job ends as cancelled.
        """
        if self._stop:
            raise asyncio.CancelledError

    def progress(self, value: float | None = None, message: str = "") -> None:
        """Say how far the job has come: *value* from 0 to 1, and up to 500 characters of *message*.

        The message is stored without what looks like a secret, and without the values that ``redact`` names. Written
        at most twice a second, so it costs little to call it often. Raises ``PayloadError`` for what cannot be stored.
        """
        if value is not None and (is_a(value, bool) or not is_a(value, int, float)):
            raise TypeError(f"progress must be a number from 0 to 1, not {told(value)}")
        if value is not None and not 0 <= value <= 1:  # which NaN is not either
            raise PayloadError(f"progress={told(value)} must lie between 0 and 1")
        text = free_text("message", message, MESSAGE_LENGTH)
        text = self._clean(text, MESSAGE_LENGTH) if text else text
        self.unsaved = Progress(None if value is None else float(value), text)

    @property
    def connection(self) -> Foreign:
        """The connection of the open transaction: of ``transactional=True``, or of the ``transaction`` block."""
        if self.open_connection is None:
            raise NotInTransaction(
                "this attempt has no transaction open; use @app.task(transactional=True), or ctx.transaction()"
            )
        return self.open_connection

    def transaction(self, using: object = None) -> Transaction:
        """A transaction whose commit is this job's completion: ``with ctx.transaction() as tx:``, or ``async with``.

        The writes through ``tx.connection``, the jobs enqueued inside, and the completion with ``tx.complete(value)``
        are committed together, or not at all. *using* is a connection or session of the user's, on the store's
        database and with no transaction open; none means a new connection of our own driver's. What happens after
        the block cannot change the outcome. Once for each attempt.

        Raises ``WrongStore``, ``UsageError``, ``AttemptFenced`` when the job was given to another worker meanwhile,
        and whatever the connection's library raises.
        """
        return self._transact(self, using)

    def cancel(self) -> None:
        """Ask the task to end; for the worker."""
        self._stop = True

    def end(self) -> None:
        """The attempt is over; for the worker."""
        self._transact = _over

    def labels(self) -> dict[str, object]:
        """What identifies the attempt in a log line."""
        return labels(self._claimed)


running: ContextVar[Context] = ContextVar("conveyor_context")


def current() -> Context:
    """The context of the attempt that is running here; ``LookupError`` outside of one."""
    try:
        return running.get()
    except LookupError:
        raise LookupError("conveyor.current() has a value only inside a running task") from None


def labels(claimed: Claimed) -> dict[str, object]:
    """What identifies an attempt in a log line, also where it has no context: not yet, or not any more."""
    return {"job": ids.text(claimed.id), "task": claimed.task, "attempt": claimed.attempt}


def encoded(progress: Progress) -> bytes:
    """*progress*, as it is stored."""
    return msgspec.json.encode(progress)


def _over(context: Context, _using: object) -> Transaction:
    raise NotInTransaction(f"attempt {context.attempt} of job {context.job.id} has ended: it can complete nothing")


def _unread(result: bytes | None) -> object:
    return result
