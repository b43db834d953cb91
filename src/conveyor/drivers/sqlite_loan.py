"""The standard library's ``sqlite3``, lent by the user, and what the wrappers around it share.

sqlite3 has three ways to handle transactions. Since Python 3.12 ``autocommit`` is True (none but those begun by hand)
or False (always one open). The third, the only one before, is "legacy": ``isolation_level`` None begins none, any
other value begins one before a statement whose *first word* writes. It is not enough for us: a writing statement
that starts with WITH would commit by itself. So we begin it as the library would.
"""

import sqlite3
from abc import abstractmethod
from collections.abc import Awaitable, Generator
from contextlib import closing, contextmanager
from typing import Any, Final

from conveyor.drivers.lent import BlockingLoan, Kind, Loan
from conveyor.plan import Answer, Statement

LEGACY: Final = -1
"""``sqlite3.LEGACY_TRANSACTION_CONTROL``, which Python 3.11 does not have yet."""
BY_HAND: Final = "begin a transaction first: connection.execute('BEGIN')"
ALONE: Final = ("is in autocommit", BY_HAND)


def beneath(connection: object) -> sqlite3.Connection:
    """The ``sqlite3.Connection`` in aiosqlite's, to read its attributes; all else goes through aiosqlite's thread.

    aiosqlite has no public word for it, and hides ``autocommit``.
    """
    raw = getattr(connection, "_connection", None)
    if not isinstance(raw, sqlite3.Connection):
        raise ValueError("no active connection")  # noqa: TRY004 - aiosqlite's own error and words
    return raw


def autocommit(connection: sqlite3.Connection) -> object:
    """The attribute, also where Python has none yet; None where it may be read in the connection's own thread only.

    That is so for aiosqlite's from Python 3.12 on. The other attributes may be read anywhere.
    """
    try:
        return getattr(connection, "autocommit", LEGACY)
    except sqlite3.ProgrammingError:
        return None


def ask(connection: Any) -> Awaitable[object]:
    """``autocommit`` of the connection in aiosqlite's *connection*, read in its thread: no public way leads there."""
    answer: Awaitable[object] = connection._execute(autocommit, beneath(connection))  # noqa: SLF001 - as said
    return answer


def writes_alone(connection: sqlite3.Connection) -> bool:
    """Whether a write outside of a transaction would commit by itself. What cannot be read is taken for legacy."""
    control = autocommit(connection)
    return control is True or (control is not False and connection.isolation_level is None)


def opening(connection: sqlite3.Connection, statement: Statement) -> str | None:
    """What to execute before *statement*, so that it is part of a transaction that the user ends.

    Nothing before a reading statement: in a deferred transaction it would freeze the snapshot, and the write that
    follows fails at once if somebody else has written since.
    """
    if connection.in_transaction or statement.text[:6].upper() in {"SELECT", "PRAGMA"}:
        return None
    return f"BEGIN {connection.isolation_level or ''}".strip()


@contextmanager
def plain_text(connection: sqlite3.Connection) -> Generator[None]:
    """Text comes as ``str`` inside. No cursor of its own can have a text factory, only the whole connection."""
    users = connection.text_factory
    if users is str:
        yield
        return
    connection.text_factory = str
    try:
        yield
    finally:
        connection.text_factory = users


class SqliteFacts(Loan):
    """What can be read off the ``sqlite3.Connection`` that is at the bottom of a loan."""

    kind: Kind = "sqlite"

    @property
    @abstractmethod
    def raw(self) -> sqlite3.Connection:
        """That connection, for its attributes."""

    def check(self) -> None:
        """See ``Loan.check``."""
        if self.raw.in_transaction:
            return
        if self.begun:
            raise self.refusal("has none any more", BY_HAND)
        if writes_alone(self.raw):
            raise self.refusal(*ALONE)

    def idle(self) -> None:
        """See ``Loan.idle``."""
        if autocommit(self.raw) is False:
            raise self.busy("has autocommit=False, so that one is open always", "lend one with autocommit=True")
        if self.raw.in_transaction:
            raise self.busy("has one open already", "call its commit() or rollback() first")


class SqliteLoan(SqliteFacts, BlockingLoan):
    """A ``sqlite3.Connection``."""

    name = "sqlite3.Connection"

    def __init__(self, connection: sqlite3.Connection) -> None:
        """*connection* stays the user's."""
        self._connection = connection

    @property
    def raw(self) -> sqlite3.Connection:
        """See ``SqliteFacts.raw``."""
        return self._connection

    def _carry(self, statement: Statement) -> Answer:
        """A cursor made by hand knows nothing of the connection's factories."""
        connection = self._connection
        first = opening(connection, statement)
        with closing(sqlite3.Cursor(connection)) as cursor, plain_text(connection):
            if first is not None:
                cursor.execute(first)
            cursor.execute(statement.text, statement.params)
            rows = cursor.fetchall()
            return Answer(rows, len(rows) if cursor.description else cursor.rowcount)

    def _begin(self) -> None:
        """At once for writing: a transaction that reads first may find that it cannot write any more."""
        self._connection.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        """By statement: the connection's method does nothing under ``autocommit=True``."""
        self._connection.execute("COMMIT")

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
