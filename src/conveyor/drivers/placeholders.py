"""A statement's ``:names``, as each library wants them. What stands in quotes is left alone."""

import re
from collections.abc import Callable
from functools import cache

_NAME = re.compile(r"('(?:[^']|'')*')|(?<![:\w]):([a-z_][a-z0-9_]*)")


def _rewritten(text: str, name: Callable[[str], str], rest: Callable[[str], str]) -> str:
    """*text* with each ``:name`` as *name* makes it, and whatever lies between them through *rest*."""
    parts: list[str] = []
    end = 0
    for found in _NAME.finditer(text):
        if found[2] is not None:
            parts += [rest(text[end : found.start()]), name(found[2])]
            end = found.end()
    return "".join([*parts, rest(text[end:])])


@cache
def pyformat(text: str) -> str:
    """``%(name)s``, for psycopg and Django."""
    return _rewritten(text, "%({})s".format, lambda rest: rest.replace("%", "%%"))


@cache
def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """``$1``, for asyncpg, and the names in the order of their numbers."""
    names: list[str] = []

    def number(name: str) -> str:
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _rewritten(text, number, str), tuple(names)


@cache
def escaped(text: str) -> str:
    """``:name`` still, for SQLAlchemy, which must not take any other colon for one."""
    return _rewritten(text, ":{}".format, lambda rest: rest.replace(":", "\\:"))
