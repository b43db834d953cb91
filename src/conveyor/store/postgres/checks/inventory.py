"""What the migrations make, and how a database differs from it.

``inventory.json`` is what ``things.sql`` tells of a database that all migrations have been applied to. A test holds
the two together; ``python -m tests.support.inventory`` writes it anew after a migration was added.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec

from conveyor.core.health import Finding, trouble


class Thing(NamedTuple):
    """A table, or what belongs to one, in the order of ``things.sql``."""

    kind: str
    table: str
    name: str
    text: str
    usable: bool = True

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others."""
        return ("index" if self.kind == "primary key" else self.kind, self.table, self.name)


_COLUMN: Final = re.compile(r"(?P<type>.+?)(?: DEFAULT (?P<default>.+?))?(?P<required> NOT NULL)?")


@cache
def expected() -> tuple[Thing, ...]:
    """All that the migrations make."""
    text = files("conveyor.store.postgres").joinpath("checks", "inventory.json").read_bytes()
    return tuple(Thing(*row) for row in msgspec.json.decode(text, type=list[tuple[str, str, str, str]]))


def compared(there: Sequence[Thing], newest: int) -> Iterator[Finding]:
    """What is missing, or is not as the migrations up to *newest* make it."""
    wanted = {thing.key: thing for thing in expected()}
    found = {thing.key: thing for thing in there}
    tables = {thing.name for thing in there if thing.kind == "table"}
    for key, thing in wanted.items():
        if key not in found and (thing.kind == "table" or thing.table in tables or thing.kind in _ALONE):
            yield trouble("tables", f"the {thing.kind} {_name(thing)} is missing", _made(thing, newest))
    for key, thing in found.items():
        if not thing.usable:
            again = f"REINDEX INDEX CONCURRENTLY {thing.name}"
            fix = again if key in wanted else f"DROP INDEX CONCURRENTLY {thing.name}"
            yield trouble("tables", f"the index {thing.name} is invalid: making it was broken off", fix)
        elif key in wanted and thing.text != wanted[key].text:
            text = f"the {thing.kind} {_name(thing)} is {thing.text!r}, and should be {wanted[key].text!r}"
            yield trouble("tables", text, _mended(thing, wanted[key], newest))


_ALONE: Final = {"sequence", "function"}


def _name(thing: Thing) -> str:
    return f"{thing.table}.{thing.name}" if thing.kind == "column" else thing.name


def _made(thing: Thing, newest: int) -> str:
    """The statement that makes it."""
    if thing.kind == "column":
        return f"ALTER TABLE {thing.table} ADD COLUMN {thing.name} {thing.text}"
    if thing.kind == "sequence":
        return f"CREATE SEQUENCE {thing.name} {thing.text}"
    if thing.kind not in {"index", "primary key"}:
        return f"restore it from a backup; conveyor migrate --sql 0 {newest} prints how it was made"
    made = thing.text.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
    if thing.kind == "index":
        return made
    return f"{made}; ALTER TABLE {thing.table} ADD CONSTRAINT {thing.name} PRIMARY KEY USING INDEX {thing.name}"


def _mended(there: Thing, wanted: Thing, newest: int) -> str:
    """The statements that make what is *there* what is *wanted*."""
    if wanted.kind == "table" and there.text.startswith("unlogged"):
        return f"ALTER TABLE {wanted.name} SET LOGGED"  # what crashes would empty
    if wanted.kind == "column":
        return _altered(there, wanted)
    if wanted.kind in {"index", "primary key"}:
        return f"DROP INDEX CONCURRENTLY {wanted.name}; {_made(wanted, newest)}"
    return f"find out who changed it; conveyor migrate --sql 0 {newest} prints how it was made"


def _altered(there: Thing, wanted: Thing) -> str:
    column = f"ALTER TABLE {wanted.table} ALTER COLUMN {wanted.name}"
    old, new = _COLUMN.fullmatch(there.text), _COLUMN.fullmatch(wanted.text)
    if old is None or new is None or old["type"] != new["type"]:
        return f"{column} TYPE {new['type'] if new else wanted.text}"
    if old["default"] != new["default"]:
        return f"{column} SET DEFAULT {new['default']}" if new["default"] else f"{column} DROP DEFAULT"
    return f"{column} {'SET' if new['required'] else 'DROP'} NOT NULL"
