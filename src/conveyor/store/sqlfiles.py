"""SQL is data: one folder of ``.sql`` files per dialect, loaded once."""

import re
from functools import cache
from importlib.resources import files

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_PART = re.compile(r"\{(?!where\})(\w+)\}")
_STATEMENT = re.compile(r"((?:\$\$.*?\$\$|.)*?)(?:;\s*$|\Z)", re.MULTILINE | re.DOTALL)


@cache
def sql(dialect: str, name: str) -> str:
    """The statement in ``store/<dialect>/<name>.sql``, comments and spare white space taken out.

    ``{part}`` stands for the file of that name beside it: what several statements have in common is said once. The
    one name that is left as it is, ``{where}``, stands for conditions that only the call knows.
    """
    text = files("conveyor.store").joinpath(dialect, f"{name}.sql").read_text("utf-8")
    whole = _PART.sub(lambda found: sql(dialect, found[1]), _COMMENT.sub("", text))
    return _SPACE.sub(" ", whole).strip().removesuffix(";")


@cache
def migrations(dialect: str) -> tuple[tuple[int, str, str], ...]:
    """The numbered migrations of *dialect*, oldest first: number, name, text."""
    folder = files("conveyor.store").joinpath(dialect, "migrations")
    names = sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((int(name[:4]), name, folder.joinpath(f"{name}.sql").read_text("utf-8")) for name in names)


def statements(text: str) -> list[str]:
    """The single statements of a migration; each ends with a semicolon at a line's end, but for those in a body."""
    parts = (found[1].strip() for found in _STATEMENT.finditer(_COMMENT.sub("", text)))
    return [part for part in parts if part]
