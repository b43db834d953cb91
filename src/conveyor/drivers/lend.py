"""What the user hands to ``within=``, recognised by its type's name: a library that is not loaded has made nothing."""

from collections.abc import Callable
from typing import Any, Final

from conveyor.drivers.lent import AsyncLoan, BlockingLoan

Lent = BlockingLoan | AsyncLoan


def lend(connection: object) -> Lent:
    """The loan of *connection*; ``TypeError`` says what to hand over instead of what cannot lend its transaction."""
    names = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(connection).__mro__]
    for name in names:
        if name in _LENDERS:
            return _LENDERS[name](connection)
    instead = next((_INSTEAD[name] for name in names if name in _INSTEAD), None)
    given = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise TypeError(f"within= got {given}, which has no transaction to join; hand over {instead or _ACCEPTED}")


_ACCEPTED: Final = (
    "a connection of sqlite3, psycopg, asyncpg or aiosqlite, a Session, AsyncSession, Connection or AsyncConnection "
    "of SQLAlchemy, or Django's connection"
)
_ENTERED: Final = "what it gives when it is entered: `with ... as connection`"
_POOLED: Final = "one of its connections"
_OWNER: Final = "the connection that it belongs to"
_INSTEAD: Final = {
    ("sqlalchemy", "Engine"): "`with engine.begin() as connection`",
    ("sqlalchemy", "AsyncEngine"): "`async with engine.begin() as connection`",
    ("sqlalchemy", "sessionmaker"): "a session that it makes: `with maker.begin() as session`",
    ("sqlalchemy", "async_sessionmaker"): "a session that it makes: `async with maker.begin() as session`",
    ("sqlalchemy", "SessionTransaction"): "its session",
    ("sqlalchemy", "AsyncSessionTransaction"): "its session",
    ("sqlalchemy", "Transaction"): _OWNER,
    ("sqlalchemy", "AsyncTransaction"): _OWNER,
    ("sqlalchemy", "Pool"): "`with engine.begin() as connection`",
    ("flask_sqlalchemy", "SQLAlchemy"): "its session: db.session",
    ("psycopg_pool", "BasePool"): _POOLED,
    ("psycopg_pool", "ConnectionPool"): _POOLED,
    ("psycopg_pool", "AsyncConnectionPool"): _POOLED,
    ("psycopg", "BaseCursor"): _OWNER,
    ("psycopg", "BaseTransaction"): _OWNER,
    ("psycopg2", "connection"): "a connection of psycopg 3, or a session of SQLAlchemy's on psycopg2",
    ("psycopg2", "cursor"): "a connection of psycopg 3, or a session of SQLAlchemy's on psycopg2",
    ("asyncpg", "Pool"): "one of its connections: `async with pool.acquire() as connection`",
    ("asyncpg", "PoolAcquireContext"): "what it gives: `async with pool.acquire() as connection`",
    ("asyncpg", "Transaction"): _OWNER,
    ("sqlite3", "Cursor"): _OWNER,
    ("aiosqlite", "Cursor"): _OWNER,
    ("django", "BaseConnectionHandler"): "one of its connections: connections['default']",
    ("django", "Atomic"): "django.db.connection",
    ("django", "CursorWrapper"): "django.db.connection",
    ("contextlib", "_GeneratorContextManagerBase"): _ENTERED,
}


def _sqlite(connection: Any) -> Lent:
    from conveyor.drivers.sqlite_loan import SqliteLoan

    return SqliteLoan(connection)


def _aiosqlite(connection: Any) -> Lent:
    from conveyor.drivers.aiosqlite import AiosqliteLoan

    return AiosqliteLoan(connection)


def _psycopg(connection: Any) -> Lent:
    from conveyor.drivers.postgres_loan import PsycopgLoan

    return PsycopgLoan(connection)


def _async_psycopg(connection: Any) -> Lent:
    from conveyor.drivers.postgres_loan import AsyncPsycopgLoan

    return AsyncPsycopgLoan(connection)


def _asyncpg(connection: Any) -> Lent:
    from conveyor.drivers.asyncpg import AsyncpgLoan

    return AsyncpgLoan(connection)


def _sqlalchemy(connection: Any) -> Lent:
    from conveyor.drivers.sqlalchemy import SqlAlchemyLoan

    return SqlAlchemyLoan(connection)


def _async_sqlalchemy(connection: Any) -> Lent:
    from conveyor.drivers.sqlalchemy import AsyncSqlAlchemyLoan

    return AsyncSqlAlchemyLoan(connection)


def _scoped(proxy: Any) -> Lent:
    """The session of this scope: of the thread, say, or of the task."""
    return lend(proxy.registry())


def _django(connection: Any) -> Lent:
    from conveyor.drivers.django import DjangoLoan

    return DjangoLoan(connection)


_LENDERS: Final[dict[tuple[str, str], Callable[[Any], Lent]]] = {
    ("sqlite3", "Connection"): _sqlite,
    ("aiosqlite", "Connection"): _aiosqlite,
    ("psycopg", "Connection"): _psycopg,
    ("psycopg", "AsyncConnection"): _async_psycopg,
    ("asyncpg", "Connection"): _asyncpg,
    ("asyncpg", "PoolConnectionProxy"): _asyncpg,
    ("sqlalchemy", "Session"): _sqlalchemy,
    ("sqlalchemy", "Connection"): _sqlalchemy,
    ("sqlalchemy", "scoped_session"): _scoped,
    ("sqlalchemy", "AsyncSession"): _async_sqlalchemy,
    ("sqlalchemy", "AsyncConnection"): _async_sqlalchemy,
    ("sqlalchemy", "async_scoped_session"): _scoped,
    ("django", "ConnectionProxy"): _django,
    ("django", "BaseDatabaseWrapper"): _django,
}
"""By the top package and the name of a class, or of one that it derives from."""
