"""A database for one measure, made and dropped.

Why not a schema in the database that was named: a held snapshot would keep the rows of all its tables from being
cleaned away, our notifications would wake its workers, and its own transactions would be counted as ours. In a
database of its own nothing of a measure reaches what was there before, but for the load on the server.
"""

import contextlib
import logging
import secrets
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo, errors, sql

from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.drivers.postgres import carry, translated
from conveyor.plan import Statement
from conveyor.store.postgres.links import connect, dsn
from conveyor.store.sqlfiles import sql as text_of

logger = logging.getLogger("conveyor.bench")

PREFIX: Final = "conveyor_bench_"
"""Of the databases of ``conveyor bench``; those of others bear their names."""
OURS: Final = "conveyor bench"
"""The application name of the sessions that measure, and are not measured."""
_told: Final[set[str]] = set()


class Scratch:
    """The database."""

    def __init__(self, url: str, who: str = "bench") -> None:
        """Makes it on the server of *url*. ``UsageError`` where that must not be, ``StoreUnavailable`` as usual."""
        self._who = who
        self._prefix = PREFIX.replace("bench", who)
        self.name = self._prefix + secrets.token_hex(6)
        self.url = beside(url, self.name)
        self.text = _named(self.url)
        """For sessions that measure."""
        self._admin = _named(url)
        self._make()

    def _make(self) -> None:
        try:
            with contextlib.closing(connect(self._admin)) as connection:
                _tell_left(connection, self._prefix)
                # template0: what somebody has put into template1 is not part of the measure.
                statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(self.name))
                connection.execute(statement)
        except errors.InsufficientPrivilege as error:
            raise UsageError(
                f"{self._who} needs a database of its own, which this role may not make ({_line(error)}); "
                "name a role that may, or let it: ALTER ROLE ... CREATEDB"
            ) from error
        except psycopg.Error as error:
            raise StoreUnavailable(f"PostgreSQL: {_line(error)}") from error
        try:
            self._check()
        except BaseException:
            self.drop()
            raise

    def _check(self) -> None:
        """A pooler may lead every name to one database: then all that follows would happen there."""
        with contextlib.closing(connect(self.text)) as connection, translated(writes=False):
            rows = carry(connection)(Statement(text_of("postgres", "bench/own"), {})).rows
        if rows[0][0] != self.name:
            raise UsageError(
                f"a connection to {self.name} leads to {rows[0][0]}, as through a pooler that maps names; nothing was "
                "done: connect past it"
            )

    def drop(self) -> None:
        """Remove it, whoever is connected; a failure is told, with what to do."""
        try:
            with contextlib.closing(connect(self._admin)) as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))
        except (psycopg.Error, StoreUnavailable) as error:
            logger.warning("the database %s is left over, drop it: %s", self.name, _line(error))


def beside(url: str, name: str) -> str:
    """*url* with another database; all else as it was."""
    parts = urlsplit(url)
    rest = "&".join(part for part in parts.query.split("&") if part.partition("=")[0] != "dbname")
    return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{rest}" if rest else "")


def _named(url: str) -> str:
    return conninfo.make_conninfo(dsn(url), application_name=OURS)


def _tell_left(connection: psycopg.Connection[tuple[object, ...]], prefix: str) -> None:
    """Say what a run that was killed has left behind; to drop it is the user's decision."""
    like = prefix.replace("_", r"\_") + "%"
    for (name,) in carry(connection)(Statement(text_of("postgres", "bench/left"), {"like": like})).rows:
        if str(name) not in _told:
            _told.add(str(name))
            logger.warning("the database %s is left over from another run; drop it: DROP DATABASE %s", name, name)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
