"""The table of connections, for the documentation: what it says of each is what the contract suite tries with it.

The tests of ``SCENARIOS`` are made from ``ENQUEUES`` and ``COMPLETIONS``, and so is the table: a mark stands for a
test that passes, or the suite is red.
"""

from collections.abc import Sequence
from typing import Final

from tests.support.carriers import CARRIERS, Carrier
from tests.support.ground import AWAITED
from tests.support.inside import WAYS, Way

SCENARIOS: Final = ("commit", "rollback", "savepoint")
ENQUEUES: Final[Sequence[Carrier]] = [*CARRIERS, *AWAITED]
COMPLETIONS: Final[Sequence[Way]] = WAYS

_PROVED: Final = "✓ ✓ ✓"
_LIBRARIES: Final = {
    "sqlite3": "`sqlite3`",
    "sqlite3-by-hand": "`sqlite3`, `isolation_level=None`",
    "aiosqlite": "aiosqlite",
    "aiosqlite-by-hand": "aiosqlite, `isolation_level=None`",
    "django": "Django, `connections[alias]`",
    "django-proxy": "Django, `django.db.connection`",
    "psycopg": "psycopg `Connection`",
    "psycopg-block": "psycopg `Connection.transaction()`",
    "async-psycopg": "psycopg `AsyncConnection`",
    "async-psycopg-block": "psycopg `AsyncConnection.transaction()`",
    "asyncpg": "asyncpg `Connection`",
    "asyncpg-pool": "asyncpg, from a pool",
}
_ALCHEMY: Final = {
    "session": "Session",
    "scoped-session": "scoped_session",
    "connection": "Connection",
    "async-session": "AsyncSession",
    "async-scoped-session": "async_scoped_session",
    "async-connection": "AsyncConnection",
}
_COLOURS: Final = ("blocking", "async")
HEAD: Final = ("", "", "`enqueue()`", "`aenqueue()`", "`with` transaction", "`async with` transaction")


def matrix() -> list[tuple[str, ...]]:
    """The rows below ``HEAD``; connections that only Python 3.12 and later has are not among them."""
    enqueues = {carrier.id for carrier in ENQUEUES}
    completions = {way.id for way in COMPLETIONS}
    rows = [_row(carrier, enqueues, completions) for carrier in CARRIERS if not carrier.id.endswith("-off")]
    ours = [
        (store, name, "", "", *(_PROVED * (f"{prefix}-{colour}-{note}" in completions) for colour in _COLOURS))
        for store, prefix in (("SQLite", "sqlite"), ("PostgreSQL", "postgres"))
        for note, name in (("declared", "`transactional=True`"), ("ours", "`ctx.transaction()`"))
    ]
    return [*rows, *ours]


def _row(carrier: Carrier, enqueues: set[str], completions: set[str]) -> tuple[str, ...]:
    """A connection that is awaited has two cells; one that blocks may have four."""
    blocking = carrier.colour == "blocking"
    plain, awaited = (carrier.id, f"async-over-{carrier.id}") if blocking else ("", carrier.id)
    store = "SQLite" if carrier.kind == "sqlite" else "PostgreSQL"
    cells = [_PROVED if id_ in enqueues else "" for id_ in (plain, awaited)]
    cells += [_PROVED if f"using-{id_}" in completions else "" for id_ in (plain, awaited)]
    return (store, label(carrier.id.split("-", 1)[1]), *cells)


def label(name: str) -> str:
    """What the documentation calls a connection."""
    if name in _LIBRARIES:
        return _LIBRARIES[name]
    hooks = name.endswith("-hooks")
    kind, _, driver = name.removesuffix("-hooks").rpartition("-")
    return f"SQLAlchemy `{_ALCHEMY[kind]}` on {driver}" + (", `BEGIN` by hooks" if hooks else "")
