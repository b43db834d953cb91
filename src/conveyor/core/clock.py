"""The clock seam. What is due is decided by the store's clock: on SQLite, whose processes share a host, it is this."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Time as one process sees it."""

    def microseconds(self) -> int:
        """Microseconds of UTC since 1970; SQLite's clock, since its processes share a host."""
        ...


class SystemClock:
    """The machine's own clock."""

    def microseconds(self) -> int:
        """Microseconds of UTC since 1970."""
        return time.time_ns() // 1000


def moment(microseconds: int) -> datetime:
    """A stored time as an aware ``datetime`` in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def stored(when: datetime) -> int:
    """An aware ``datetime`` as it is stored: microseconds of UTC since 1970."""
    return (when - EPOCH) // MICROSECOND
