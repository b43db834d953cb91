"""PostgreSQL, with somebody's snapshot held for long: a look-up by id stays a look-up by id.

Nothing that died since can be vacuumed then, and ANALYZE may find that the hot table holds no row at all. 60,000 jobs
go through in batches of 500, ANALYZE runs after each 10,000, and then the real statements are explained, with real
values, in a transaction that is rolled back.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from conveyor.core.lifecycle import Event
from conveyor.drivers.postgres import carry
from conveyor.plan import run
from conveyor.store.postgres.plans import PostgresOperations
from tests.conftest import TEMPLATE
from tests.support.explaining import Explainer, by_id
from tests.support.jobs import INFO, QUEUE, TASK, Hand, new_jobs, outcome
from tests.support.postgres import PostgresServer, session
from tests.support.stores import open_store

JOBS, BATCH, EVERY = 60_000, 500, 10_000
BOUNDS = {
    "get": 15,
    "repeat_insert": 20,
    "repeat_clean": 20,
    "settle_final": 30,
    "settle_again": 45,
    "settled": 15,
    "renew": 15,
    "retire": 15,
    "register": 15,
    "forget": 15,
}
"""Pages asked for per row, history and the indexes of both tables included; a half more than was ever measured."""
NOT_BY_JOB = {"claim", "orphans"}
"""They look up a runner by its id. A claim's own way through the queue has another bound: the claimer's cursor."""

pytestmark = pytest.mark.timeout(180)
STATEMENTS = pytest.mark.parametrize("name", BOUNDS)


class Measured(NamedTuple):
    """One statement, explained in one situation."""

    situation: str
    name: str
    rows: int
    pages: float
    """For each row."""
    nodes: tuple[str, ...]


class Bench:
    """A database in which jobs are run by hand, and a notebook."""

    def __init__(self, url: str) -> None:
        self.operations = PostgresOperations()
        self.connection = session(url)
        self.connection.autocommit = True
        self.explainer = Explainer(self.connection)
        self.store = open_store(url)
        self.hand = Hand(self.store, seconds=600)
        self.notes: list[Measured] = []

    def close(self) -> None:
        self.hand.die()
        self.store.close()
        self.connection.close()

    def work(self, count: int) -> None:
        """Run *count* jobs; four in a hundred need a second attempt, and as many are given back once."""
        events = {1: Event.RETRY, 2: Event.RELEASE}
        for _ in range(count // BATCH):
            run(self.operations.enqueue(new_jobs(BATCH)), carry(self.connection))
            outcomes = [
                outcome(job, self.hand.id, Event.SUCCEED if job.attempts else events.get(place % 25, Event.SUCCEED))
                for place, job in enumerate(self.hand.take(BATCH))
            ]
            assert run(self.operations.settle(outcomes), carry(self.connection)) == frozenset()

    def measure(self, situation: str) -> None:
        """Explain every statement; all of it is taken back."""
        operations, explainer = self.operations, self.explainer
        jobs = new_jobs(BATCH)
        with self.connection.transaction(force_rollback=True):
            run(operations.enqueue(jobs), carry(self.connection))
            taken = run(operations.claim(self.hand.id, {QUEUE: BATCH}, [TASK]), carry(self.connection))
            for part in (taken, taken[:1]):
                for event in (Event.SUCCEED, Event.RETRY):
                    explainer.run(operations.settle([outcome(job, self.hand.id, event) for job in part]))
                    self.note(situation, len(part))
            half = [
                outcome(job, self.hand.id, Event.RETRY if place % 2 else Event.SUCCEED)
                for place, job in enumerate(taken)
            ]
            run(operations.settle(half), carry(self.connection))
            explainer.run(operations.settle(half))
            self.note(situation, len(half), only={"settled"})
            explainer.run(operations.repeat_enqueue(jobs))
            self.note(situation, len(jobs))
            for id_ in (taken[0].id, jobs[-1].id):
                explainer.run(operations.get(id_))
            for runner in (self.hand.id, b"\1" * 16):
                explainer.run(operations.register(runner, INFO, 1))
                explainer.run(operations.renew(runner, 1))
                explainer.run(operations.retire(runner))
                explainer.run(operations.forget(runner))
            self.note(situation, 1)

    def note(self, situation: str, rows: int, *, only: set[str] | None = None) -> None:
        for seen in self.explainer.seen:
            if only is None or seen.name in only:
                self.notes.append(Measured(situation, seen.name, rows, seen.pages / rows, seen.nodes))
        self.explainer.seen.clear()


@pytest.fixture(scope="module")
def measured(postgres_server: PostgresServer) -> Iterator[list[Measured]]:
    """What was seen in all situations."""
    url = postgres_server.create_database("held", template=TEMPLATE)
    bench = Bench(url)
    bench.work(6 * BATCH)  # a table of a few pages is read from end to end, and should be
    bench.measure("never analysed")
    with session(url) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM conveyor_job")
        for done in range(EVERY, JOBS + 1, EVERY):
            bench.work(EVERY)
            for table in ("conveyor_job", "conveyor_history"):
                bench.connection.execute(f"ANALYZE {table}".encode())
            bench.measure(f"held, {done:,} jobs")
    bench.connection.execute(
        "INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, args)"
        "SELECT gen_random_uuid(), 'none', 'other', 0, i, i, 1, '' FROM generate_series(1, 200000) AS i"
    )
    bench.measure("huge, not analysed")
    bench.connection.execute("VACUUM ANALYZE conveyor_job, conveyor_history")
    bench.measure("huge, analysed")
    yield bench.notes
    bench.close()
    postgres_server.drop_database("held")


def test_every_statement_that_looks_up_by_id_is_measured(measured: list[Measured]) -> None:
    assert by_id() - NOT_BY_JOB <= set(BOUNDS)
    assert {seen.name for seen in measured} >= set(BOUNDS)


@STATEMENTS
def test_few_pages_are_touched_for_each_row(
    measured: list[Measured], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = [seen for seen in measured if seen.name == name]
    with capsys.disabled():
        print(f"\n{name}: {min(s.pages for s in mine):.1f} to {max(s.pages for s in mine):.1f} pages", end=" ")  # noqa: T201 - the figure is the point of the test
    assert [seen for seen in mine if seen.pages > BOUNDS[name]] == []


@STATEMENTS
def test_no_table_of_jobs_is_read_from_end_to_end(measured: list[Measured], name: str) -> None:
    whole = {"Seq Scan conveyor_job", "Seq Scan conveyor_history"}
    read = [
        f"{seen.situation}, {seen.rows} rows, {seen.pages:.1f} pages each: {', '.join(seen.nodes)}"
        for seen in measured
        if seen.name == name and whole & set(seen.nodes)
    ]
    assert not read, "\n".join(read)
