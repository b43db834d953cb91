"""What a running task can know of its attempt: ``takes_context=True`` or ``conveyor.current()``."""

import logging
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event

from conveyor.job import Job

logger = logging.getLogger("conveyor.task")


@dataclass(frozen=True, slots=True)
class Context:
    """One attempt, seen from inside."""

    job: Job[object]
    attempt: int
    """The number of this attempt, from 1."""
    token: int
    """The number that fences this attempt's writes: higher at each claim of the job."""
    queue: str
    log: logging.LoggerAdapter[logging.Logger] = field(repr=False)
    """A logger whose lines carry job, task and attempt."""
    stop: Event = field(default_factory=Event, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should end: its time is up, its worker stops, or its lease is lost.

        An async task is cancelled besides; a task in a thread cannot be, and should look here now and then.
        """
        return self.stop.is_set()


running: ContextVar[Context] = ContextVar("conveyor_context")


def current() -> Context:
    """The context of the attempt that is running here; ``LookupError`` outside of one."""
    try:
        return running.get()
    except LookupError:
        raise LookupError("conveyor.current() has a value only inside a running task") from None


def attempt_log(job: str, task: str, attempt: int) -> logging.LoggerAdapter[logging.Logger]:
    """A logger whose lines carry these three."""
    return logging.LoggerAdapter(logger, {"job": job, "task": task, "attempt": attempt})
