"""Whether Conveyor's tables are there, where we look, whole, and ours to use."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from conveyor.core.health import Finding, Severity, bounded, fine, trouble
from conveyor.store.postgres.checks.inventory import Thing, compared
from conveyor.store.postgres.checks.look import Look
from conveyor.store.postgres.migrating import recorded
from conveyor.store.sqlfiles import migrations

WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE"})


class Home(NamedTuple):
    """A schema with tables of ours, in the order of ``homes.sql``."""

    schema: str
    seen: bool
    """Whether an unqualified name leads there."""
    usable: bool
    path: str
    role: str


class Lack(NamedTuple):
    """A right that is not there, in the order of ``rights.sql``."""

    kind: str
    name: str
    right: str


def looked(look: Look) -> Iterator[Finding]:
    """First whether they can be found at all, then what they are made of."""
    homes = [Home._make(row) for row in look.ask("homes")]
    if not any(home.seen for home in homes):
        yield from of_homes(homes)
        return
    lacking = of_rights([Lack._make(row) for row in look.ask("rights")], homes[0].role)
    yield from lacking
    if any(finding.severity is Severity.TROUBLE for finding in lacking):
        return
    applied = [int(str(number)) for (number,) in look.ask("ledger")]
    known = {number: name for number, name, _ in migrations("postgres")}
    if missing := [name for number, name in known.items() if number not in applied]:
        yield from of_gaps(missing, max(applied, default=0))
    if max(applied, default=0) == max(known):  # what a newer version has made, it may have changed
        things = [Thing._make(row) for row in look.ask("things")]
        text = f"{len(things)} tables, columns and indexes are as the migrations make them"
        yield from bounded("tables", compared(things, max(known))) or [fine("tables", text)]


def of_homes(homes: Sequence[Home]) -> Iterator[Finding]:
    """They are in this database, and not seen."""
    for home in homes:
        schema, role = home.schema, home.role
        if home.usable:
            text = f"Conveyor's tables are in schema {schema}, and role {role} looks through {home.path}"
            fix = f"ALTER ROLE {role} SET search_path = {schema}; or ?options=-csearch_path%3D{schema} in the URL"
            yield trouble("schema", text, f"{fix}; conveyor migrate would make new ones where it looks now")
        else:
            text = f"Conveyor's tables are in schema {schema}, which role {role} may not use"
            yield trouble("schema", text, f"GRANT USAGE ON SCHEMA {schema} TO {role}")


def of_gaps(missing: Sequence[str], newest: int) -> Iterator[Finding]:
    """A migration that is not recorded although a later one is; that the last are missing is said elsewhere."""
    known = {name: number for number, name, _ in migrations("postgres")}
    for name in missing:
        if known[name] < newest:
            text = f"{name} is not recorded in conveyor_migration, and a later migration is: it was taken out by hand"
            yield trouble(
                "schema", text, f"{recorded(known[name], name)}; that is, if it was applied, else conveyor migrate"
            )


def of_rights(lacks: Sequence[Lack], role: str) -> list[Finding]:
    """What the role may not do, and whether that can be meant.

    Who may not even register a worker is one that reads, or enqueues: for him the rights of a worker are no matter.
    """
    if not lacks:
        return [fine("rights", f"role {role} may do all that a worker does")]
    blind = [lack for lack in lacks if lack.right not in WRITES or lack.kind != "TABLE"]
    works = Lack("TABLE", "conveyor_runner", "INSERT") not in lacks
    what = "; ".join(f"{', '.join(rights)} on {', '.join(names)}" for _, rights, names in _grouped(lacks))
    fix = "; ".join(_granted(kind, rights, names, role) for kind, rights, names in _grouped(lacks))
    text = f"role {role} lacks {what}"
    if blind or works:
        return [trouble("rights", text, fix)]
    return [Finding("rights", Severity.NOTE, f"{text}: it cannot be a worker's", fix)]


Grouped = list[tuple[str, tuple[str, ...], list[str]]]


def _grouped(lacks: Sequence[Lack]) -> Grouped:
    """The things that lack the same rights, together."""
    rights: dict[tuple[str, str], list[str]] = {}
    for lack in lacks:
        rights.setdefault((lack.kind, lack.name), []).append(lack.right)
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (kind, name), missing in rights.items():
        groups.setdefault((kind, tuple(missing)), []).append(name)
    return [(kind, missing, names) for (kind, missing), names in groups.items()]


def _granted(kind: str, rights: Sequence[str], names: Sequence[str], role: str) -> str:
    on = "" if kind == "TABLE" else f"{kind} "
    return f"GRANT {', '.join(rights)} ON {on}{', '.join(names)} TO {role}"
