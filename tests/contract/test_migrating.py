"""Bringing the tables up to date while others use them, and being broken off in the middle of it."""

import itertools
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conveyor import Conveyor, SchemaOutdated, StoreUnavailable
from conveyor.core.errors import ConveyorError, UsageError
from conveyor.core.health import Severity
from conveyor.store.contract import Store
from conveyor.store.postgres import migrating
from conveyor.store.postgres.opened import PostgresStore
from conveyor.store.sqlfiles import migrations
from tests.support.faults import Faults, When
from tests.support.inventory import things
from tests.support.jobs import enqueue, new_job
from tests.support.postgres import PostgresServer, find_binaries
from tests.support.stores import number, open_store, rows, sqlite_url
from tests.support.threads import together
from tests.support.waiting import until

NAMES = [name for _, name, _ in migrations("postgres")]
MORE = (9000, "9000_more", "ALTER TABLE conveyor_job ADD COLUMN more text;\nCREATE TABLE conveyor_more (id uuid);\n")
"""What a later version might do; it needs the jobs' table for itself for a moment."""


@pytest.fixture
def bare_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database without our tables."""
    yield postgres_server.create_database("unmigrated")
    postgres_server.drop_database("unmigrated")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version migrates."""
    monkeypatch.setattr(migrating, "migrations", lambda dialect: (*migrations(dialect), MORE))


def psql(url: str, script: str) -> "subprocess.CompletedProcess[str]":
    """Run *script* as an operator would."""
    binaries = find_binaries(os.environ.get("CONVEYOR_TEST_PG", "17"))
    words = [str(binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", url]
    return subprocess.run(words, input=script, capture_output=True, text=True, check=False)


# ---------------------------------------------------------------- looking, and writing it down


def test_several_may_migrate_at_once_where_transactions_are_repeatable_reads(bare_url: str) -> None:
    """Else one that has waited for another would not see what that has done, nor what was written meanwhile."""
    with psycopg.connect(bare_url, autocommit=True) as operator:
        operator.execute("ALTER DATABASE unmigrated SET default_transaction_isolation = 'repeatable read'")
    names = together([open_store(bare_url).migrate] * 4)
    assert sorted(itertools.chain(*names)) == [name for _, name, _ in migrations("postgres")]


def test_what_is_missing_is_named_and_nothing_is_changed(bare_url: str) -> None:
    store = open_store(bare_url)
    assert store.pending() == NAMES
    assert number(store, "SELECT count(*) FROM pg_class WHERE relname LIKE 'conveyor%'") == 0
    assert store.migrate() == NAMES
    assert store.pending() == []
    store.close()


def test_a_file_that_is_not_there_is_not_made_by_looking(folder: Path) -> None:
    store = open_store(sqlite_url(folder))
    assert store.pending() == [name for _, name, _ in migrations("sqlite")]
    assert list(folder.iterdir()) == []
    store.migrate()
    assert store.pending() == []
    with sqlite3.connect(folder / "jobs.db") as connection:
        connection.execute("DELETE FROM conveyor_migration WHERE number > 1")
    connection.close()
    assert store.pending() == [name for number, name, _ in migrations("sqlite") if number > 1]
    store.close()
    assert open_store("sqlite:///:memory:").pending() == []
    with pytest.raises(UsageError, match="brings its own tables up to date"):
        store.script(0, 1)


def test_the_script_makes_what_migrate_makes(bare_url: str, postgres_url: str) -> None:
    store, newest = PostgresStore(bare_url), len(NAMES)
    for first, last in ((0, 1), (1, newest)):
        done = psql(bare_url, store.script(first, last))
        assert (done.returncode, done.stderr) == (0, "")
        assert store.pending() == NAMES[last:]
    assert things(bare_url) == things(postgres_url)
    again = psql(bare_url, store.script(0, newest))
    assert f"0001_spine is for a schema at migration 0, and this one is at {newest}" in again.stderr
    assert number(store, "SELECT count(*) FROM conveyor_migration") == newest
    store.close()


@pytest.mark.parametrize(("first", "last"), [(0, 0), (1, 0), (-1, 1), (0, 99)])
def test_migrations_that_there_are_not(first: int, last: int) -> None:
    with pytest.raises(UsageError, match=r"there are migrations 1 to \d+, so FROM and TO are numbers as in --sql 0 \d"):
        migrating.script(first, last, 3.0)


def test_who_has_nothing_to_migrate_needs_no_right_to(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE migrant LOGIN; GRANT SELECT ON conveyor_migration TO migrant")
        assert open_store(postgres_url.replace("postgres@", "migrant@")).migrate() == []
        connection.execute("DROP OWNED BY migrant; DROP ROLE migrant")


# ---------------------------------------------------------------- broken off


def whole(url: str) -> int:
    """How many migrations were applied, all of each: recorded without its tables none is, nor the other way round."""
    store = PostgresStore(url)
    done = [name for name in NAMES if name not in store.pending()]
    first = number(store, "SELECT count(*) FROM pg_class WHERE relname = 'conveyor_bell'")
    second = number(store, "SELECT count(*) FROM pg_class WHERE relname = 'conveyor_queue'")
    store.close()
    assert done == NAMES[: len(done)]
    assert (first, second) == (len(done) >= 1, len(done) >= 2)
    return len(done)


@pytest.mark.parametrize(("when", "place"), [("before", 2), ("after", 4)])
def test_a_migration_that_is_broken_off_anywhere_is_made_again(
    bare_url: str, monkeypatch: pytest.MonkeyPatch, when: When, place: int
) -> None:
    """The connection is lost at every fifth of its round trips in turn."""
    reached = set[int]()
    while True:
        with monkeypatch.context() as patch:
            faults = Faults(at=place, when=when, armed=True)
            faults.install(patch)
            store = PostgresStore(bare_url)
            try:
                store.migrate()
            except ConveyorError:
                lost = True
            else:
                lost = False
        done = whole(bare_url)
        reached.add(done)
        assert store.migrate() == NAMES[done:]
        if not lost:
            break
        with psycopg.connect(bare_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        place += 5
    assert store.amiss()
    assert {finding.severity for finding in store.amiss()} == {Severity.FINE}
    assert reached == set(range(len(NAMES) + 1))


# ---------------------------------------------------------------- behind a long transaction


@pytest.mark.direct
@pytest.mark.usefixtures("later")
def test_a_migration_waits_for_a_long_transaction_and_holds_nobody_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks for a table after it would wait behind it for as long as it waits: so it does not, for long."""
    monkeypatch.setattr(migrating, "PAUSES", (0.05,) * 10_000)
    store, applied = open_store(postgres_url), list[str]()
    thread = threading.Thread(target=lambda: applied.extend(store.migrate(0.05)))
    with psycopg.connect(postgres_url, application_name="report") as reader:
        reader.execute("SELECT count(*) FROM conveyor_job")
        who = f"9000_more waits for pid {reader.info.backend_pid} (report, role postgres), idle in transaction, "
        thread.start()
        until(lambda: len(caplog.messages) >= 2)
        for _ in range(10):
            enqueue(store, new_job())
        assert thread.is_alive()
        assert (applied, store.pending()) == ([], ["9000_more"])
        reader.rollback()
        thread.join()
    assert applied == ["9000_more"]
    assert caplog.messages[0].startswith(who)
    store.close()


@pytest.mark.usefixtures("later")
def test_a_migration_that_never_gets_the_table_says_who_has_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "PAUSES", (0.0,))
    store = open_store(postgres_url)
    with psycopg.connect(postgres_url, application_name="report") as reader:
        reader.execute("SELECT count(*) FROM conveyor_job")
        with pytest.raises(
            StoreUnavailable, match=r"in 2 tries of 0\.01 s .* waits for pid \d+ \(report, role postgres"
        ):
            store.migrate(0.01)
    assert store.pending() == ["9000_more"]
    store.close()


@pytest.mark.usefixtures("later")
def test_another_that_migrates_is_waited_for_however_long(postgres_url: str) -> None:
    """It keeps nobody else waiting, so the time for tables does not count."""
    store, applied = open_store(postgres_url), list[str]()
    thread = threading.Thread(target=lambda: applied.extend(store.migrate(0.001)))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (migrating.LOCK,))
        thread.start()
        until(lambda: number(store, waiting) == 1)
        other.rollback()
        thread.join()
    assert applied == ["9000_more"]
    store.close()


# ---------------------------------------------------------------- versions that meet


@pytest.fixture
def app(postgres_url: str) -> Iterator[Conveyor]:
    """An app with one task."""
    made = Conveyor(postgres_url)
    made.task(name="double")(lambda number: number * 2)
    yield made
    made.close()


@pytest.mark.usefixtures("later")
def test_an_older_worker_works_on_with_newer_tables(app: Conveyor) -> None:
    job = app.tasks["double"].enqueue(21)
    assert app.migrate() == ["9000_more"]
    later = app.tasks["double"].enqueue(4)
    app.run_worker(burst=True)
    assert (job.result(timeout=10), later.result(timeout=10)) == (42, 8)
    (schema,) = [finding for finding in app.doctor() if finding.check == "schema"]
    assert (schema.severity, "a newer Conveyor has made them" in schema.text) == (Severity.NOTE, True)
    assert not [finding for finding in app.doctor() if finding.check == "tables"]  # it may have changed what it likes


# ---------------------------------------------------------------- what a worker finds at its start


def test_a_worker_says_what_slows_it_down(app: Conveyor, caplog: pytest.LogCaptureFixture) -> None:
    job = app.tasks["double"].enqueue(21)
    rows(app.store, "DROP INDEX conveyor_job_fetch")
    app.run_worker(burst=True)
    assert job.result(timeout=10) == 42
    assert (
        "the index conveyor_job_fetch is missing; CREATE INDEX CONCURRENTLY conveyor_job_fetch ON conveyor_job "
        "USING btree (queue, priority DESC, run_after)"
    ) in caplog.messages


UNFIT = {
    "a right": (
        "REVOKE DELETE ON conveyor_job FROM worker",
        StoreUnavailable,
        "role worker lacks DELETE on conveyor_job; GRANT DELETE ON conveyor_job TO worker",
    ),
    "the search path": (
        "ALTER ROLE worker SET search_path = worker",
        SchemaOutdated,
        "Conveyor's tables are in schema public, and role worker looks through worker; ALTER ROLE worker SET",
    ),
}


@pytest.mark.direct
@pytest.mark.parametrize(("seed", "error", "text"), UNFIT.values(), ids=UNFIT)
def test_a_worker_that_could_not_work_does_not_begin(
    app: Conveyor, seed: str, error: type[ConveyorError], text: str
) -> None:
    app.tasks["double"].enqueue(21)
    theirs = Conveyor(app.url.replace("postgres@", "worker@"))
    theirs.task(name="double")(lambda number: number * 2)
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE worker LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO worker")
        connection.execute("GRANT ALL ON SEQUENCE conveyor_bell TO worker")
        connection.execute(seed.encode())
        with pytest.raises(error) as refused:
            theirs.run_worker(burst=True)
        theirs.close()
        assert text in str(refused.value)
        assert number(app.store, "SELECT count(*) FROM conveyor_job WHERE attempt = 0") == 1
        assert number(app.store, "SELECT count(*) FROM conveyor_runner") == 0
        connection.execute("DROP OWNED BY worker; DROP ROLE worker")


def unmigrate(store: Store) -> None:
    """As an earlier version has left it."""
    rows(store, "ALTER TABLE conveyor_job DROP COLUMN progress, DROP COLUMN extras")
    rows(store, f"DELETE FROM conveyor_migration WHERE number = {len(NAMES)}")


def test_a_newer_worker_does_nothing_with_older_tables(app: Conveyor) -> None:
    job = app.tasks["double"].enqueue(21)
    unmigrate(app.store)
    with pytest.raises(SchemaOutdated, match=r"run `conveyor migrate`"):
        app.run_worker(burst=True)
    with pytest.raises(SchemaOutdated, match=r"run `conveyor migrate`"):
        app.tasks["double"].enqueue(4)
    untouched = "SELECT count(*) FROM conveyor_job WHERE state = 'waiting' AND attempt = 0"
    assert number(app.store, untouched) == number(app.store, "SELECT count(*) FROM conveyor_job") == 1
    assert number(app.store, "SELECT count(*) FROM conveyor_runner") == 0
    assert job.id
