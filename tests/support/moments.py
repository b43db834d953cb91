"""Moments, as a test writes them down."""

from datetime import UTC, datetime
from typing import Literal, overload

from conveyor.core.clock import stored


@overload
def at(text: str, *, aware: Literal[True]) -> datetime: ...
@overload
def at(text: str) -> int: ...
def at(text: str, *, aware: bool = False) -> datetime | int:
    """Microseconds of UTC since 1970, or an aware ``datetime``."""
    when = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return when if aware else stored(when)
