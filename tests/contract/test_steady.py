"""PostgreSQL: what is planned once, while the tables are empty, is carried out as well when they are full."""

from collections.abc import Iterator

import pytest
from psycopg import sql

from conveyor.core.lifecycle import Event
from conveyor.drivers.postgres import carry
from conveyor.drivers.postgres_wire import Wire
from conveyor.plan import run
from conveyor.store.contract import Store
from conveyor.store.postgres.links import own
from conveyor.store.postgres.sight import LaneSight
from tests.support.explaining import FETCHED
from tests.support.jobs import QUEUE, TASK, Hand, enqueue, new_job, outcome
from tests.support.postgres import PostgresServer
from tests.support.stores import rows

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
        "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements ORDER BY name", prepare=False
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
