"""``Job``, the handle that ``enqueue`` returns, and the ``Desk`` through which it looks at the store."""

import asyncio
import math
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from conveyor.core import ids
from conveyor.core.errors import ConveyorWarning, JobFailed, OnItsWay, UsageError
from conveyor.core.lifecycle import State
from conveyor.core.loops import loop_runs_here
from conveyor.core.model import JobInfo
from conveyor.core.text import free_text

R_co = TypeVar("R_co", covariant=True)

FIRST_LOOK = 0.005
LONGEST_LOOK = 0.5
REASON_LENGTH = 500


class Desk(Protocol):
    """Where a handle asks after its job."""

    def info(self, id_: bytes) -> JobInfo:
        """The job's record; ``JobNotFound`` when there is none."""
        ...

    async def ainfo(self, id_: bytes) -> JobInfo:
        """The same for async code."""
        ...

    def cancel(self, id_: bytes, reason: str) -> JobInfo:
        """Cancel the job, or ask it to stop while it runs; its record after that."""
        ...

    async def acancel(self, id_: bytes, reason: str) -> JobInfo:
        """The same for async code."""
        ...

    def retry(self, id_: bytes) -> JobInfo:
        """Run the job now, or once more; its record after that. ``DuplicateJob`` when its unique key is taken."""
        ...

    async def aretry(self, id_: bytes) -> JobInfo:
        """The same for async code."""
        ...

    def delete(self, id_: bytes) -> None:
        """Delete the job; ``ConveyorError`` while it runs."""
        ...

    async def adelete(self, id_: bytes) -> None:
        """The same for async code."""
        ...

    def unattended(self) -> str:
        """Why nobody will ever run a job, in a test; empty where somebody may, as anywhere else."""
        ...


class Job(Generic[R_co]):
    """One enqueued call.

    ``state`` and ``attempt`` are as of the last look at the store: ``enqueue``, ``refresh``, ``result`` or a change. A
    handle of a job that another call has enqueued (see ``created``) knows them after ``refresh``.
    """

    __slots__ = ("_attempt", "_decode", "_desk", "_id", "_info", "_state", "created", "task")

    def __init__(
        self,
        id_: bytes,
        task: str,
        desk: Desk,
        decode: Callable[[bytes | None], R_co],
        *,
        state: State = State.READY,
        attempt: int = 0,
        created: bool = False,
    ) -> None:
        """Made by ``enqueue`` and ``app.jobs.get``; *decode* reads a stored result."""
        self.created = created
        """Whether the ``enqueue`` that gave this handle stored a new job; else an older one holds the unique key."""
        self._id = id_
        self.task = task
        """The task's name."""
        self._desk = desk
        self._decode = decode
        self._state = state
        self._attempt = attempt
        self._info: JobInfo | None = None

    def __repr__(self) -> str:
        """For logs and the prompt."""
        return f"<Job {self.id} {self.task} {self._state}>"

    @property
    def id(self) -> str:
        """The job's id, 36 characters."""
        return ids.text(self._id)

    @property
    def state(self) -> State:
        """Where the job stood at the last look."""
        return self._state

    @property
    def attempt(self) -> int:
        """The number of its latest attempt at the last look; 0 before the first."""
        return self._attempt

    @property
    def info(self) -> JobInfo | None:
        """The whole record at the last look; ``None`` before the first ``refresh``."""
        return self._info

    def refresh(self) -> JobInfo:
        """Look at the store now. ``JobNotFound`` when the job is gone."""
        return self.seen(self._desk.info(self._id))

    async def arefresh(self) -> JobInfo:
        """``refresh`` for async code."""
        return self.seen(await self._desk.ainfo(self._id))

    def cancel(self, reason: str = "cancelled by hand") -> State:
        """Cancel the job while it waits; ask it to stop while it runs. Gives its state after that.

        ``cancelled``; ``running`` when it was asked, and ends as cancelled unless it ends by itself before it hears
        of it; or the state in which it had ended already. *reason* is kept with the job.
        """
        return self.seen(self._desk.cancel(self._id, free_text("reason", reason, REASON_LENGTH))).state

    async def acancel(self, reason: str = "cancelled by hand") -> State:
        """``cancel`` for async code."""
        return self.seen(await self._desk.acancel(self._id, free_text("reason", reason, REASON_LENGTH))).state

    def retry(self) -> State:
        """Run the job now if it waits for its time, and once more if it has ended. Gives its state after that.

        ``DuplicateJob`` when another job holds its unique key by now.
        """
        return self.seen(self._desk.retry(self._id)).state

    async def aretry(self) -> State:
        """``retry`` for async code."""
        return self.seen(await self._desk.aretry(self._id)).state

    def delete(self) -> None:
        """Delete the job and all that is known of it. ``ConveyorError`` while it runs."""
        self._desk.delete(self._id)

    async def adelete(self) -> None:
        """``delete`` for async code."""
        await self._desk.adelete(self._id)

    def result(self, timeout: float | timedelta | None = None) -> R_co:
        """Wait for the job's end, and give what its function returned.

        *timeout* in seconds; ``None`` waits for ever. Raises ``JobFailed`` when the job failed, was cancelled or
        quarantined, and ``TimeoutError`` when time is up (the job itself goes on).
        """
        if not self._ended:
            _warn()
        for pause in () if self._ended else self._looks(timeout):
            with suppress(OnItsWay):
                if self.refresh().state.final:
                    break
            time.sleep(pause)
        return self._value()

    async def aresult(self, timeout: float | timedelta | None = None) -> R_co:  # noqa: ASYNC109 - as result()
        """``result`` for async code."""
        for pause in () if self._ended else self._looks(timeout):
            with suppress(OnItsWay):
                if (await self.arefresh()).state.final:
                    break
            await asyncio.sleep(pause)
        return self._value()

    @property
    def _ended(self) -> bool:
        """Whether the last look saw its end; a job that ran inline is in no store to look into."""
        return self._info is not None and self._info.state.final

    def _looks(self, timeout: float | timedelta | None) -> Generator[float]:
        """The pauses between looks: short at first, growing, never beyond the end of time.

        That nobody runs jobs counts when it was so before a look that sees no end: a worker may just have ended both.
        """
        limit = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if limit is not None and math.isnan(limit):
            raise ValueError("timeout=nan is no number of seconds")
        end = None if limit is None else time.monotonic() + limit
        unattended = self._desk.unattended() if limit is None or limit > 0 else ""
        pause = FIRST_LOOK
        while True:
            left = pause if end is None else end - time.monotonic()
            yield max(min(pause, left), 0)
            if unattended:
                raise UsageError(f"job {self.id} ({self.task}) is {self._state}, and {unattended}")
            if left <= 0:
                raise TimeoutError(f"job {self.id} ({self.task}) is still {self._state} after {limit} s")
            pause = min(pause * 1.5, LONGEST_LOOK)

    def seen(self, info: JobInfo) -> JobInfo:
        """Take in a record that was just read."""
        self._info, self._state, self._attempt = info, info.state, info.attempt
        return info

    def _value(self) -> R_co:
        if self._info is None or self._info.state is not State.SUCCEEDED:
            error = (self._info.cancelled or self._info.error) if self._info else None
            raise JobFailed(f"job {self.id} ({self.task}) is {self._state}" + (f": {error}" if error else ""))
        return self._decode(self._info.result)


def _warn() -> None:
    """A wait inside a running event loop holds up everything else in it, and what it waits for, perhaps."""
    if not loop_runs_here():
        return
    warnings.warn(
        "result() inside a running event loop holds it up until the job has ended; use `await ....aresult()`",
        ConveyorWarning,
        stacklevel=3,
    )
