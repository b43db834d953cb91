"""Sizes in bytes, as people write them."""

import re
from typing import Final

from conveyor.core.errors import PayloadError
from conveyor.core.text import is_a, told
from conveyor.core.values import kind_of

SMALLEST: Final = 16 * 1024**2
"""Python alone takes as much."""
LARGEST: Final = 1024**5
UNITS: Final = {"KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_WRITTEN: Final = re.compile(r"(\d{1,15}(?:\.\d{1,3})?) ?(KB|MB|GB|TB)", re.ASCII | re.IGNORECASE)


def size(what: str, value: int | str) -> int:
    """*value* in bytes: a number, or text such as ``512MB`` or ``1.5 GB``, counted in steps of 1024.

    ``PayloadError`` for what is no size, or no process could live in.
    """
    number = _read(what, value)
    if not SMALLEST <= number <= LARGEST:
        raise PayloadError(f"{what}={told(value)} must lie between 16MB and 1024TB")
    return number


def _read(what: str, value: int | str) -> int:
    if is_a(value, bool) or not is_a(value, int, str):
        raise TypeError(f"{what} must be bytes or text such as '512MB', not {kind_of(value)}")
    if isinstance(value, int):
        return int.__index__(value)
    written = _WRITTEN.fullmatch(value.strip())
    if written is None:
        raise PayloadError(f"{what}={told(value)} is no size; write it as '512MB' or '1.5GB'")
    return round(float(written[1]) * UNITS[written[2].upper()])
