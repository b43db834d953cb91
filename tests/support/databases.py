"""Databases for tests, each as if it had just been copied from the template, and most of them used before.

To make and to drop one costs the server more than most tests do. So what a test has done to its database is looked
at. If it was nothing but rows in tables that are empty in the template, these are truncated, and the database is a
copy of the template once more. If it was anything else, the database is dropped. Its name is never used again, so
that whoever still knows the old one (a thread, a process, an app left open) finds nothing there.
"""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import NamedTuple, Self

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.support.postgres import PostgresServer

CATALOGUES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace AND NOT relisshared
"""
TABLES = (
    "SELECT oid, oid::regclass::text, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND oid >= 16384"
)
FIGURES = (
    "SELECT oid, relpages, reltuples, relallvisible FROM pg_class WHERE relkind IN ('r', 'i', 't') AND oid >= 16384"
)
"""What VACUUM and ANALYZE write over in place. Below 16384 is what every database has."""
USED = """
    SELECT name FROM unnest(%s::oid[], %s::text[], %s::bigint[]) AS fresh(id, name, size)
    WHERE pg_total_relation_size(id) <> size
"""
RESTORE_FIGURES = """
    UPDATE pg_class SET relpages = pages, reltuples = tuples, relallvisible = visible
    FROM unnest(%s::oid[], %s::int[], %s::real[], %s::int[]) AS fresh(id, pages, tuples, visible)
    WHERE oid = id AND (relpages, reltuples, relallvisible) <> (pages, tuples, visible)
"""
NEXT_TRANSACTION = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
KINDS = """
    SELECT count(DISTINCT (
        to_jsonb(d) - '{oid,datname,datfrozenxid,datminmxid}'::text[],
        (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = d.oid),
        (SELECT count(*) FROM pg_shdescription WHERE objoid = d.oid AND classoid = 'pg_database'::regclass)
    )) FROM pg_database d WHERE datname = ANY(%s)
"""
"""How many kinds of databases some are, by what the server, and not the database itself, keeps of each."""
PATIENCE = 5000
"""Milliseconds that ended sessions get to be gone."""


class Database(NamedTuple):
    """One that was like the template, and all of whose transactions from *since* on are its test's."""

    name: str
    since: str


class Pattern:
    """What is in the template, as a used copy is compared with it."""

    def __init__(self, connection: Connection[TupleRow]) -> None:
        """Look at the template through *connection*."""
        tables = connection.execute(TABLES).fetchall()
        kept = [table for table in tables if _one(connection, f"SELECT EXISTS (SELECT FROM {table[1]})")]
        self._kept = {oid for oid, _, _ in kept}
        self._empty = _columns([table for table in tables if table not in kept])
        names = [name for (name,) in connection.execute(CATALOGUES)] + [name for _, name, _ in kept]
        rows = " UNION ALL ".join(f"SELECT xmin FROM {name}" for name in names)
        self._changes = f"SELECT count(*), count(*) FILTER (WHERE age(xmin) <= age(%s::xid)) FROM ({rows}) AS row"
        self._rows, _ = self._written(connection, "3")
        self._figures = connection.execute(FIGURES).fetchall()

    def fits(self, connection: Connection[TupleRow], since: str) -> bool:
        """Whether nothing was written, from the transaction *since* on, but rows of what is empty in the template.

        A row that is inserted or updated has a new xmin; one that is deleted is missing.
        """
        figures = {row for row in connection.execute(FIGURES) if row[0] in self._kept}
        return self._written(connection, since) == (self._rows, 0) and figures <= set(self._figures)

    def restore(self, connection: Connection[TupleRow]) -> None:
        """Empty what is empty in the template, as far as it was used, and start all sequences and statistics anew."""
        used = [name for (name,) in connection.execute(USED, self._empty)]
        if used:
            connection.execute(f"TRUNCATE {', '.join(used)}".encode())
        connection.execute(RESTORE_FIGURES, _columns(self._figures))
        connection.execute("SELECT setval(seqrelid, seqstart, false) FROM pg_sequence; SELECT pg_stat_reset()")

    def _written(self, connection: Connection[TupleRow], since: str) -> tuple[int, int]:
        """How many rows there are of what must not be changed, and how many of them were written *since*."""
        ((rows, written),) = connection.execute(self._changes.encode(), [since]).fetchall()
        return rows, written


class Databases:
    """Copies of the database *template* of a server, for one test at a time."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        """Connect to the server, and look at the template."""
        self._server = server
        self._template = template
        self._names = (f"test_{number}" for number in count(1))
        self._spare: list[Database] = []
        with psycopg.connect(server.url(template), autocommit=True) as connection:
            self.pattern = Pattern(connection)
        self._connection = psycopg.connect(server.url(), autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @contextmanager
    def lent(self) -> Generator[str]:
        """The address of a copy, for the length of the block; then all its sessions are ended."""
        database = self._spare.pop() if self._spare else self._made()
        yield self._server.url(database.name)
        self._take_back(database)

    def _made(self) -> Database:
        name = next(self._names)
        self._server.create_database(name, template=self._template)
        return Database(name, str(_one(self._connection, NEXT_TRANSACTION)))

    def _take_back(self, database: Database) -> None:
        name = next(self._names)
        self._end_sessions(database.name)
        if not self._renamed(database.name, name):
            self._server.drop_database(database.name)
            return
        since = self._restored(name, database.since)
        if since is None:
            self._server.drop_database(name)
        else:
            self._spare.append(Database(name, since))

    def _end_sessions(self, name: str) -> None:
        look_again = threading.Event()
        for _ in range(PATIENCE):
            if _one(self._connection, TERMINATE, name) == 0:
                break
            look_again.wait(0.001)

    def _renamed(self, old: str, new: str) -> bool:
        """Rename a database, unless somebody came back to it at once, or the test has dropped it."""
        statement = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
        try:
            self._connection.execute(statement)
        except (psycopg.errors.ObjectInUse, psycopg.errors.InvalidCatalogName):
            return False
        return True

    def _restored(self, name: str, since: str) -> str | None:
        """Make a database like the template, and tell since when it is; or None where only a new one would be."""
        if _one(self._connection, KINDS, [name, self._template]) != 1:
            return None
        with psycopg.connect(self._server.url(name), autocommit=True) as connection:
            try:
                if not self.pattern.fits(connection, since):
                    return None
            except psycopg.errors.UndefinedTable:  # dropped by the test, or put elsewhere
                return None
            self.pattern.restore(connection)
            return str(_one(connection, NEXT_TRANSACTION))


def _one(connection: Connection[TupleRow], query: str, *parameters: object) -> object:
    """The one value that *query* gives."""
    ((value,),) = connection.execute(query.encode(), parameters or None).fetchall()
    return value


def _columns(rows: Sequence[TupleRow]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
