"""A lock that is held."""

import os
import threading
import time
from concurrent.futures import Future
from typing import Final

from conveyor.core.clock import MICROSECOND
from conveyor.core.errors import LockLost

TURNS: Final = 3
"""So often is a lock renewed in the time that it has."""


def ticks() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps, where there is such a one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lock:
    """What ``app.locks.hold`` gives inside its block."""

    def __init__(self, name: str, token: int, until: float) -> None:
        """Made by ``app.locks.hold``."""
        self.name = name
        self.token = token
        """Grows each time that the lock of this name is taken, by whomever: who has a smaller one was before.

        It is made of the store's clock, so that it also grows when the store was put back from a backup.

        Write it with what you write under the lock, and let nothing be written over that with a smaller one.
        """
        self._until = until
        self._why = ""
        self._owner = os.getpid()
        self._gate = threading.RLock()

    def __repr__(self) -> str:
        """For logs and the prompt."""
        return f"<Lock {self.name!r}, token {self.token}{', lost' if self.lost else ''}>"

    @property
    def lost(self) -> bool:
        """Whether it is this process' no more, or may not be; once lost, it stays so. Asks nobody."""
        if self._owner != os.getpid():
            return True
        with self._gate:
            return self._is_lost()

    def check(self) -> None:
        """Raise ``LockLost`` if it is lost."""
        if self._owner != os.getpid():
            raise LockLost(f"the lock {self.name!r} is held by process {self._owner}, from which this one was forked")
        if self.lost:
            raise LockLost(
                f"the lock {self.name!r} (token {self.token}) is lost: {self._why}; another may have it by now, so "
                "stop, and begin anew when it can be taken again"
            )

    def _is_lost(self) -> bool:
        if not self._why and ticks() >= self._until:
            self._why = "it could not be renewed in time"
        return bool(self._why)


class KeptLock(Lock):
    """The same, as its keeper has it."""

    def __init__(self, name: str, token: int, ttl: int, sent: float) -> None:
        """*ttl* in microseconds; *sent*: when it was asked for, as of ``ticks``."""
        self.ttl: Final = ttl
        self.seconds: Final = ttl * MICROSECOND.total_seconds()
        super().__init__(name, token, sent + self.seconds)
        self.tied = False
        """Whether the store gives it to another at once if this process dies."""
        self.loose = True
        """Whether it is to be tied, now that the store knows that it is not."""
        self.known: Final[Future[None]] = Future()
        """Done once the keeper has seen to that."""
        self.known.set_running_or_notify_cancel()  # a task that waits for it may be cancelled, and that may not
        self.given_back = False
        """Whether its block has ended: no more renewals."""
        self.due = sent + self.seconds / TURNS
        """When it is to be renewed."""

    @property
    def ours(self) -> bool:
        """Whether this process has taken it, and not one from which it was forked."""
        return self._owner == os.getpid()

    def tell(self) -> None:
        """Whoever has taken it need not wait any more."""
        if not self.known.done():
            self.known.set_result(None)

    def renewed(self, sent: float) -> None:
        """It was, by what was sent at that time. Too late does not count: somebody may know already that it is lost."""
        with self._gate:
            if not self._is_lost():
                self._until = sent + self.seconds
                self.due = sent + self.seconds / TURNS

    def lose(self, why: str) -> None:
        """It is lost."""
        with self._gate:
            self._why = self._why or why
