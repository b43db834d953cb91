"""Time zones: their names, and their history as pieces of constant offset.

``zoneinfo`` tells the offset of any moment but not when it changes. So it is asked every other day, and where two
answers differ the change is bisected: no two changes of one zone are closer than 3.9 days (Freetown, 1939).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, cast
from zoneinfo import ZoneInfo

from conveyor.core.text import told

DAY: Final = 86_400
PLACELESS: Final = "UTC"
NAME_LENGTH: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_STEP: Final = 2 * DAY
_BLOCK: Final = 32 * _STEP
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Piece(NamedTuple):
    """A time of constant offset: from *start* to before *end*, in seconds of UTC since 1970; *offset* in seconds."""

    start: int
    end: int
    offset: int


def checked_zone(what: str, name: object) -> str:
    """*name*, when this machine knows a time zone so called. Else ``ValueError``, which begins with *what*."""
    if isinstance(name, ZoneInfo):
        name = name.key
    text = checked_name(what, name)
    if text == "localtime":
        raise ValueError(f'{what}: "localtime" is another zone on each machine; write which one')
    try:
        _zone(text)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    return text


def checked_name(what: str, name: object) -> str:
    """*name*, when it is written as the names of time zones are, be there one or not."""
    if not isinstance(name, str) or len(name) > NAME_LENGTH or not _NAME.fullmatch(name):
        raise ValueError(f'{what}: {told(name)} is no name of a time zone, as "Europe/Bucharest" or "UTC"')
    return str(name)


def pieces(zone: str, start: int, end: int) -> Iterator[Piece]:
    """The pieces of [*start*, *end*), one after the other; two neighbours may have the same offset.

    ``ValueError`` when the zone is not known here.
    """
    for block in range(start // _BLOCK, (end - 1) // _BLOCK + 1):
        for piece in _pieces(zone, block):
            if piece.start < end and piece.end > start:
                yield Piece(max(piece.start, start), min(piece.end, end), piece.offset)


@lru_cache(maxsize=2048)
def _pieces(zone: str, block: int) -> tuple[Piece, ...]:
    """The pieces of one block of 64 days."""
    tz, start, end = _zone(zone), block * _BLOCK, (block + 1) * _BLOCK
    found: list[Piece] = []
    begun, offset = start, _offset(tz, start)
    for probe in range(start + _STEP, end + 1, _STEP):
        seen = _offset(tz, probe)
        if seen != offset:
            change = _change(tz, probe - _STEP, probe)
            found.append(Piece(begun, change, offset))
            begun, offset = change, seen
    if begun < end:
        found.append(Piece(begun, end, offset))
    return tuple(found)


def _change(tz: ZoneInfo, low: int, high: int) -> int:
    """The first second of the offset that *high* has and *low* has not."""
    new = _offset(tz, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(tz, middle) == new else (middle, high)
    return high


def _offset(tz: ZoneInfo, at: int) -> int:
    """The offset at a moment, in seconds. Beyond what a ``datetime`` can hold, no offset."""
    try:
        offset = cast(timedelta, (_EPOCH + timedelta(seconds=at)).astimezone(tz).utcoffset())
    except (OverflowError, ValueError):
        return 0
    return offset.days * DAY + offset.seconds


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError(
            f'no time zone "{name}" is known here; look at its spelling, or install the package tzdata'
        ) from None
