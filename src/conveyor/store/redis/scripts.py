"""Lua is data, as SQL is: one file for each script, loaded once. A script is one step of the server's, whole."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, TypeVar

from conveyor.plan import Statement

_USES: Final = re.compile(r"-- uses ([\w, ]+)\n")
_SPARE: Final = re.compile(r"^\s*(--.*)?\n", re.MULTILINE)

T = TypeVar("T")
Argument = bytes | str | int

MOST: Final = 1_000
"""Jobs, or whatever else, that one call takes: the server does nothing else meanwhile."""


@cache
def script(name: str) -> str:
    """The script in ``store/redis/<name>.lua``, behind the parts that its first line says it uses."""
    whole = _text(name)
    found = _USES.match(whole)
    parts = [_text(part) for part in found[1].split(", ")] if found else []
    return _SPARE.sub("", "".join([*parts, whole]))


def _text(name: str) -> str:
    return files("conveyor.store").joinpath("redis", f"{name}.lua").read_text("utf-8")


def call(name: str, *arguments: Argument) -> Statement:
    """A call of the script *name*; its answer is one row of one value."""
    return Statement(script(name), {"arguments": arguments})


def bounded(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """*items* in the parts that go to one call each, for what need not be done as one."""
    for first in range(0, len(items), MOST):
        yield items[first : first + MOST]


def given(value: Argument | None) -> Argument:
    """A value that may be missing, as ``given`` of ``keys.lua`` reads it."""
    if value is None:
        return b""
    return b"=" + value if isinstance(value, bytes) else f"={value}"
