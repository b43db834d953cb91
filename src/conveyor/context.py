"""What a running task can know of its attempt: ``takes_context=True`` or ``conveyor.current()``."""

import logging
from contextvars import ContextVar

from conveyor.core.lifecycle import State
from conveyor.core.model import Claimed
from conveyor.job import Desk, Job

logger = logging.getLogger("conveyor.task")


class Context:
    """One attempt, seen from inside."""

    __slots__ = ("_claimed", "_desk", "_stop")

    def __init__(self, claimed: Claimed, desk: Desk) -> None:
        """Made by the worker for each attempt."""
        self._claimed = claimed
        self._desk = desk
        self._stop = False

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
    def token(self) -> int:
        """The number that fences this attempt's writes: higher at each claim of the job."""
        return self._claimed.token

    @property
    def queue(self) -> str:
        """The queue that the job came through."""
        return self._claimed.queue

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose lines carry job, task and attempt."""
        return logging.LoggerAdapter(logger, self.labels())

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should end: its time is up, its worker stops, or its lease is lost.

        An async task is cancelled besides; a task in a thread cannot be, and should look here now and then.
        """
        return self._stop

    def cancel(self) -> None:
        """Ask the task to end; for the worker."""
        self._stop = True

    def labels(self) -> dict[str, object]:
        """What identifies the attempt in a log line."""
        return {"job": self.job.id, "task": self._claimed.task, "attempt": self.attempt}


running: ContextVar[Context] = ContextVar("conveyor_context")


def current() -> Context:
    """The context of the attempt that is running here; ``LookupError`` outside of one."""
    try:
        return running.get()
    except LookupError:
        raise LookupError("conveyor.current() has a value only inside a running task") from None


def _unread(result: bytes | None) -> object:
    return result
