"""The first thing that is ever done with a new SQLite file is a transaction of the user's."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from conveyor import Conveyor, State, UsageError

INSERT = ("CREATE TABLE customer (name TEXT)", "INSERT INTO customer VALUES ('Ada')")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def app(file: Path) -> Iterator[Conveyor]:
    made = Conveyor(f"sqlite:///{file}")
    made.task(name="welcome")(welcome)
    yield made
    made.close()


def welcome(name: str) -> str:
    return name


def insert(connection: sqlite3.Connection) -> None:
    for statement in INSERT:
        connection.execute(statement)


def test_tables_are_made_before_the_blocks_transaction_begins(app: Conveyor, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        with connection, app.within(connection):
            insert(connection)
            app.tasks["welcome"].enqueue("Ada")
        assert connection.execute("SELECT name FROM customer").fetchall() == [("Ada",)]
    assert app.jobs.counts()[State.READY] == 1


async def test_so_are_they_for_a_connection_that_is_awaited(app: Conveyor, file: Path) -> None:
    async with aiosqlite.connect(file) as connection:
        with app.within(connection):
            for statement in INSERT:
                await connection.execute(statement)
            await app.tasks["welcome"].aenqueue("Ada")
            await connection.commit()
    assert (await app.jobs.acounts())[State.READY] == 1
    await app.aclose()


def test_who_has_begun_already_is_told_so_at_once(app: Conveyor, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        insert(connection)
        told = pytest.raises(UsageError, match=r"shop\.db yet, .* call app\.migrate\(\) once at start")
        with app.within(connection), told:
            app.tasks["welcome"].enqueue("Ada")
        connection.commit()
        with connection, app.within(connection):  # and no harm was done
            connection.execute(INSERT[1])
            app.tasks["welcome"].enqueue("Ada")
    assert app.jobs.counts()[State.READY] == 1


async def test_so_is_who_awaits(app: Conveyor, file: Path) -> None:
    async with aiosqlite.connect(file) as connection:
        for statement in INSERT:
            await connection.execute(statement)
        with app.within(connection), pytest.raises(UsageError, match=r"call app\.migrate\(\) once at start"):
            await app.tasks["welcome"].aenqueue("Ada")
    await app.aclose()


def test_with_the_tables_made_at_start_the_order_does_not_matter(app: Conveyor, file: Path) -> None:
    app.migrate()
    app.close()
    with closing(sqlite3.connect(file)) as connection, connection:
        insert(connection)
        with app.within(connection):
            app.tasks["welcome"].enqueue("Ada")
    assert app.jobs.counts()[State.READY] == 1
