"""PostgreSQL: what is planned once, while the tables are empty, is carried out as well when they are full."""

from collections.abc import Iterator
from functools import partial
from threading import Barrier

import psycopg
import pytest
from psycopg import sql

from conveyor.core.lifecycle import Event
from conveyor.drivers.postgres import carry
from conveyor.drivers.postgres_wire import Wire
from conveyor.plan import Plan, Statement, Steps, run
from conveyor.store.contract import Store
from conveyor.store.postgres.links import MOST, own
from conveyor.store.postgres.sight import LaneSight
from tests.support.explaining import FETCHED
from tests.support.jobs import QUEUE, TASK, Hand, enqueue, new_job, new_jobs, outcome
from tests.support.postgres import PostgresServer, session
from tests.support.stores import rows
from tests.support.threads import together

pytestmark = [pytest.mark.parametrize("url", ["postgres"], indirect=True), pytest.mark.smoke]
BACKLOG = 20_000
ROWS = (
    "INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, args) "
    f"SELECT gen_random_uuid(), 'none', '{QUEUE}', 0, i, i, 1, '' FROM generate_series(1, {BACKLOG}) AS i"
)


@pytest.fixture
def connection(store: Store, url: str, postgres_server: PostgresServer) -> Iterator[Wire]:
    """One as the store uses it, and nobody else; past a pooler, if there is one."""
    rows(store, "SELECT 1")
    with own(postgres_server.url(url.rpartition("/")[2]), steady=True) as connection:
        connection.execute("VACUUM ANALYZE conveyor_job, conveyor_queue, conveyor_runner")
        yield connection


def plans(connection: Wire) -> list[str]:
    """How each statement that this connection has prepared will be carried out, whatever its values."""
    found = connection.execute(
        "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements "
        "WHERE parameter_types <> '{}' ORDER BY name",
        prepare=False,
    ).fetchall()
    explain = sql.SQL("EXPLAIN (COSTS OFF) EXECUTE {} ({})")
    return [
        "\n".join(
            str(line)
            for (line,) in connection.execute(
                explain.format(sql.Identifier(name), sql.SQL(", ").join([sql.NULL] * count)), prepare=False
            )
        )
        for name, count in found
    ]


def test_what_is_planned_on_empty_tables_reads_none_from_end_to_end(store: Store, hand: Hand, connection: Wire) -> None:
    """Nor does it join by comparing each with each: a batch may have a thousand."""
    carried, operations = carry(connection), store.operations
    enqueue(store, new_job())
    (job,) = run(operations.claim(hand.id, {QUEUE: 1}, [TASK], LaneSight()), carried)
    run(operations.next_due([QUEUE]), carried)
    run(operations.settle([outcome(job, hand.id, Event.SUCCEED)]), carried)
    run(operations.enqueue([new_job()]), carried)
    claim, due, settle, insert = plans(connection)
    assert "Index Scan using conveyor_job_fetch on conveyor_job" in claim
    assert "Index Only Scan using conveyor_job_fetch on conveyor_job" in due
    assert "Index Scan using conveyor_job_pkey on conveyor_job" in settle
    assert "Hash Join" in settle
    assert "Insert on conveyor_job" in insert
    assert [line for plan in (claim, due, settle) for line in plan.splitlines() if "Seq Scan" in line] == []


def test_a_claim_that_was_planned_before_the_backlog_came_passes_it_by(
    store: Store, hand: Hand, connection: Wire
) -> None:
    carried, sight = carry(connection), LaneSight()
    claim = store.operations.claim(hand.id, {QUEUE: 10}, [TASK], sight)
    for _ in range(3):
        assert not run(claim, carried)
    rows(store, ROWS)
    enqueue(store, *(new_job() for _ in range(3)))
    with connection.transaction():
        before = connection.execute(FETCHED).fetchone() or (0,)
        assert len(run(claim, carried)) == 3
        after = connection.execute(FETCHED).fetchone() or (0,)
    assert 0 < after[0] - before[0] < 1_500  # 201 lanes, each a few pages deep, and three jobs


def test_nor_one_that_was_planned_when_the_statistics_said_that_there_is_nothing(
    store: Store, hand: Hand, connection: Wire
) -> None:
    """A snapshot is held, all jobs end, and ANALYZE finds no row in many pages: then a bitmap seems to cost nothing."""
    carried = carry(connection)
    rows(store, ROWS)
    connection.execute("VACUUM ANALYZE conveyor_job")
    with session(connection.info.dsn) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT 1")
        rows(store, "DELETE FROM conveyor_job")
        connection.execute("VACUUM ANALYZE conveyor_job")
        claim = store.operations.claim(hand.id, {QUEUE: 10}, [TASK], LaneSight())
        assert not run(claim, carried)
        run(store.operations.next_due([QUEUE]), carried)
        claimed, due = plans(connection)
    assert "Index Scan using conveyor_job_fetch" in claimed
    assert "Index Only Scan using conveyor_job_fetch" in due
    assert "Bitmap" not in claimed + due


def test_a_plan_that_no_longer_fits_is_made_anew(store: Store, hand: Hand, url: str) -> None:
    """A migration may change the type of a column while workers run: the first claim after it does not fail either."""
    jobs = new_jobs(4)
    enqueue(store, *jobs)
    first = hand.take_one()
    rows(store, "ALTER TABLE conveyor_job ALTER COLUMN attempt TYPE integer")
    assert [job.id for job in hand.take(3)] == [job.id for job in jobs[1:]]
    hand.end(first, Event.SUCCEED)


@pytest.mark.direct
def test_the_connections_for_steady_plans_are_no_more_on_top(store: Store, url: str) -> None:
    """A process has eight, whatever it does with them."""
    all_there = Barrier(MOST, timeout=10)

    def steps() -> Steps[None]:
        all_there.wait()
        yield Statement("SELECT 1", {})

    for steady in (True, False, True):
        together([partial(store.run, Plan(steps, writes=False, steady=steady))] * MOST)
        with psycopg.connect(url) as watcher:
            here = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            assert watcher.execute(f"{here} AND application_name = 'conveyor'").fetchone() == (MOST,)
