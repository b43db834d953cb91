"""PostgreSQL: the history of the version before becomes partitioned, with all that is in it, while its workers work."""

import threading
from collections.abc import Iterator
from itertools import count
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql

from conveyor.core import ids
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter
from conveyor.store.answers import Arranged
from conveyor.store.postgres.opened import PostgresStore
from conveyor.store.sqlfiles import migrations, statements
from tests.support.before import COMPLETE, PRUNE
from tests.support.jobs import see
from tests.support.postgres import PostgresServer
from tests.support.stores import number, rows, tables
from tests.support.waiting import until

ENQUEUE = (
    "INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, args, keep)"
    " VALUES (%s, 'old', 'default', 0, conveyor_now(), conveyor_now(), 5, '[[],{}]', %s)"
)
KEEPS = (None, 0, 3_600_000_000, 7 * 86_400_000_000, 90 * 86_400_000_000, -1)
LEDGER = "CREATE TABLE conveyor_migration (number integer PRIMARY KEY, name text NOT NULL)"


@pytest.fixture
def old_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A store as the version before has made it."""
    address = postgres_server.create_database("migrated")
    with psycopg.connect(address) as owner:
        owner.execute(LEDGER)
        for applied, name, text in migrations("postgres")[:2]:
            for statement in statements(text):
                owner.execute(statement.encode())
            owner.execute("INSERT INTO conveyor_migration VALUES (%s, %s)", (applied, name))
    yield address
    postgres_server.drop_database("migrated")


@pytest.fixture
def old_store(old_url: str) -> Iterator[PostgresStore]:
    """It, opened; what it knows of the tables is what they will be."""
    store = PostgresStore(old_url)
    yield store
    store.close()


def done(connection: psycopg.Connection[tuple[object, ...]], keep: int | None) -> bytes:
    """A job that comes and ends as in the version before; its id."""
    id_ = ids.new()
    connection.execute(ENQUEUE, (UUID(bytes=id_), keep))
    assert connection.execute(COMPLETE, (UUID(bytes=id_),)).fetchone() == (1,)
    return id_


def some(url: str) -> list[bytes]:
    with psycopg.connect(url) as owner:
        return [done(owner, keep) for keep in KEEPS]


def test_what_had_ended_before_stays_where_it_is_and_is_found_as_ever(old_store: PostgresStore, old_url: str) -> None:
    before = some(old_url)
    assert old_store.migrate() == [name for _, name, _ in migrations("postgres")[2:]]
    assert number(old_store, "SELECT count(*) FROM conveyor_past_before") == len(KEEPS)
    assert [see(old_store, id_).state for id_ in before] == [State.SUCCEEDED] * len(KEEPS)
    after = some(old_url)
    assert number(old_store, "SELECT count(*) FROM conveyor_past_before") == len(KEEPS)
    assert tables(old_store) == (0, 2 * len(KEEPS))
    rows(old_store, PRUNE)
    assert tables(old_store) == (0, 2 * len(KEEPS) - 2)
    everything = JobFilter(ids=(*before, *after))
    assert old_store.run(old_store.control.delete_ended(everything, 100, None)).changed == 2 * len(KEEPS) - 2
    assert old_store.migrate() == []


def test_the_table_of_before_goes_once_it_is_empty(old_store: PostgresStore, old_url: str) -> None:
    (first, *others) = some(old_url)
    old_store.migrate()
    old_store.run(old_store.control.delete_ended(JobFilter(ids=tuple(others)), 100, None))
    assert old_store.run(old_store.control.arrange()) == Arranged()
    old_store.run(old_store.control.delete_ended(JobFilter(ids=(first,)), 100, None))
    with psycopg.connect(old_url, autocommit=True) as owner:
        owner.execute("VACUUM conveyor_past_before")
    assert old_store.run(old_store.control.arrange()) == Arranged(dropped=1)
    assert number(old_store, "SELECT count(*) FROM pg_class WHERE relname = 'conveyor_past_before'") == 0


def test_a_history_without_jobs_leaves_no_table_behind(old_store: PostgresStore) -> None:
    old_store.migrate()
    assert number(old_store, "SELECT count(*) FROM pg_class WHERE relname = 'conveyor_past_before'") == 0


def test_workers_of_the_version_before_end_jobs_all_the_time_and_lose_none(
    old_store: PostgresStore, old_url: str
) -> None:
    ended: list[bytes] = []
    stop, numbers = threading.Event(), count()

    def work() -> None:
        with psycopg.connect(old_url, autocommit=True) as connection:
            while not stop.is_set():
                ended.append(done(connection, KEEPS[next(numbers) % len(KEEPS)]))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        until(lambda: len(ended) > 50)
        old_store.migrate()
        sofar = len(ended)
        until(lambda: len(ended) > sofar + 50)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    found = {id_ for (id_,) in rows(old_store, "SELECT id FROM conveyor_history")}
    assert (found, tables(old_store)) == (set(ended), (0, len(ended)))


def test_steps_may_be_long_in_coming(old_store: PostgresStore, old_url: str) -> None:
    """Between two migrations the workers of the version before go on, for days if it must be."""
    for applied, name, text in migrations("postgres")[2:4]:
        with psycopg.connect(old_url) as owner:
            for statement in statements(text):
                owner.execute(statement.encode())
            owner.execute("INSERT INTO conveyor_migration VALUES (%s, %s)", (applied, name))
        some(old_url)
    assert old_store.migrate() == [name for _, name, _ in migrations("postgres")[4:]]
    assert tables(old_store) == (0, 2 * len(KEEPS))


def test_whoever_might_use_history_still_may_and_nobody_else(old_store: PostgresStore, old_url: str) -> None:
    """Also when somebody else migrates than whom the tables belong to."""
    everything = "SELECT count(*) FROM conveyor_history"
    with psycopg.connect(old_url, autocommit=True) as owner:
        for name in ("conveyor_owner", "conveyor_reader", "conveyor_stranger"):
            owner.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        owner.execute("GRANT CREATE ON SCHEMA public TO conveyor_owner")
        owner.execute("ALTER TABLE conveyor_history OWNER TO conveyor_owner")
        owner.execute("GRANT SELECT, DELETE ON conveyor_history TO conveyor_reader")
        old_store.migrate()
        owner.execute("SET ROLE conveyor_owner")
        owner.execute("UPDATE conveyor_history SET queue = queue")
        owner.execute("ALTER TABLE conveyor_past_loose SET (fillfactor = 90)")
        owner.execute("SET ROLE conveyor_reader")
        assert owner.execute(everything).fetchone() == (0,)
        owner.execute("DELETE FROM conveyor_history")
        assert owner.execute("SELECT made FROM conveyor_arrange()").fetchone() == (0,)
        for role, refused in (
            ("conveyor_reader", "UPDATE conveyor_history SET queue = queue"),
            ("conveyor_stranger", everything),
        ):
            owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            with pytest.raises(errors.InsufficientPrivilege):
                owner.execute(refused.encode())
        owner.execute("RESET ROLE")
        for name in ("conveyor_owner", "conveyor_reader", "conveyor_stranger"):
            owner.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(name)))
