"""A clock that a test moves. On SQLite what is due is decided by the clock of its processes; here it is this one."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

from conveyor.core.clock import MICROSECOND, moment, stored
from conveyor.core.errors import UsageError


class MovableClock:
    """``harness.clock``: stands still, so that a slow machine changes nothing, until something moves it.

    It catches up with the machine's clock, plus all that it was moved, when jobs are run and whenever it is moved;
    while ``harness.worker()`` works it runs. One that was given a *start* is moved by the test alone.

    Each look at it takes a microsecond, so that no two jobs are enqueued at the same time.
    """

    def __init__(self, start: datetime | None, moved: Callable[[], None]) -> None:
        """*moved* is called after each move of the test's."""
        self._alone = start is not None
        self._ahead = 0
        self._at = _real() if start is None else _aware(start)
        self._running = 0
        self._moved = moved
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """For the prompt."""
        return f"<clock of a harness at {self.now}>"

    @property
    def now(self) -> datetime:
        """What it shows."""
        return moment(self._at)

    def advance(
        self,
        by: timedelta | float = 0.0,
        /,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Move it forward: ``advance(days=3)``, ``advance(timedelta(days=3))``, or seconds."""
        given = by if isinstance(by, timedelta) else timedelta(seconds=by)
        step = given + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        if step < timedelta(0):
            raise UsageError(f"the clock goes forward only, and not by {step}; Harness(app, now=...) starts elsewhere")
        self.jump(step // MICROSECOND)
        self._moved()

    def move_to(self, when: datetime) -> None:
        """Move it forward to *when*."""
        step = _aware(when) - self._at
        if step < 0:
            raise UsageError(
                f"the clock shows {self.now}, and goes forward only, not to {when}; Harness(app, now=...) starts "
                "elsewhere"
            )
        with self._lock:
            self._ahead = _aware(when) - _real()
            self._at += step
        self._moved()

    def microseconds(self) -> int:
        """See ``core.clock.Clock``."""
        with self._lock:
            self._at += 1
            if self._running:
                self._catch_up()
            return self._at

    def jump(self, microseconds: int) -> None:
        """Move it, and tell nobody."""
        with self._lock:
            self._ahead += microseconds
            self._at += microseconds
            self._catch_up()

    def pass_over(self, microseconds: int) -> None:
        """Let that much be over: jobs of one call come due a microsecond apart, and none of them is to be late."""
        with self._lock:
            self._at += microseconds

    def catch_up(self) -> None:
        """Take in how long the test has taken: what it has set to ``datetime.now(UTC)`` is due."""
        with self._lock:
            self._catch_up()

    @contextmanager
    def running(self) -> Generator[None]:
        """Inside, time passes by itself."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def _catch_up(self) -> None:
        if not self._alone:
            self._at = max(self._at, _real() + self._ahead)


def _real() -> int:
    return time.time_ns() // 1_000


def _aware(when: datetime) -> int:
    if when.utcoffset() is None:
        raise UsageError(f"{when.isoformat()} has no time zone; give it one, as in datetime(2030, 1, 1, tzinfo=UTC)")
    return stored(when)
