"""The clock seam: what a process waits by. What is *due* is decided by the store's clock, never by this one."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Time as one process sees it."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def microseconds(self) -> int:
        """Microseconds of UTC since 1970; SQLite's clock, since its processes share a host."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds that never go back, also when somebody sets the time."""
        return time.monotonic()

    def microseconds(self) -> int:
        """Microseconds of UTC since 1970."""
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        """Wait in the running event loop."""
        await asyncio.sleep(seconds)


def moment(microseconds: int) -> datetime:
    """A stored time as an aware ``datetime`` in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def stored(when: datetime) -> int:
    """An aware ``datetime`` as it is stored: microseconds of UTC since 1970."""
    return (when - EPOCH) // MICROSECOND
