"""What the death of a cell means for the job that ran in it. Pure."""

import signal
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from conveyor.core.errors import MemoryLimitExceeded, WorkerLost
from conveyor.core.failure import Failure, storable
from conveyor.core.judge import Crashed, Ending, Interrupted
from conveyor.worker.attempt import Attempt, Interruption, Unsure
from conveyor.worker.board import Killed

OURS: Final = frozenset({Interruption.SHUTDOWN, Interruption.LEASE_LOST})
"""For these a runner kills a cell, and the job is not to blame."""
LIMITS: Final = frozenset({Killed.DEADLINE, Killed.MEMORY})
"""For these the one job is killed that is over them, and no other is to blame."""
OTHERS: Final = frozenset({Killed.ORPHANED, Killed.BYSTANDER})
"""For these nobody is."""


class Death(NamedTuple):
    """How a cell has ended."""

    status: int
    """Its exit status; of a signal, its number less than 0."""
    killed: Killed
    overdue: bool
    """Whether the job was over its deadline when it was killed for that."""
    stack: str
    """What Python wrote of where it was."""
    asked: bool
    """Whether it was to end."""


def ending_of(attempt: Attempt, death: Death) -> Unsure:
    """The end of the attempt that had begun in it.

    Its transaction may have been committed at the last moment: that is to be asked before anything else is believed.
    """
    return Unsure(_ending(attempt, death), None)


def _ending(attempt: Attempt, death: Death) -> Ending:
    if death.killed is Killed.DEADLINE:
        return attempt.timed_out() if death.overdue else Interrupted()
    if death.killed is Killed.MEMORY:
        limit = (attempt.extras.memory or 0) / 1024**2
        return attempt.failed(MemoryLimitExceeded(f"its process held more than memory={limit:.0f}MB"))
    if death.killed in OTHERS or attempt.interruption in OURS:
        return Interrupted()
    hint = ": out of memory?" if death.status == -signal.SIGKILL else ""
    text = f"the process that ran it {how(death.status)}{hint}"
    return Crashed(_failure(attempt.words.described, text, death.stack))


def _failure(described: Callable[[BaseException], Failure], text: str, stack: str) -> Failure:
    failure = described(WorkerLost(text))
    return msgspec.structs.replace(failure, traceback=storable(stack, len(stack))) if stack else failure


def how(status: int) -> str:
    """How a process has ended, in words."""
    if status >= 0:
        return f"ended by itself, with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "signal"
    return f"was killed by {name} ({-status})"
