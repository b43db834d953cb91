"""What ``within=`` accepts is recognised by its type's name; everything else is refused with what to hand over."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import aiosqlite
import asyncpg
import pytest
import sqlalchemy
from django.db import connections, transaction
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from conveyor.core.errors import WrongStore
from conveyor.drivers.django import DjangoLoan
from conveyor.drivers.lend import lend
from conveyor.drivers.placeholders import escaped, numbered, pyformat
from tests.support.cli import clean_environment

LIBRARIES = {"psycopg", "psycopg2", "asyncpg", "aiosqlite", "sqlalchemy", "django", "sqlite3"}


class Mine(sqlite3.Connection):
    """A user's own kind of connection."""


def named(module: str, name: str, *bases: type) -> object:
    """An instance of a class that says it comes from *module*."""
    return type(name, bases, {"__module__": module})()


# ---------------------------------------------------------------- recognised


def test_to_recognise_a_library_is_not_to_load_it() -> None:
    code = """
import json, sys
from conveyor.drivers.lend import lend
try:
    lend(object())
except TypeError:
    print(json.dumps([name.partition(".")[0] for name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert not LIBRARIES & set(json.loads(done.stdout))


def test_a_connection_of_sqlite3_and_of_a_users_own_class() -> None:
    for kind in (sqlite3.Connection, Mine):
        connection = kind(":memory:")
        loan = lend(connection)
        assert (loan.name, loan.kind, loan.colour) == ("sqlite3.Connection", "sqlite", "blocking")
        connection.close()


def test_sessions_of_sqlalchemy() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    scope = scoped_session(sessionmaker(engine))
    for session in (Session(engine), scope, type("Own", (Session,), {})(engine)):
        loan = lend(session)
        assert (loan.name, loan.kind, loan.colour) == ("sqlalchemy.orm.Session on sqlite", "sqlite", "blocking")
        session.close()
    scope.remove()
    with engine.connect() as connection:
        assert lend(connection).name == "sqlalchemy.Connection on sqlite"
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_the_database_is_the_engines(driver: str) -> None:
    """No connection is needed to know it."""
    if driver != "psycopg2":
        session = AsyncSession(create_async_engine(f"postgresql+{driver}://nowhere.invalid/x"))
        loan = lend(session)
        assert (loan.kind, loan.colour) == ("postgresql", "async")
        assert loan.name == "sqlalchemy.ext.asyncio.AsyncSession on postgresql"
        loan.check()
    if driver != "asyncpg":
        loan = lend(Session(sqlalchemy.create_engine(f"postgresql+{driver}://nowhere.invalid/x")))
        assert (loan.kind, loan.colour) == ("postgresql", "blocking")
        loan.check()
        loan.idle()


def test_an_async_scoped_session_is_the_session_of_its_scope() -> None:
    scope = async_scoped_session(async_sessionmaker(create_async_engine("sqlite+aiosqlite://")), scopefunc=lambda: 0)
    assert lend(scope).name == "sqlalchemy.ext.asyncio.AsyncSession on sqlite"
    asyncio.run(scope.remove())


def test_a_connection_of_aiosqlite() -> None:
    async def main() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            loan = lend(connection)
            assert (loan.name, loan.kind, loan.colour) == ("aiosqlite.Connection", "sqlite", "async")
            loan.check()
        with pytest.raises(ValueError, match="no active connection"):
            loan.check()

    asyncio.run(main())


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (sqlalchemy.create_engine("sqlite://"), "hand over `with engine.begin() as connection`"),
        (create_async_engine("sqlite+aiosqlite://"), "hand over `async with engine.begin() as connection`"),
        (sqlalchemy.create_engine("sqlite://").pool, "hand over `with engine.begin() as connection`"),
        (sqlalchemy.create_engine("sqlite://").begin(), "hand over what it gives when it is entered"),
        (sessionmaker(), "hand over a session that it makes: `with maker.begin() as session`"),
        (async_sessionmaker(), "hand over a session that it makes: `async with maker.begin() as session`"),
        (connections, "hand over one of its connections: connections['default']"),
        (transaction.atomic(), "hand over django.db.connection"),
        (named("psycopg_pool.pool", "ConnectionPool"), "hand over one of its connections"),
        (named("psycopg_pool.pool_async", "AsyncConnectionPool"), "hand over one of its connections"),
        (named("psycopg", "Cursor", type("BaseCursor", (), {"__module__": "psycopg._cursor_base"})), "belongs to"),
        (named("psycopg2.extensions", "connection"), "hand over a connection of psycopg 3, or a session of"),
        (named("flask_sqlalchemy.extension", "SQLAlchemy"), "hand over its session: db.session"),
        (asyncpg.Pool, "hand over a connection of sqlite3, psycopg,"),
        ("postgresql://localhost/shop", "within= got builtins.str, which has no transaction to join; hand over a"),
        (None, "a Session, AsyncSession, Connection or AsyncConnection of SQLAlchemy, or Django's connection"),
    ],
)
def test_what_cannot_lend_is_refused_with_what_can(given: object, words: str) -> None:
    with pytest.raises(TypeError) as raised:
        lend(given)
    assert words in str(raised.value)


def test_a_pool_of_asyncpg_and_what_acquires_from_it() -> None:
    async def main() -> None:
        pool: Any = asyncpg.create_pool("postgresql://nowhere.invalid/x")
        for given in (pool, pool.acquire()):
            with pytest.raises(TypeError, match=r"`async with pool.acquire\(\) as connection`"):
                lend(given)

    asyncio.run(main())


def test_a_cursor_of_sqlite3() -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(TypeError, match=r"got sqlite3\.Cursor.*hand over the connection that it belongs to"):
        lend(connection.cursor())
    connection.close()


def test_another_kind_of_database_is_refused() -> None:
    module = SimpleNamespace(paramstyle="format", Error=Exception, version_info=(2, 0))
    engine = sqlalchemy.create_engine("mysql+mysqldb://localhost/shop", module=module)
    with pytest.raises(WrongStore, match=r"this is a sqlalchemy\.orm\.Session on mysql; leave out within="):
        lend(Session(engine))
    wrapper = SimpleNamespace(alias="default", vendor="oracle")
    with pytest.raises(WrongStore, match="Django's connection 'default' is oracle; leave out within="):
        DjangoLoan(wrapper)


# ---------------------------------------------------------------- placeholders

TEXT = "SELECT CAST(:a AS text), ':no 5 %', '12:30', :b_1, x::int, :a, 'it''s :q' WHERE a LIKE '%x'"


def test_placeholders_of_each_library() -> None:
    assert pyformat(TEXT) == (
        "SELECT CAST(%(a)s AS text), ':no 5 %%', '12:30', %(b_1)s, x::int, %(a)s, 'it''s :q' WHERE a LIKE '%%x'"
    )
    assert numbered(TEXT) == (
        "SELECT CAST($1 AS text), ':no 5 %', '12:30', $2, x::int, $1, 'it''s :q' WHERE a LIKE '%x'",
        ("a", "b_1"),
    )
    clause = sqlalchemy.text(escaped(TEXT))
    assert set(clause.compile().params) == {"a", "b_1"}
    assert str(clause) == TEXT
