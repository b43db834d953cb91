"""Opening a store, and what one is told when it is not there, not ready, or gone in mid-sentence."""

import asyncio
import contextlib
import itertools
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from conveyor.core.errors import SchemaOutdated, StoreRefused, StoreUnavailable, UsageError
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.store.sqlfiles import migrations
from conveyor.store.sqlite import opened as sqlite_opened
from conveyor.store.sqlite.lane import Lane
from tests.support.jobs import INFO, enqueue, new_job, see
from tests.support.postgres import PostgresServer
from tests.support.stores import Loop, open_store, rows, tables
from tests.support.threads import together

ON_POSTGRES = pytest.mark.parametrize("url", ["postgres"], indirect=True)
ON_FILE = pytest.mark.parametrize("url", ["sqlite-file"], indirect=True)
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def test_making_a_store_opens_nothing(folder: Path) -> None:
    open_store(f"sqlite:///{folder}/jobs.db").close()
    open_store(NOWHERE).close()
    assert list(folder.iterdir()) == []


def test_a_closed_store_opens_again(store: Store, url: str) -> None:
    enqueue(store, new_job())
    store.close()
    enqueue(store, new_job())
    assert tables(store) == ((1 if "memory" in url else 2), 0)


@ON_FILE
def test_a_new_file_may_be_opened_by_many_at_once(opened: Callable[[], Store]) -> None:
    stores = [opened() for _ in range(8)]
    together([partial(enqueue, store, new_job()) for store in stores])
    assert tables(stores[0]) == (8, 0)


@ON_FILE
def test_a_new_file_that_somebody_is_just_writing_is_waited_for(
    url: str, opened: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself would not wait: it says at once that the file is locked."""
    file = url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
        other.execute("BEGIN IMMEDIATE")
        looks: Iterator[Callable[[], None]] = iter([lambda: None, other.rollback])
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: next(looks)())
        monkeypatch.setattr("conveyor.store.sqlite.opened.time", clock)
        store = opened()
        assert store.run(store.operations.schema()) == store.migrations
        assert list(looks) == []


def test_the_first_use_may_come_from_two_threads_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2, timeout=0.3)

    class Slow(Lane):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            with contextlib.suppress(BrokenBarrierError):
                both.wait()
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(sqlite_opened, "Lane", Slow)
    together([lambda: enqueue(store, new_job())] * 2)
    assert tables(store) == (2, 0)


@ON_FILE
def test_a_fork_has_connections_of_its_own(store: Store) -> None:
    enqueue(store, new_job())
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            enqueue(store, new_job())
            code = 0
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert tables(store) == (2, 0)


@ON_FILE
def test_a_statement_that_is_refused_leaves_the_file_usable(store: Store) -> None:
    with pytest.raises(StoreRefused):
        enqueue(store, new_job()._replace(id=None))  # type: ignore[arg-type]  # the point of the test
    enqueue(store, new_job())
    assert tables(store) == (1, 0)


@pytest.mark.parametrize(
    "address",
    ["sqlite://jobs.db", "sqlite://", "sqlite:///x.db?synchronous=OFF", "sqlite:///x.db?timeout=3", "postgresql://[x"],
)
def test_an_address_that_means_nothing_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        open_store(address)


def test_a_missing_folder_is_named(folder: Path) -> None:
    store = open_store(f"sqlite:///{folder}/nowhere/jobs.db")
    with pytest.raises(UsageError, match="nowhere"):
        enqueue(store, new_job())


def test_a_file_that_is_no_database_is_refused(folder: Path) -> None:
    (folder / "jobs.db").write_bytes(b"not a database at all" * 100)
    store = open_store(f"sqlite:///{folder}/jobs.db")
    with pytest.raises(StoreRefused):
        enqueue(store, new_job())
    store.close()


@ON_FILE
def test_a_file_without_our_tables_says_how_to_make_them(store: Store, folder: Path) -> None:
    enqueue(store, new_job())
    with contextlib.closing(sqlite3.connect(folder / "jobs.db")) as user:
        user.execute("DROP TABLE conveyor_job")
    with pytest.raises(SchemaOutdated, match="conveyor migrate"):
        enqueue(store, new_job())


def test_a_server_that_is_not_there_is_unavailable() -> None:
    store = open_store(NOWHERE)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        enqueue(store, new_job())
    with Loop(store) as loop, pytest.raises(StoreUnavailable, match="cannot be reached"):
        loop.do(store.operations.enqueue([new_job()]))
    with pytest.raises(StoreUnavailable):
        store.leases(10).register(b"\1" * 16, INFO)
    with pytest.raises(StoreUnavailable):
        store.migrate()


def test_a_password_is_not_shown() -> None:
    store = open_store("postgresql://me:secret@db.example:6543/shop")
    assert store.url == "postgresql://me@db.example:6543/shop"


def test_a_database_without_our_tables_says_how_to_make_them(postgres_server: PostgresServer) -> None:
    address = postgres_server.create_database("bare")
    try:
        store = open_store(address)
        with pytest.raises(SchemaOutdated, match="conveyor migrate"):
            enqueue(store, new_job())
        with pytest.raises(SchemaOutdated, match="conveyor migrate"):
            store.run(store.operations.counts(JobFilter()))
        store.close()
        names = together([open_store(address).migrate] * 4)
        assert sorted(itertools.chain(*names)) == [name for _, name, _ in migrations("postgres")]
    finally:
        postgres_server.drop_database("bare")


def terminate(store: Store) -> None:
    """End all sessions of the store's database but one of our own."""
    kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    rows(store, f"{kill} AND datname = current_database()")


@ON_POSTGRES
def test_a_connection_that_was_lost_while_it_lay_idle_is_made_anew(store: Store, opened: Callable[[], Store]) -> None:
    """For a write too: nothing has been sent over it."""
    other, job = opened(), new_job()
    store.run(store.operations.schema())
    terminate(other)
    enqueue(store, job)
    assert see(store, job.id).attempt == 0
    terminate(other)
    assert see(store, job.id).attempt == 0  # a read is safe to repeat, so the store does


@ON_POSTGRES
async def test_a_connection_that_was_lost_while_it_lay_idle_is_made_anew_in_the_loop_too(
    store: Store, opened: Callable[[], Store]
) -> None:
    other, job = opened(), new_job()
    await store.arun(store.operations.schema())
    terminate(other)
    await store.arun(store.operations.enqueue([job]))
    assert tables(store) == (1, 0)
    await store.aclose()


@ON_POSTGRES
async def test_a_cancelled_call_leaves_no_broken_connection_behind(store: Store, url: str) -> None:
    jobs = [new_job()]
    await store.arun(store.operations.enqueue(jobs))
    with psycopg.connect(url) as user:
        user.execute("LOCK TABLE conveyor_job")
        call = asyncio.ensure_future(store.arun(store.operations.enqueue([new_job()])))
        await asyncio.wait([call], timeout=0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await store.arun(store.operations.repeat_enqueue(jobs))
    assert tables(store) == (1, 0)
    await store.aclose()
