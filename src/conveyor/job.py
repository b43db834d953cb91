"""``Job``, the handle that ``enqueue`` returns, and the ``Desk`` through which it looks at the store."""

import asyncio
import math
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from conveyor.core import ids
from conveyor.core.errors import JobFailed
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo

R = TypeVar("R")

FIRST_LOOK = 0.005
LONGEST_LOOK = 0.5


class Desk(Protocol):
    """Where a handle asks after its job."""

    def info(self, id_: bytes) -> JobInfo:
        """The job's record; ``JobNotFound`` when there is none."""
        ...

    async def ainfo(self, id_: bytes) -> JobInfo:
        """The same for async code."""
        ...


class Job(Generic[R]):
    """One enqueued call.

    ``state`` and ``attempt`` are as of the last look at the store: ``enqueue``, ``refresh`` or ``result``.
    """

    __slots__ = ("_attempt", "_decode", "_desk", "_id", "_info", "_state", "task")

    def __init__(
        self,
        id_: bytes,
        task: str,
        desk: Desk,
        decode: Callable[[bytes | None], R],
        *,
        state: State = State.READY,
        attempt: int = 0,
    ) -> None:
        """Made by ``enqueue`` and ``app.jobs.get``; *decode* reads a stored result."""
        self._id = id_
        self.task = task
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

    def result(self, timeout: float | timedelta | None = None) -> R:
        """Wait for the job's end, and give what its function returned.

        *timeout* in seconds; ``None`` waits for ever. Raises ``JobFailed`` when the job failed, was cancelled or
        quarantined, and ``TimeoutError`` when time is up (the job itself goes on).
        """
        for pause in self._looks(timeout):
            if self.refresh().state.final:
                break
            time.sleep(pause)
        return self._value()

    async def aresult(self, timeout: float | timedelta | None = None) -> R:  # noqa: ASYNC109 - as result()
        """``result`` for async code."""
        for pause in self._looks(timeout):
            if (await self.arefresh()).state.final:
                break
            await asyncio.sleep(pause)
        return self._value()

    def _looks(self, timeout: float | timedelta | None) -> Generator[float]:
        """The pauses between looks: short at first, growing, never beyond the end of time."""
        limit = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if limit is not None and math.isnan(limit):
            raise ValueError("timeout=nan is no number of seconds")
        end = None if limit is None else time.monotonic() + limit
        pause = FIRST_LOOK
        while True:
            left = pause if end is None else end - time.monotonic()
            yield max(min(pause, left), 0)
            if left <= 0:
                raise TimeoutError(f"job {self.id} ({self.task}) is still {self._state} after {limit} s")
            pause = min(pause * 1.5, LONGEST_LOOK)

    def seen(self, info: JobInfo) -> JobInfo:
        """Take in a record that was just read."""
        self._info, self._state, self._attempt = info, info.state, info.attempt
        return info

    def _value(self) -> R:
        if self._info is None or self._info.state is not State.SUCCEEDED:
            error = self._info.error if self._info else None
            raise JobFailed(f"job {self.id} ({self.task}) is {self._state}" + (f": {error}" if error else ""))
        return self._decode(self._info.result)
