"""Times and durations as people type them, for ``type=`` of an option: what makes no sense is one line."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "min": 60, "m": 60, "s": 1}
_PART: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(w|d|h|min|m|s)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_EXAMPLE: Final = "as 90s, 30min, 12h, 7d or 1d12h"


def duration(text: str) -> timedelta:
    """``90s``, ``30min``, ``12h``, ``7d``, ``2w``, and several of them in a row; ``0`` needs no unit."""
    if text == "0":
        return timedelta(0)
    if not _WHOLE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write it {_EXAMPLE}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{text!r} is too long a duration") from None


def moment(text: str) -> datetime:
    """A time in ISO 8601 with its zone, or a duration back from now."""
    if _WHOLE.fullmatch(text):
        try:
            return datetime.now(UTC) - duration(text)
        except OverflowError:
            raise argparse.ArgumentTypeError(f"{text!r} ago is before all time") from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it as 2030-01-31T12:00Z, or how long ago, {_EXAMPLE}"
        ) from None
    if found.utcoffset() is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; write {found.isoformat()}Z for UTC")
    return found
