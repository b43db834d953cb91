"""Every connection of a user's that can lend its transaction, with one face, for tests that are made from the table.

The face blocks, also where the library is async: each open connection then has a loop of its own, which ``finish``
runs. So one plain test function serves all of them: ``held.finish(loan.carry(statement))``.
"""

import asyncio
import inspect
import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

import aiosqlite
import asyncpg
import django
import psycopg
import sqlalchemy
from django.conf import settings
from django.db import connections, transaction
from django.db.utils import ConnectionHandler
from django.utils.connection import ConnectionProxy
from psycopg import IsolationLevel
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.util.concurrency import await_only, in_greenlet

from tests.support.pgbouncer import past

T = TypeVar("T")
Kind = Literal["sqlite", "postgresql"]
Colour = Literal["blocking", "async"]
Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
Rows = list[tuple[object, ...]]

ALIAS = "lent"
"""The name of Django's connection."""


@dataclass(frozen=True)
class Opening:
    """How a connection is to be opened."""

    url: str
    autocommit: bool = False
    isolation: Isolation | None = None
    """PostgreSQL's; SQLite has but one."""

    @property
    def path(self) -> str:
        return self.url.removeprefix("sqlite:///")


class Held(ABC):
    """An open connection of the user's, and what they do with it."""

    connection: Any
    """What is lent."""
    over_session: ClassVar[bool] = False
    """SQLAlchemy keeps a state of its own above the connection's."""

    def __init__(self, *, loop: bool = False) -> None:
        self._runner = asyncio.Runner() if loop else None
        self._nested: list[Any] = []
        self._closed = False

    def finish(self, result: T | Awaitable[T]) -> T:
        """The *result* of a call, awaited if it must be."""
        if not inspect.isawaitable(result):
            return cast(T, result)

        if in_greenlet():  # a test that runs as a task, in a loop that is not ours
            return await_only(result)

        async def awaited() -> T:
            return await result

        assert self._runner is not None
        return self._runner.run(awaited())

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction; nothing where the library does so by itself before the first statement."""

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def rollback(self) -> None: ...

    @abstractmethod
    def savepoint(self) -> None:
        """Begin a savepoint, in another one too.

        After a write: in sqlite3's legacy mode a savepoint that comes first is the outermost transaction itself.
        """

    @abstractmethod
    def release(self) -> None:
        """End the innermost savepoint, and keep what came after it."""

    @abstractmethod
    def rollback_to(self) -> None:
        """End the innermost savepoint, and take back what came after it."""

    @abstractmethod
    def write(self, text: str) -> None:
        """Execute a statement of the user's own."""

    @abstractmethod
    def read(self, text: str) -> Rows:
        """The rows of a query of the user's own."""

    def close(self) -> None:
        """Close it, once."""
        self._closed = True
        self._close()

    @abstractmethod
    def _close(self) -> None: ...

    def end(self) -> None:
        """Close, and end the loop."""
        try:
            if not self._closed:
                self.close()
        finally:
            if self._runner is not None:
                self._runner.close()


class ByStatements(Held):
    """sqlite3 and aiosqlite: transactions are statements."""

    by_hand = False

    def begin(self) -> None:
        if self.by_hand:
            self.write("BEGIN")

    def commit(self) -> None:
        self.finish(self.connection.commit())

    def rollback(self) -> None:
        self._nested.clear()
        self.finish(self.connection.rollback())

    def savepoint(self) -> None:
        self._nested.append(f"s{len(self._nested)}")
        self.write(f"SAVEPOINT {self._nested[-1]}")

    def release(self) -> None:
        self.write(f"RELEASE {self._nested.pop()}")

    def rollback_to(self) -> None:
        self.write(f"ROLLBACK TO {self._nested[-1]}")
        self.release()

    def _close(self) -> None:
        self.finish(self.connection.close())


class Sqlite3(ByStatements):
    def __init__(self, how: Opening, *, by_hand: bool = False, off: bool = False) -> None:
        super().__init__()
        self.by_hand = by_hand
        level = None if by_hand or (how.autocommit and not off) else ""
        self.connection = sqlite3.connect(how.path, isolation_level=level)
        self.write("PRAGMA foreign_keys = ON")
        if off:
            self.connection.autocommit = how.autocommit

    def write(self, text: str) -> None:
        self.connection.execute(text).close()

    def read(self, text: str) -> Rows:
        return self.connection.execute(text).fetchall()


class Aiosqlite(ByStatements):
    def __init__(self, how: Opening, *, by_hand: bool = False, off: bool = False) -> None:
        super().__init__(loop=True)
        self.by_hand = by_hand
        options: dict[str, Any] = {"autocommit": how.autocommit} if off else {}
        level = None if by_hand or (how.autocommit and not off) else ""
        self.connection = self.finish(aiosqlite.connect(how.path, isolation_level=level, **options))
        if not off:  # in the transaction that is open then, it would be ignored
            self.write("PRAGMA foreign_keys = ON")

    def write(self, text: str) -> None:
        self.finish(self.connection.execute_fetchall(text))

    def read(self, text: str) -> Rows:
        return list(self.finish(self.connection.execute_fetchall(text)))


class Psycopg(Held):
    """psycopg, blocking or async: its transaction blocks have the same methods, apart from the first letter."""

    def __init__(self, how: Opening, *, awaited: bool = False, block: bool = False) -> None:
        super().__init__(loop=awaited)
        self._block = block
        self._prefix = "__a" if awaited else "__"
        kind: Any = psycopg.AsyncConnection if awaited else psycopg.Connection
        self.connection = self.finish(kind.connect(how.url, autocommit=block or how.autocommit))
        if how.isolation is not None:
            level = IsolationLevel[how.isolation.replace(" ", "_")]
            self.finish(self.connection.set_isolation_level(level))

    def begin(self) -> None:
        if self._block:
            self.savepoint()

    def commit(self) -> None:
        if self._block:
            self.release()
        else:
            self.finish(self.connection.commit())

    def rollback(self) -> None:
        if self._block:
            while self._nested:
                self.rollback_to()
        else:
            self._nested.clear()
            self.finish(self.connection.rollback())

    def savepoint(self) -> None:
        self._nested.append(self.connection.transaction())
        self.finish(getattr(self._nested[-1], f"{self._prefix}enter__")())

    def release(self) -> None:
        self.finish(getattr(self._nested.pop(), f"{self._prefix}exit__")(None, None, None))

    def rollback_to(self) -> None:
        block = self._nested.pop()
        error = psycopg.Rollback()
        self.finish(getattr(block, f"{self._prefix}exit__")(psycopg.Rollback, error, None))

    def write(self, text: str) -> None:
        self.finish(self.connection.execute(text))

    def read(self, text: str) -> Rows:
        cursor = self.finish(self.connection.execute(text))
        return cast(Rows, self.finish(cursor.fetchall()))

    def _close(self) -> None:
        self.finish(self.connection.close())


class Blocks(Held):
    """One whose transaction is the outermost of its blocks, and whose savepoints are those in it."""

    def commit(self) -> None:
        self.release()

    def rollback(self) -> None:
        while self._nested:
            self.rollback_to()

    def savepoint(self) -> None:
        self.begin()


class Asyncpg(Blocks):
    def __init__(self, how: Opening, *, pooled: bool = False) -> None:
        super().__init__(loop=True)
        self._isolation = None if how.isolation is None else how.isolation.lower().replace(" ", "_")
        self._pool: Any = None
        if pooled:
            self._pool = self.finish(_pool(how.url))
            self.connection = self.finish(self._pool.acquire())
        else:
            self.connection = self.finish(asyncpg.connect(how.url, **_cacheless(how.url)))

    def begin(self) -> None:
        self._nested.append(self.connection.transaction(isolation=self._isolation))
        self.finish(self._nested[-1].start())

    def release(self) -> None:
        self.finish(self._nested.pop().commit())

    def rollback_to(self) -> None:
        self.finish(self._nested.pop().rollback())

    def write(self, text: str) -> None:
        self.finish(self.connection.execute(text))

    def read(self, text: str) -> Rows:
        return [tuple(row) for row in self.finish(self.connection.fetch(text))]

    def _close(self) -> None:
        if self._pool is None:
            self.finish(self.connection.close())
        else:
            self.finish(self._pool.release(self.connection))
            self.finish(self._pool.close())


class SqlAlchemy(Held):
    """A session or a connection, blocking or async: they have the same methods."""

    over_session = True

    def __init__(self, how: Opening, driver: str, lent: str, *, hooks: bool = False, off: bool = False) -> None:
        self._async = lent.startswith("async")
        super().__init__(loop=self._async)
        scheme, rest = how.url.split(":", 1)
        options: dict[str, Any] = {"connect_args": {"autocommit": False}} if off else {}
        if how.autocommit or how.isolation is not None:
            options["isolation_level"] = "AUTOCOMMIT" if how.autocommit else how.isolation
        if driver == "asyncpg" and (args := _cacheless(how.url)):
            name = {"prepared_statement_name_func": lambda: f"named_{uuid4()}"}
            options["connect_args"] = args | name | {"prepared_statement_cache_size": 0}
        create: Any = create_async_engine if self._async else sqlalchemy.create_engine
        self.engine = create(f"{scheme}+{driver}:{rest}", **options)
        if scheme == "sqlite":
            _hook(self.engine.sync_engine if self._async else self.engine, hooks=hooks, off=off)
        self._scope: Any = None
        self.connection = self._opened(lent)

    def _opened(self, lent: str) -> Any:
        if lent == "session":
            return Session(self.engine)
        if lent == "async session":
            return AsyncSession(self.engine)
        if lent == "scoped session":
            self._scope = scoped_session(sessionmaker(self.engine))
        elif lent == "async scoped session":
            self._scope = async_scoped_session(async_sessionmaker(self.engine), scopefunc=lambda: 0)
        return self._scope or self.finish(self.engine.connect())

    def begin(self) -> None:
        self.finish(self.connection.begin())

    def commit(self) -> None:
        self.finish(self.connection.commit())

    def rollback(self) -> None:
        self._nested.clear()
        self.finish(self.connection.rollback())

    def savepoint(self) -> None:
        self._nested.append(self.finish(self.connection.begin_nested()))

    def release(self) -> None:
        self.finish(self._nested.pop().commit())

    def rollback_to(self) -> None:
        self.finish(self._nested.pop().rollback())

    def write(self, text: str) -> None:
        self.finish(self.connection.execute(sqlalchemy.text(text)))

    def read(self, text: str) -> Rows:
        return [tuple(row) for row in self.finish(self.connection.execute(sqlalchemy.text(text)))]

    def _close(self) -> None:
        self.finish(self.connection.close())
        if self._scope is not None:
            self.finish(self._scope.remove())
        self.finish(self.engine.dispose())


class Django(Blocks):
    """The one that Django knows by ``ALIAS`` in this thread, or the proxy of it."""

    def __init__(self, how: Opening, *, proxy: bool = False) -> None:
        super().__init__()
        if not settings.configured:
            settings.configure(DATABASES={}, USE_TZ=True)
            django.setup()
        self.wrapper = ConnectionHandler({"default": {}, ALIAS: _databases(how)})[ALIAS]
        connections[ALIAS] = self.wrapper
        self.connection = ConnectionProxy(connections, ALIAS) if proxy else self.wrapper

    def begin(self) -> None:
        self._nested.append(transaction.atomic(using=ALIAS))
        self._nested[-1].__enter__()

    def release(self) -> None:
        self._nested.pop().__exit__(None, None, None)

    def rollback_to(self) -> None:
        error = ArithmeticError("taken back")
        self._nested.pop().__exit__(ArithmeticError, error, None)

    def write(self, text: str) -> None:
        with self.wrapper.cursor() as cursor:
            cursor.execute(text)

    def read(self, text: str) -> Rows:
        with self.wrapper.cursor() as cursor:
            cursor.execute(text)
            return cast(Rows, cursor.fetchall())

    def _close(self) -> None:
        self.wrapper.close()
        del connections[ALIAS]


async def _pool(url: str) -> Any:
    """Made inside of its loop, as asyncpg wants it."""
    return await asyncpg.create_pool(url, min_size=1, max_size=1, **_cacheless(url))


def _cacheless(url: str) -> dict[str, Any]:
    """What asyncpg needs behind a pooler, for it prepares whatever it sends, and keeps that."""
    return {"statement_cache_size": 0} if past(url) else {}


def _set_autocommit(connection: Any, *, value: bool) -> None:
    """Of ``sqlite3``, or of aiosqlite, whose thread alone may do it."""
    if isinstance(connection, sqlite3.Connection):
        setattr(connection, "autocommit", value)  # noqa: B010 - Python 3.11 has no such attribute
    else:
        connection.run_async(lambda driver: driver._execute(setattr, driver._conn, "autocommit", value))


def _hook(engine: Any, *, hooks: bool, off: bool) -> None:
    """What users listen for on SQLite: foreign keys, and (*hooks*) SQLAlchemy's own recipe for real transactions."""

    @sqlalchemy.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        if off:  # a pragma in a transaction would be ignored
            _set_autocommit(connection, value=True)
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()
        if off:
            _set_autocommit(connection, value=False)
        if hooks:
            connection.isolation_level = None

    if hooks:

        @sqlalchemy.event.listens_for(engine, "begin")
        def begun(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")


def _databases(how: Opening) -> dict[str, Any]:
    if how.url.startswith("sqlite"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": how.path}
    where = urlsplit(how.url)
    options: dict[str, Any] = {}
    if how.isolation is not None:
        options["isolation_level"] = IsolationLevel[how.isolation.replace(" ", "_")]
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": where.path[1:],
        "USER": where.username,
        "HOST": where.hostname,
        "PORT": where.port,
        "OPTIONS": options,
    }


@dataclass(frozen=True)
class Carrier:
    """One kind of connection."""

    id: str
    """Its parts: the database, the library, and how it is used; ``postgres`` in it marks a test for PostgreSQL."""
    kind: Kind
    colour: Colour
    make: Callable[[Opening], Held]
    implicit: bool = False
    """``begin`` may be left out: the library begins by itself before the first statement."""
    outermost: bool = True
    """There can be a moment without a transaction, so that one can be begun for an attempt."""
    locks: bool = True
    """On SQLite: a transaction that is begun for an attempt can be begun for writing."""

    @contextmanager
    def open(self, url: str, *, autocommit: bool = False, isolation: Isolation | None = None) -> Generator[Held]:
        """A connection to the database at *url*, closed at the end."""
        held = self.make(Opening(url, autocommit, isolation))
        try:
            yield held
        finally:
            held.end()


def _sqlalchemy(driver: str, lent: str, note: str = "", **options: Any) -> Carrier:
    kind: Kind = "sqlite" if "sqlite" in driver else "postgresql"
    parts = ["sqlite" if kind == "sqlite" else "postgres", *lent.split(), driver, note]
    return Carrier(
        "-".join(part for part in parts if part),
        kind,
        "async" if lent.startswith("async") else "blocking",
        lambda how: SqlAlchemy(how, driver, lent, **options),
        implicit=True,
        locks=not options,
    )


CARRIERS: Sequence[Carrier] = [
    Carrier("sqlite-sqlite3", "sqlite", "blocking", Sqlite3, implicit=True),
    Carrier("sqlite-sqlite3-by-hand", "sqlite", "blocking", lambda how: Sqlite3(how, by_hand=True)),
    Carrier("sqlite-aiosqlite", "sqlite", "async", Aiosqlite, implicit=True),
    Carrier("sqlite-aiosqlite-by-hand", "sqlite", "async", lambda how: Aiosqlite(how, by_hand=True)),
    _sqlalchemy("pysqlite", "session"),
    _sqlalchemy("pysqlite", "session", "hooks", hooks=True),
    _sqlalchemy("pysqlite", "scoped session"),
    _sqlalchemy("pysqlite", "connection"),
    _sqlalchemy("pysqlite", "connection", "hooks", hooks=True),
    _sqlalchemy("aiosqlite", "async session"),
    _sqlalchemy("aiosqlite", "async session", "hooks", hooks=True),
    _sqlalchemy("aiosqlite", "async scoped session"),
    _sqlalchemy("aiosqlite", "async connection"),
    Carrier("sqlite-django", "sqlite", "blocking", Django, locks=False),
    Carrier("sqlite-django-proxy", "sqlite", "blocking", lambda how: Django(how, proxy=True), locks=False),
    Carrier("postgres-psycopg", "postgresql", "blocking", Psycopg, implicit=True),
    Carrier("postgres-psycopg-block", "postgresql", "blocking", lambda how: Psycopg(how, block=True)),
    Carrier("postgres-async-psycopg", "postgresql", "async", lambda how: Psycopg(how, awaited=True), implicit=True),
    Carrier("postgres-async-psycopg-block", "postgresql", "async", lambda how: Psycopg(how, awaited=True, block=True)),
    Carrier("postgres-asyncpg", "postgresql", "async", Asyncpg),
    Carrier("postgres-asyncpg-pool", "postgresql", "async", lambda how: Asyncpg(how, pooled=True)),
    _sqlalchemy("psycopg", "session"),
    _sqlalchemy("psycopg2", "session"),
    _sqlalchemy("psycopg", "connection"),
    _sqlalchemy("psycopg2", "connection"),
    _sqlalchemy("psycopg", "async session"),
    _sqlalchemy("asyncpg", "async session"),
    _sqlalchemy("psycopg", "async connection"),
    _sqlalchemy("asyncpg", "async connection"),
    Carrier("postgres-django", "postgresql", "blocking", Django),
    Carrier("postgres-django-proxy", "postgresql", "blocking", lambda how: Django(how, proxy=True)),
]
if sys.version_info >= (3, 12):
    CARRIERS = [
        *CARRIERS,
        Carrier("sqlite-aiosqlite-off", "sqlite", "async", lambda how: Aiosqlite(how, off=True), True, False),
        Carrier("sqlite-sqlite3-off", "sqlite", "blocking", lambda how: Sqlite3(how, off=True), True, False),
        _sqlalchemy("pysqlite", "session", "off", off=True),
        _sqlalchemy("aiosqlite", "async session", "off", off=True),
    ]


@contextmanager
def outside(url: str) -> Generator[Any]:
    """Another connection to the database at *url*, in autocommit: it sees what has been committed."""
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(Opening(url).path, isolation_level=None)
    else:
        connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    try:
        yield connection
    finally:
        connection.close()
