"""SQLAlchemy, lent by the user: sessions and connections, blocking and async, on any driver of SQLite or PostgreSQL.

An async session or connection is a synchronous one, run in a greenlet by ``run_sync``: so all is written once. The
raw connection of the driver is looked at, never used.

One thing cannot be seen from here: on SQLite, unless the engine has SQLAlchemy's recipe for real transactions, a
``begin_nested`` that comes before the first write is itself the outermost transaction, and its release commits.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

import sqlalchemy
from sqlalchemy import Connection, CursorResult, Engine, RootTransaction, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from conveyor.core.errors import WrongStore
from conveyor.drivers.lent import AsyncLoan, BlockingLoan, Kind, Loan, failed
from conveyor.drivers.placeholders import escaped
from conveyor.drivers.sqlite_loan import ask, autocommit, beneath, opening, writes_alone
from conveyor.plan import Answer, Statement

T = TypeVar("T")
Objection = tuple[str, str]
"""What is wrong with a connection, and how to mend it."""

_AUTOCOMMIT: Objection = ("has the isolation level AUTOCOMMIT", "lend one with another isolation level")
_ALONE: Objection = ("is in autocommit", "leave transactions to SQLAlchemy")
_FAILED: Objection = ("is in one that has failed", "call its rollback() first")
_GONE: Objection = ("has none any more", "begin another")


@cache
def _clause(text: str) -> TextClause:
    return sqlalchemy.text(escaped(text))


class _Joined(ABC):
    """A synchronous session or connection. Methods that are no question may do I/O, in a greenlet if it is async."""

    bind: Engine | Connection
    begun_on: Connection | None = None
    """What the transaction that was begun for an attempt is open on."""

    @abstractmethod
    def objection(self, *, begun: bool) -> Objection | None:
        """Why a statement would not join a transaction, as far as can be told without I/O."""

    @abstractmethod
    def open_already(self) -> bool:
        """Whether a transaction is open."""

    @abstractmethod
    def connection(self, clause: TextClause) -> Connection:
        """The connection that *clause* will go through, with its transaction begun."""

    @abstractmethod
    def execute(self, clause: TextClause, params: Mapping[str, object]) -> CursorResult[Any]:
        """Execute it through the very object that was lent."""

    @abstractmethod
    def begin(self) -> None:
        """Begin the outermost transaction."""

    @abstractmethod
    def flush(self) -> None:
        """Send what the session has kept back."""

    @abstractmethod
    def commit(self) -> None:
        """Commit it."""

    @abstractmethod
    def rollback(self) -> None:
        """Roll it back, and whatever the user has begun instead."""

    def ready(self, loan: Loan, clause: TextClause) -> Connection:
        """The connection that *clause* will go through, which may be a fresh one, looked at before it is used."""
        connection = self.connection(clause)
        objection = _objection(connection) or _objection_of_aiosqlite(connection)
        if objection is not None:
            raise loan.refusal(*objection)
        return connection

    def carry(self, loan: Loan, statement: Statement) -> Answer:
        """Carry *statement*, and read its rows to the end."""
        clause = _clause(statement.text)
        connection = self.ready(loan, clause)
        if loan.kind == "sqlite" and (first := opening(_sqlite(connection), statement)) is not None:
            self.execute(_clause(first), {})
        result = self.execute(clause, statement.params)
        if not result.returns_rows:
            return Answer((), result.rowcount)
        rows = [tuple(row) for row in result.fetchall()]
        return Answer(rows, len(rows))

    def begin_for(self, loan: Loan) -> None:
        """Begin the outermost transaction; on SQLite for writing, unless the engine's own hooks begin it otherwise."""
        self.begin()
        clause = _clause("BEGIN IMMEDIATE")
        self.begun_on = connection = self.ready(loan, clause)
        if loan.kind == "sqlite" and not _open_on_sqlite(connection):
            self.execute(clause, {})

    def undo(self) -> None:
        """Roll back. After a COMMIT that SQLite refused, a connection of SQLAlchemy's only believes that it did."""
        self.rollback()
        bind = self.bind
        if isinstance(bind, Connection) and not bind.closed and not bind.invalidated and _open_on_sqlite(bind):
            bind.dialect.do_rollback(bind.connection)


class _JoinedSession(_Joined):
    def __init__(self, session: Session) -> None:
        self._session = session
        self._transaction: SessionTransaction | None = None
        self.bind = session.get_bind(clause=_clause("SELECT 1"))

    def objection(self, *, begun: bool) -> Objection | None:
        session = self._session
        transaction = session.get_transaction()
        if begun and transaction is not self._transaction:
            return _GONE
        if not session.is_active:
            return _FAILED
        if transaction is None and not session.autobegin:
            return "has autobegin=False and none begun", "call its begin() first"
        # New in SQLAlchemy 2.1: a session's own options, and which connections it has. `ready` finds out in any case.
        options = cast(Mapping[str, Any], getattr(session, "execution_options", {}))
        if _says_autocommit({**self.bind.get_execution_options(), **options}, self.bind):
            return _AUTOCOMMIT
        known: Iterable[Connection] = getattr(transaction, "connections", ())
        found = [_objection(connection) for connection in known if connection.engine is self.bind.engine]
        return next((objection for objection in found if objection is not None), None)

    def open_already(self) -> bool:
        bound = isinstance(self.bind, Connection) and self.bind.in_transaction()
        return self._session.in_transaction() or bound

    def connection(self, clause: TextClause) -> Connection:
        return self._session.connection(bind_arguments={"clause": clause})

    def execute(self, clause: TextClause, params: Mapping[str, object]) -> CursorResult[Any]:
        """The user's own unsaved objects wait, as they do beside any statement that is not about them."""
        with self._session.no_autoflush:
            return cast(CursorResult[Any], self._session.execute(clause, params))

    def begin(self) -> None:
        self._transaction = self._session.begin()

    def flush(self) -> None:
        self._session.flush()

    def commit(self) -> None:
        if self._transaction is not None:
            self._transaction.commit()

    def rollback(self) -> None:
        self._session.rollback()


class _JoinedConnection(_Joined):
    def __init__(self, connection: Connection) -> None:
        self._connection = self.bind = connection
        self._transaction: RootTransaction | None = None

    def objection(self, *, begun: bool) -> Objection | None:
        if begun and self._connection.get_transaction() is not self._transaction:
            return _GONE
        if _says_autocommit(self._connection.get_execution_options(), self._connection):
            return _AUTOCOMMIT
        return _objection(self._connection)

    def open_already(self) -> bool:
        return self._connection.get_transaction() is not None

    def connection(self, clause: TextClause) -> Connection:  # noqa: ARG002 - a session needs it
        """As SQLAlchemy itself would, a moment later."""
        if self._connection.get_transaction() is None:
            self._connection.begin()
        return self._connection

    def execute(self, clause: TextClause, params: Mapping[str, object]) -> CursorResult[Any]:
        return self._connection.execute(clause, params)

    def begin(self) -> None:
        self._transaction = self._connection.begin()

    def flush(self) -> None:
        """A connection keeps nothing back."""

    def commit(self) -> None:
        if self._transaction is not None:
            self._transaction.commit()

    def rollback(self) -> None:
        self._connection.rollback()


class _Facts(Loan):
    """What the loans of both colours can say."""

    def __init__(self, name: str, joined: _Joined) -> None:
        kind = joined.bind.dialect.name
        self.name = f"{name} on {kind}"
        if kind not in {"sqlite", "postgresql"}:
            raise WrongStore(f"jobs are stored in PostgreSQL or SQLite, and this is a {self.name}; leave out within=")
        self.kind = cast(Kind, kind)
        self._joined = joined

    @property
    def lost(self) -> bool:
        """See ``Loan.lost``."""
        connection = self._joined.begun_on
        return connection is not None and not connection.closed and connection.invalidated

    def check(self) -> None:
        """See ``Loan.check``."""
        objection = self._joined.objection(begun=self.begun)
        if objection is not None:
            raise self.refusal(*objection)

    def idle(self) -> None:
        """See ``Loan.idle``."""
        if self._joined.open_already():
            raise self.busy("has one open already, be it for a read", "call its commit() or rollback() first")
        objection = self._joined.objection(begun=False)
        if objection is not None:
            raise self.busy(*objection)


class SqlAlchemyLoan(_Facts, BlockingLoan):
    """A ``Session`` or a ``Connection``."""

    def __init__(self, lent: Session | Connection) -> None:
        """*lent* stays the user's."""
        if isinstance(lent, Session):
            super().__init__("sqlalchemy.orm.Session", _JoinedSession(lent))
        else:
            super().__init__("sqlalchemy.Connection", _JoinedConnection(lent))

    def flush(self) -> None:
        """See ``BlockingLoan.flush``."""
        self._joined.flush()

    def _carry(self, statement: Statement) -> Answer:
        return self._joined.carry(self, statement)

    def _begin(self) -> None:
        self._joined.begin_for(self)

    def _commit(self) -> None:
        self._joined.commit()

    def _rollback(self) -> None:
        self._joined.undo()


class AsyncSqlAlchemyLoan(_Facts, AsyncLoan):
    """An ``AsyncSession`` or an ``AsyncConnection``."""

    def __init__(self, lent: AsyncSession | AsyncConnection) -> None:
        """*lent* stays the user's."""
        self._lent = lent
        if isinstance(lent, AsyncSession):
            super().__init__("sqlalchemy.ext.asyncio.AsyncSession", _JoinedSession(lent.sync_session))
        elif lent.sync_connection is not None:
            super().__init__("sqlalchemy.ext.asyncio.AsyncConnection", _JoinedConnection(lent.sync_connection))
        else:
            raise TypeError("this AsyncConnection is not open yet; say `async with engine.begin() as connection`")

    async def flush(self) -> None:
        """See ``BlockingLoan.flush``."""
        await self._lent.run_sync(lambda _: self._joined.flush())

    async def _carry(self, statement: Statement) -> Answer:
        return await self._lent.run_sync(lambda _: self._joined.carry(self, statement))

    async def _begin(self) -> None:
        await self._lent.run_sync(lambda _: self._joined.begin_for(self))

    async def _commit(self) -> None:
        await self._lent.run_sync(lambda _: self._joined.commit())

    async def _rollback(self) -> None:
        await self._lent.run_sync(lambda _: self._joined.undo())


def _says_autocommit(options: Mapping[str, Any], bind: Engine | Connection) -> bool:
    """By what was asked for; an engine has no public word for its own level, which `_objection` sees in the driver."""
    level = options.get("isolation_level") or getattr(bind.dialect, "_on_connect_isolation_level", None)
    return level == "AUTOCOMMIT"


def _objection(connection: Connection) -> Objection | None:
    """By the state of *connection*, and by the attributes of the driver's."""
    transaction = connection.get_transaction()
    if connection.closed:
        return "is closed", "lend an open one"
    if connection.invalidated:  # without a transaction it will connect anew
        return None if transaction is None else ("has lost its connection", "call its rollback() first")
    if transaction is not None and not transaction.is_active:
        return _FAILED
    if connection.dialect.name == "sqlite":
        return _objection_of_sqlite(_sqlite(connection), begun=transaction is not None)
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        return _AUTOCOMMIT
    return _FAILED if failed(connection.connection.driver_connection) else None


def _objection_of_sqlite(raw: sqlite3.Connection, *, begun: bool) -> Objection | None:
    """A level of None is autocommit, unless a hook of the engine's begins by hand when SQLAlchemy begins."""
    if autocommit(raw) is True or (begun and writes_alone(raw) and not raw.in_transaction):
        return _ALONE
    return None


def _objection_of_aiosqlite(connection: Connection) -> Objection | None:
    """What aiosqlite's thread alone can tell."""
    if connection.dialect.name != "sqlite" or autocommit(_sqlite(connection)) is not None:
        return None
    adapter = cast(Any, connection.connection.dbapi_connection)
    return _ALONE if adapter.run_async(ask) is True else None


def _sqlite(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    return raw if isinstance(raw, sqlite3.Connection) else beneath(raw)


def _open_on_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite" and _sqlite(connection).in_transaction
