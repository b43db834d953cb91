"""What SQLAlchemy's sessions and connections have of their own."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Connection, Engine, ForeignKey, event, exc
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from conveyor.core.errors import ConveyorError, NotInTransaction
from conveyor.drivers.lend import lend
from conveyor.drivers.lent import AsyncLoan, BlockingLoan
from conveyor.plan import Statement
from tests.support.lending import INSERT, make_tables, stored
from tests.support.stores import sqlite_url

WRITE = Statement(INSERT, {"n": 1, "note": "x"})


class Base(DeclarativeBase):
    pass


class Own(Base):
    __tablename__ = "own"
    n: Mapped[int] = mapped_column(primary_key=True)


class Child(Base):
    __tablename__ = "child"
    parent: Mapped[int] = mapped_column(ForeignKey("own.n"), primary_key=True)


@pytest.fixture
def url(folder: Path) -> str:
    address = sqlite_url(folder)
    make_tables(address)
    return address


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = sqlalchemy.create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as opened:
        yield opened


def lent(given: object) -> BlockingLoan:
    loan = lend(given)
    assert isinstance(loan, BlockingLoan)
    return loan


def refused(loan: BlockingLoan, words: str) -> None:
    """*loan* is not accepted, and nothing gets through."""
    with pytest.raises(NotInTransaction, match=words):
        loan.check()
    with pytest.raises(NotInTransaction, match=words):
        loan.carry(WRITE)


# ---------------------------------------------------------------- sessions


def test_the_users_unsaved_objects_are_not_sent_before_their_time(session: Session, url: str) -> None:
    loan = lent(session)
    own = Own()
    session.add(own)
    loan.carry(WRITE)
    assert own in session.new
    own.n = 5
    session.commit()
    assert (stored(url), stored(url, "own")) == ([1], [5])


def test_flush_sends_them(session: Session) -> None:
    loan = lent(session)
    loan.begin()
    session.add(Own(n=5))
    loan.flush()
    assert loan.carry(Statement("SELECT CAST(n AS bigint) FROM own", {})).rows == [(5,)]
    assert not session.new
    loan.rollback()


def test_what_commit_flushes_itself_is_committed_too(session: Session, url: str) -> None:
    loan = lent(session)
    loan.begin()
    loan.carry(WRITE)
    session.add(Own(n=5))
    loan.commit()
    assert (stored(url), stored(url, "own")) == ([1], [5])


def test_a_session_whose_flush_has_failed_is_refused_until_it_is_rolled_back(session: Session) -> None:
    loan = lent(session)
    session.add_all([Own(n=1), Child(parent=1)])
    session.flush()
    session.expunge_all()
    session.add(Own(n=1))
    with pytest.raises(exc.IntegrityError):
        session.flush()
    refused(loan, "failed; call its rollback")
    session.rollback()
    loan.carry(WRITE)


def test_a_session_that_does_not_begin_by_itself_must_be_begun(engine: Engine, url: str) -> None:
    with Session(engine, autobegin=False) as session:
        loan = lent(session)
        refused(loan, r"autobegin=False and none begun; call its begin\(\) first")
        with session.begin():
            loan.carry(WRITE)
    assert stored(url) == [1]


def test_a_session_that_has_only_read_is_not_idle(session: Session) -> None:
    loan = lent(session)
    session.scalars(sqlalchemy.select(Own)).all()
    with pytest.raises(ConveyorError, match=r"be it for a read; call its commit\(\) or rollback\(\) first"):
        loan.idle()
    session.rollback()
    loan.idle()


def test_a_session_over_a_connection_joins_that_connections_transaction(engine: Engine, url: str) -> None:
    with engine.connect() as connection:
        with connection.begin(), Session(connection) as session:
            loan = lent(session)
            with pytest.raises(ConveyorError, match="must be the outermost"):
                loan.idle()
            loan.carry(WRITE)
            session.commit()
            assert stored(url) == []
        assert stored(url) == [1]


def test_a_session_with_an_engine_for_each_table_passes_on_what_sqlalchemy_says(engine: Engine, url: str) -> None:
    with Session(binds={Own: engine}) as session, pytest.raises(exc.UnboundExecutionError):
        lend(session)
    with Session(engine, binds={Own: sqlalchemy.create_engine("sqlite://")}) as session:
        lent(session).carry(WRITE)
        session.commit()
    assert stored(url) == [1]


def test_a_commit_of_the_users_amid_an_attempt_does_not_pass_unseen(session: Session, url: str) -> None:
    loan = lent(session)
    loan.begin()
    session.add(Own(n=5))
    session.commit()
    session.begin()
    refused(loan, "has none any more, inside of the transaction that was begun")
    with pytest.raises(NotInTransaction):
        loan.commit()
    loan.rollback()
    assert (stored(url), stored(url, "own")) == ([], [5])


def test_a_session_inside_of_run_sync_is_a_blocking_one(url: str) -> None:
    def enqueue(connection: Connection) -> None:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            lent(session).carry(WRITE)
            session.commit()

    async def main() -> None:
        engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite"))
        async with engine.begin() as connection:
            await connection.run_sync(enqueue)
        await engine.dispose()

    asyncio.run(main())
    assert stored(url) == [1]


# ---------------------------------------------------------------- autocommit, wherever it is said

OPTIONS: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}


def engines(url: str) -> Engine:
    return sqlalchemy.create_engine(url, **OPTIONS)


def engine_options(url: str) -> Engine:
    return sqlalchemy.create_engine(url).execution_options(**OPTIONS)


@pytest.mark.parametrize("make", [engines, engine_options])
def test_autocommit_of_an_engine(url: str, make: Callable[[str], Engine]) -> None:
    engine = make(url)
    with Session(engine) as session:
        refused(lent(session), "AUTOCOMMIT")
        with pytest.raises(ConveyorError, match="AUTOCOMMIT"):
            lent(session).idle()
    with engine.connect() as connection:
        refused(lent(connection), "AUTOCOMMIT")
    engine.dispose()
    assert stored(url) == []


def test_autocommit_of_a_connection(engine: Engine, url: str) -> None:
    with engine.connect().execution_options(**OPTIONS) as connection:
        refused(lent(connection), "AUTOCOMMIT")
        with Session(connection) as session:
            refused(lent(session), "AUTOCOMMIT")
    assert stored(url) == []


def test_autocommit_of_a_sessions_connection(session: Session, url: str) -> None:
    session.connection(execution_options=OPTIONS)
    with pytest.raises(NotInTransaction, match="autocommit"):
        lent(session).carry(WRITE)
    assert stored(url) == []


def test_autocommit_of_the_driver_is_seen_before_anything_is_sent(engine: Engine, url: str) -> None:
    """Half a recipe: the driver begins nothing any more, and nobody does it in its place."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None

    opened: Session | Connection
    for make in (Session, Engine.connect):
        with make(engine) as opened, pytest.raises(NotInTransaction, match="leave transactions to SQLAlchemy"):
            lent(opened).carry(WRITE)
        with make(engine) as opened:
            loan = lent(opened)
            with pytest.raises(NotInTransaction, match="is in autocommit"):
                loan.begin()
            assert not loan.begun
            loan.idle()
    assert stored(url) == []


@pytest.mark.postgres
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_autocommit_of_the_driver_on_postgresql(lenders: str, driver: str) -> None:
    make_tables(lenders)
    engine = sqlalchemy.create_engine(lenders.replace("postgresql", f"postgresql+{driver}"))

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.autocommit = True

    with Session(engine) as session, pytest.raises(NotInTransaction, match="AUTOCOMMIT"):
        lent(session).carry(WRITE)
    with engine.connect() as connection:
        refused(lent(connection), "AUTOCOMMIT")
    engine.dispose()
    assert stored(lenders) == []


# ---------------------------------------------------------------- connections


def test_a_transaction_object_that_was_rolled_back_is_refused_inside_of_its_block(engine: Engine) -> None:
    with engine.connect() as connection:
        with connection.begin() as transaction:
            loan = lent(connection)
            loan.carry(WRITE)
            transaction.rollback()
            with pytest.raises(exc.InvalidRequestError, match="closed transaction inside context manager"):
                loan.carry(WRITE)
        loan.check()


def test_an_invalidated_connection_is_refused(engine: Engine) -> None:
    with engine.connect() as connection:
        loan = lent(connection)
        loan.begin()
        connection.invalidate()
        refused(loan, "has lost its connection")
        loan.rollback()
        loan.idle()


def test_an_async_connection_that_is_not_open_yet_says_so(url: str) -> None:
    engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite"))
    with pytest.raises(TypeError, match=r"not open yet; say `async with engine.begin\(\) as connection`"):
        lend(engine.connect())


if sys.version_info >= (3, 12):

    def test_the_drivers_newer_autocommit_is_refused_before_anything_is_sent(url: str) -> None:
        """Then the driver's commit() does nothing: a transaction begun by hand would never be committed."""
        engine = sqlalchemy.create_engine(url, connect_args={"autocommit": True})
        for make in (Session, Engine.connect):
            with make(engine) as opened, pytest.raises(NotInTransaction, match="leave transactions to SQLAlchemy"):
                lent(opened).carry(WRITE)
        engine.dispose()

        async def main() -> None:
            engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite"), connect_args={"autocommit": True})
            async with engine.connect() as connection:
                loan = lend(connection)
                assert isinstance(loan, AsyncLoan)
                with pytest.raises(NotInTransaction, match="leave transactions to SQLAlchemy"):
                    await loan.carry(WRITE)
            await engine.dispose()

        asyncio.run(main())
        assert stored(url) == []
