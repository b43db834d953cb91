"""PostgreSQL, with somebody's snapshot held for long: a look-up by id stays a look-up by id.

Nothing that died since can be vacuumed then, and ANALYZE may find that the hot table holds no row at all. 60,000 jobs
go through in batches of 500, ANALYZE runs after each 10,000, and now and then the real statements are explained, with
real values, in a transaction that is rolled back.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import pytest

from conveyor.core import ids
from conveyor.core.errors import DuplicateJob
from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed, Completion, JobFilter, NewJob, Report
from conveyor.core.unique import OnConflict
from conveyor.drivers.postgres import carry
from conveyor.plan import Plan, run
from conveyor.store.answers import Settled
from conveyor.store.postgres.plans import PostgresControl, PostgresOperations
from conveyor.store.postgres.schedules import PostgresSchedules
from conveyor.testing.contract.schedules import edit, move, spec
from tests.conftest import TEMPLATE
from tests.support.explaining import Explainer, by_id
from tests.support.jobs import HOUR, INFO, QUEUE, TASK, Hand, key, new_jobs, outcome
from tests.support.postgres import PostgresServer, session
from tests.support.say import Say
from tests.support.stores import open_store

T = TypeVar("T")

JOBS, BATCH, EVERY = 60_000, 500, 10_000
MEASURED = {10_000, 30_000, JOBS}
BOUNDS = {
    "get": 18,
    "known": 30,
    "repeat_insert": 20,
    "repeat_clean": 20,
    "join": 30,
    "holders": 15,
    "replace": 45,
    "withdraw": 15,
    "settle_final": 42,
    "settle_again": 55,
    "settled": 15,
    "ended_cancelled": 15,
    "report": 60,
    "complete": 30,
    "fire": 60,
    "hold_job": 15,
    "was_ended": 21,
    "still_held": 15,
    "stop": 80,
    "revive_ended": 80,
    "revive_waiting": 40,
    "delete_waiting": 20,
    "delete_ended": 32,
    "prune": 60,
    "renew": 15,
    "retire": 15,
    "register": 15,
    "forget": 15,
}
"""Pages asked for per row, history and the indexes of both tables included; a half more than was ever measured."""
BULK = {"stop", "revive_waiting", "revive_ended", "delete_waiting", "delete_ended"}
"""What people do to hundreds of ids; to find these it is right to read a table of a few pages from end to end."""
NOT_BY_JOB = {"claim", "orphans", "stranded", "pause", "failures", "lock_take", "save_schedules", "outbox_holds"}
NOT_BY_JOB |= {"outbox_own"}
"""They look up a runner, a queue, an error, a name, or what is on its way elsewhere.
A claim's own way has another bound: the claimer's cursor."""
MOVES = {"exported", "known_ids", "restore_jobs", "restore_ended", "restore_schedule", "restore_pause", "set_mark"}
"""What `conveyor move` does once, to a store that is closed."""

FULL: set[str] = set()
"""The partitions of history that hold jobs; an empty one may be read as one likes."""

pytestmark = pytest.mark.timeout(180)
FEW = "never analysed"
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
        self.operations, self.control = PostgresOperations(), PostgresControl()
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

    def do(self, plan: Plan[T]) -> T:
        """Carry *plan* out, unexplained."""
        return run(plan, carry(self.connection))

    def work(self, count: int) -> None:
        """Run *count* jobs; four in a hundred need a second attempt, and as many are given back once.

        Every other batch has unique keys.
        """
        events = {1: Event.RETRY, 2: Event.RELEASE}
        for batch in range(count // BATCH):
            self.do(self.operations.enqueue(keyed() if batch % 2 else new_jobs(BATCH)))
            outcomes = [
                outcome(job, self.hand.id, Event.SUCCEED if job.attempts else events.get(place % 25, Event.SUCCEED))
                for place, job in enumerate(self.hand.take(BATCH))
            ]
            assert self.do(self.operations.settle(outcomes)) == Settled()

    def measure(self, situation: str) -> None:
        """Explain every statement; all of it is taken back."""
        for part in (self.arriving, self.working, self.waiting, self.running, self.ended, self.ticking):
            with self.connection.transaction(force_rollback=True):
                part(situation)

    def explain(self, situation: str, rows: int, *plans: Plan[object], only: str | None = None) -> None:
        """Explain *plans*, each of which is about so many *rows*, and note their statements, or *only* one's."""
        for plan in plans:
            self.explainer.run(plan)
        for seen in self.explainer.seen:
            if only in {None, seen.name}:
                self.notes.append(Measured(situation, seen.name, rows, seen.pages / rows, seen.nodes))
        self.explainer.seen.clear()

    def taken(self) -> Sequence[Claimed]:
        """A batch that was enqueued and claimed just now."""
        self.do(self.operations.enqueue(new_jobs(BATCH)))
        return self.do(self.operations.claim(self.hand.id, {QUEUE: BATCH}, [TASK]))

    def arriving(self, situation: str) -> None:
        """Enqueues that find their ids or their keys taken."""
        operations, jobs = self.operations, keyed()
        self.explain(situation, BATCH, operations.enqueue(jobs))
        self.do(operations.enqueue(jobs))
        self.explain(situation, BATCH, operations.join([job._replace(id=ids.new()) for job in jobs]))
        for on_conflict in ("replace", "raise"):
            second = [twin(job, on_conflict) for job in jobs]
            with contextlib.suppress(DuplicateJob):
                self.explainer.run(operations.join(second if on_conflict == "replace" else [*keyed(), second[0]]))
            self.explain(situation, BATCH)
            with contextlib.suppress(DuplicateJob):
                self.explainer.run(operations.join([second[0]]))
            self.explain(situation, 1)
        self.explain(situation, 1, operations.repeat_enqueue(jobs[:20]), only="known")
        self.explain(situation, BATCH, operations.repeat_enqueue(new_jobs(BATCH)))

    def working(self, situation: str) -> None:
        """What workers write, and ask."""
        operations, taken, runner = self.operations, self.taken(), self.hand.id
        for part in (taken, taken[:1]):
            for event in (Event.SUCCEED, Event.RETRY):
                outcomes = [outcome(job, runner, event) for job in part]
                self.explain(situation, len(part), operations.settle(outcomes))
            reports = [Report(job.id, job.token, runner, b"{}") for job in part]
            self.explain(situation, len(part), operations.report(reports))
        half = [outcome(job, runner, Event.RETRY if place % 2 else Event.SUCCEED) for place, job in enumerate(taken)]
        self.do(operations.settle(half))
        self.explain(situation, len(half), operations.settle(half), only="settled")
        again = new_jobs(BATCH)
        self.do(operations.enqueue(again))
        self.explain(situation, len(again), operations.repeat_enqueue(again))
        (one,) = self.do(operations.claim(runner, {QUEUE: 1}, [TASK]))
        for id_ in (taken[0].id, one.id):
            self.explain(situation, 1, operations.get(id_), operations.confirm(id_, one.token))
        self.explain(situation, 1, operations.complete(Completion(one.id, one.token, runner, b"1", None)))
        for name in (runner, b"\1" * 16):
            self.explain(situation, 1, operations.register(name, INFO, 1), operations.renew([name], 1))
            self.explain(situation, 1, operations.retire(name), operations.forget(name))

    def waiting(self, situation: str) -> None:
        """What people do to jobs that wait, by their ids."""
        control, jobs = self.control, [job._replace(delay=HOUR) for job in new_jobs(BATCH)]
        self.do(self.operations.enqueue(jobs))
        for part in (jobs, jobs[:1]):
            where = JobFilter(ids=tuple(job.id for job in part))
            plans = [control.cancel(where, "enough", BATCH, None), control.hasten(where, BATCH, None)]
            self.explain(situation, len(part), *plans, control.delete_waiting(where, BATCH, None))

    def running(self, situation: str) -> None:
        """Jobs that are asked to stop, and do."""
        taken = self.taken()
        for part in (taken, taken[:1]):
            where = JobFilter(ids=tuple(job.id for job in part))
            self.explain(situation, len(part), self.control.ask(where, "stop", BATCH, None))
        self.do(self.control.ask(JobFilter(ids=tuple(job.id for job in taken)), "stop", BATCH, None))
        for part in (taken, taken[:1]):
            plan = self.operations.settle([outcome(job, self.hand.id, Event.RETRY) for job in part])
            self.explain(situation, len(part), plan)
        plan = self.operations.settle([outcome(job, self.hand.id, Event.RETRY) for job in taken])
        self.do(plan)
        self.explain(situation, len(taken), plan)

    def ended(self, situation: str) -> None:
        """Jobs that are wanted once more, or not any more."""
        taken = self.taken()
        self.do(self.operations.settle([outcome(job, self.hand.id, Event.FAIL) for job in taken]))
        for part in (taken, taken[:1]):
            where = JobFilter(ids=tuple(job.id for job in part))
            plans = [self.control.revive(where, BATCH, None), self.control.delete_ended(where, BATCH, None)]
            self.explain(situation, len(part), *plans)
        self.connection.execute("UPDATE conveyor_history SET delete_after = finished_at WHERE state = 'failed'")
        self.explain(situation, BATCH, self.control.prune(BATCH))

    def ticking(self, situation: str) -> None:
        """Schedules that look whether the job of their tick before has ended, and make one."""
        schedules = PostgresSchedules()
        self.do(schedules.save([edit(f"s{number}", 1, spec(overlap="skip")) for number in range(BATCH)]))
        for _ in range(2):
            moves = [move(row) for row in self.do(schedules.coming(BATCH)).due]
            self.explain(situation, BATCH, schedules.fire(moves), only="fire")
            self.do(schedules.fire(moves))


def keyed() -> list[NewJob]:
    """A batch of jobs with unique keys."""
    return [job._replace(unique=key(job.id.hex())) for job in new_jobs(BATCH)]


def twin(job: NewJob, on_conflict: OnConflict) -> NewJob:
    """Another job of the same key."""
    assert job.unique is not None
    return job._replace(id=ids.new(), unique=job.unique._replace(on_conflict=on_conflict))


@pytest.fixture(scope="module")
def measured(postgres_server: PostgresServer) -> Iterator[list[Measured]]:
    """What was seen in all situations."""
    url = postgres_server.create_database("held", template=TEMPLATE)
    bench = Bench(url)
    parts = [name for (name,) in bench.connection.execute("SELECT name FROM conveyor_partition").fetchall()]
    for table in ("conveyor_job", *parts):  # when it comes, and what it then sees, is anybody's guess
        bench.connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
    bench.work(6 * BATCH)  # a table of a few pages is read from end to end, and should be
    bench.measure(FEW)
    with session(url) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM conveyor_job")
        for done in range(EVERY, JOBS + 1, EVERY):
            bench.work(EVERY)
            for table in ("conveyor_job", "conveyor_past"):
                bench.connection.execute(f"ANALYZE {table}".encode())
            if done in MEASURED:
                bench.measure(f"held, {done:,} jobs")
    bench.connection.execute(
        "INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, args)"
        "SELECT gen_random_uuid(), 'none', 'other', 0, i, i, 1, '' FROM generate_series(1, 200000) AS i"
    )
    bench.measure("huge, not analysed")
    bench.connection.execute("VACUUM ANALYZE conveyor_job, conveyor_past")
    bench.measure("huge, analysed")
    FULL.update(
        name for (name,) in bench.connection.execute("SELECT DISTINCT tableoid::regclass::text FROM conveyor_past")
    )
    yield bench.notes
    bench.close()
    postgres_server.drop_database("held")


def test_every_statement_that_looks_up_by_id_is_measured(measured: list[Measured]) -> None:
    assert by_id() - NOT_BY_JOB - MOVES <= set(BOUNDS)
    assert {seen.name for seen in measured} >= set(BOUNDS)


@STATEMENTS
def test_few_pages_are_touched_for_each_row(measured: list[Measured], name: str, say: Say) -> None:
    mine = [seen for seen in measured if seen.name == name]
    say(f"{name}: {min(seen.pages for seen in mine):.1f} to {max(seen.pages for seen in mine):.1f} pages")
    assert [seen for seen in mine if seen.pages > BOUNDS[name]] == []


@STATEMENTS
def test_no_table_of_jobs_is_read_from_end_to_end(measured: list[Measured], name: str) -> None:
    whole = {"Seq Scan conveyor_job", *(f"Seq Scan {part}" for part in FULL)}
    read = [
        f"{seen.situation}, {seen.rows} rows, {seen.pages:.1f} pages each: {', '.join(seen.nodes)}"
        for seen in measured
        if seen.name == name and whole & set(seen.nodes) and not (name in BULK and seen.situation == FEW)
    ]
    assert not read, "\n".join(read)
