"""The clock seam. What is due is decided by the store's clock: on SQLite, whose processes share a host, it is this."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


class Start(NamedTuple):
    """When a job may start: not before *due*, and not before *delay* after the store received it."""

    due: int = 0
    """Microseconds of UTC since 1970; 0 for at once."""
    delay: int = 0
    """Microseconds, by the store's clock."""


NOW: Final = Start()


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
    """A stored time as an aware ``datetime`` in UTC; the first or the last there is, for what somebody has spoilt."""
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return LAST if microseconds > 0 else FIRST


def stored(when: datetime) -> int:
    """An aware ``datetime`` as it is stored: microseconds of UTC since 1970."""
    return (when - EPOCH) // MICROSECOND
