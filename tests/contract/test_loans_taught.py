"""Whatever users have taught their connection to make of rows and values, ours come and go as they are."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import psycopg
import pytest
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.rows import class_row, dict_row

from conveyor.core.errors import NotInTransaction
from conveyor.drivers.asyncpg import AsyncpgLoan
from conveyor.drivers.lend import lend
from conveyor.drivers.lent import AsyncLoan, BlockingLoan
from conveyor.drivers.sqlite_loan import SqliteLoan
from conveyor.plan import Row, Statement
from tests.support.lending import INSERT, make_tables, stored
from tests.support.stores import sqlite_url

WRITE = Statement(INSERT, {"n": 2**40, "note": "it's"})
READ = Statement("SELECT CAST(n AS bigint), CAST(note AS text), :other FROM ours", {"other": "x"})
READ_TYPED = Statement(READ.text.replace(":other", "CAST(:other AS text)"), READ.params)
ROWS = [(2**40, "it's", "x")]


def plain(rows: object) -> list[Row]:
    """*rows*, once it is sure that they are what they look like."""
    assert isinstance(rows, list)
    assert {type(row) for row in rows} == {tuple}
    assert {type(value) for row in rows for value in row} == {int, str}
    return rows


def carried(loan: BlockingLoan, read: Statement = READ_TYPED) -> list[Row]:
    loan.carry(WRITE)
    return plain(loan.carry(read).rows)


async def acarried(loan: AsyncLoan, read: Statement = READ_TYPED) -> list[Row]:
    await loan.carry(WRITE)
    return plain((await loan.carry(read)).rows)


@pytest.fixture
def file(folder: Path) -> Path:
    make_tables(sqlite_url(folder))
    return folder / "jobs.db"


@pytest.fixture
def server(lenders: str) -> str:
    make_tables(lenders)
    return lenders


# ---------------------------------------------------------------- sqlite3


class Shouting(sqlite3.Connection):
    """A connection whose own ways to execute are not for us."""

    def cursor(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("not for us")

    def executemany(self, *_: Any) -> Any:
        raise AssertionError("not for us")


FACTORIES: dict[str, tuple[str, Any]] = {
    "Row": ("row_factory", sqlite3.Row),
    "dict": ("row_factory", lambda cursor, row: dict(zip([c[0] for c in cursor.description], row, strict=True))),
    "bytes": ("text_factory", bytes),
    "bytearray": ("text_factory", bytearray),
    "upper": ("text_factory", lambda data: data.decode().upper()),
}


@pytest.mark.parametrize("taught", FACTORIES)
def test_sqlite3(file: Path, taught: str) -> None:
    connection = sqlite3.connect(file, factory=Shouting)
    name, factory = FACTORIES[taught]
    setattr(connection, name, factory)
    assert carried(SqliteLoan(connection), READ) == ROWS
    assert getattr(connection, name) is factory
    connection.close()


@pytest.mark.parametrize("taught", FACTORIES)
def test_aiosqlite(file: Path, taught: str) -> None:
    async def main() -> None:
        name, factory = FACTORIES[taught]
        async with aiosqlite.connect(file) as connection:
            setattr(connection, name, factory)
            loan = lend(connection)
            assert isinstance(loan, AsyncLoan)
            assert await acarried(loan, READ) == ROWS
            assert getattr(connection, name) is factory

    asyncio.run(main())


@pytest.fixture
def converters() -> Iterator[None]:
    """A converter for every type that our columns are declared with."""
    kinds = ["BIGINT", "TEXT"]
    for kind in kinds:
        sqlite3.register_converter(kind, lambda data: [data])
    yield
    for kind in kinds:
        del sqlite3.converters[kind]


def test_sqlite3_with_converters(file: Path, converters: None) -> None:
    connection = sqlite3.connect(file, detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES)
    assert carried(SqliteLoan(connection)) == ROWS
    assert connection.execute("SELECT note FROM ours").fetchall() == [([b"it's"],)]
    connection.close()


def test_an_error_leaves_the_text_factory_as_it_was(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.text_factory = bytes
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        SqliteLoan(connection).carry(Statement("SELECT 1 FROM nowhere", {}))
    assert connection.text_factory is bytes
    connection.close()


# ---------------------------------------------------------------- psycopg


class UpperDumper(Dumper):
    def dump(self, obj: str) -> bytes:
        return obj.upper().encode()


class SevenDumper(Dumper):
    def dump(self, _: object) -> bytes:
        return b"7"


class ListLoader(Loader):
    def load(self, data: Buffer) -> list[Buffer]:
        return [data]


class DecimalLoader(Loader):
    def load(self, data: Buffer) -> Decimal:
        return Decimal(bytes(data).decode())


class Thing:
    def __init__(self, **values: object) -> None:
        self.values = values


def teach(connection: Any) -> None:
    """Make something else of every value of ours."""
    connection.adapters.register_dumper(str, UpperDumper)
    connection.adapters.register_dumper(int, SevenDumper)
    connection.adapters.register_dumper(type(None), SevenDumper)
    connection.adapters.register_loader("text", ListLoader)
    connection.adapters.register_loader("int8", DecimalLoader)


PSYCOPG: dict[str, dict[str, Any]] = {
    "dict": {"row_factory": dict_row},
    "class": {"row_factory": class_row(Thing)},
    "client side": {"cursor_factory": psycopg.ClientCursor},
    "prepared at once": {"prepare_threshold": 0},
}


@pytest.mark.parametrize("taught", [pytest.param(PSYCOPG[key], id=f"postgres {key}") for key in PSYCOPG])
def test_psycopg(server: str, taught: dict[str, Any]) -> None:
    with psycopg.connect(server, **taught) as connection:
        teach(connection)
        loan = lend(connection)
        assert isinstance(loan, BlockingLoan)
        assert carried(loan) == ROWS
        nothing = Statement("SELECT CAST(:none AS text), CAST(:none AS bigint)", {"none": None})
        assert loan.carry(nothing).rows == [(None, None)]
        connection.rollback()


@pytest.mark.parametrize("taught", [pytest.param(PSYCOPG[key], id=f"postgres {key}") for key in PSYCOPG])
def test_async_psycopg(server: str, taught: dict[str, Any]) -> None:
    async def main() -> None:
        options = {**taught, "cursor_factory": psycopg.AsyncClientCursor} if "cursor_factory" in taught else taught
        async with await psycopg.AsyncConnection.connect(server, **options) as connection:
            teach(connection)
            loan = lend(connection)
            assert isinstance(loan, AsyncLoan)
            assert await acarried(loan) == ROWS
            await connection.rollback()

    asyncio.run(main())


@pytest.mark.postgres
def test_psycopg_in_pipeline_mode_is_refused(server: str) -> None:
    with psycopg.connect(server) as connection:
        loan = lend(connection)
        with connection.pipeline(), pytest.raises(NotInTransaction, match="leave the pipeline first"):
            loan.check()
        loan.check()


@pytest.mark.postgres
def test_psycopg_amid_a_copy_is_refused(server: str) -> None:
    with psycopg.connect(server) as connection:
        loan = lend(connection)
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY own FROM STDIN"),
            pytest.raises(NotInTransaction, match="busy with a statement or COPY"),
        ):
            loan.check()
        loan.check()


# ---------------------------------------------------------------- asyncpg


class OddRecord(asyncpg.Record):  # type: ignore[misc] # asyncpg has no types
    """Iterates over its names, as a dict does."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())


async def codecs(connection: Any) -> None:
    """What users set most."""
    for kind in ("json", "jsonb", "uuid", "numeric", "timestamptz"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=lambda _: 1 / 0, decoder=lambda _: 1 / 0)


ASYNCPG: dict[str, dict[str, Any]] = {
    "records": {"record_class": OddRecord},
    "no cache": {"statement_cache_size": 0},
    "logged": {},
}


@pytest.mark.parametrize("taught", [pytest.param(ASYNCPG[key], id=f"postgres {key}") for key in ASYNCPG])
def test_asyncpg(server: str, taught: dict[str, Any]) -> None:
    async def main() -> None:
        connection: Any = await asyncpg.connect(server, **taught)
        await codecs(connection)
        seen: list[str] = []
        log: Callable[[Any], None] = lambda record: seen.append(record.query)  # noqa: E731 - asyncpg wants a function
        with connection.query_logger(log):
            async with connection.transaction():
                assert await acarried(AsyncpgLoan(connection)) == ROWS
        await connection.close()

    asyncio.run(main())
    assert stored(server) == [2**40]
