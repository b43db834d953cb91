"""PostgreSQL: a claimer begins where it has ended, and yet leaves no job behind.

Its clock stands still unless a test moves it, so that "within a second" is one step here, however slow the machine is.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.rows import TupleRow

from conveyor.core.lifecycle import Event
from conveyor.core.model import NewJob
from conveyor.drivers.postgres import adapt, carry
from conveyor.plan import run
from conveyor.store.contract import Store
from conveyor.store.postgres.sight import GRACE, SEARCH, STEP_BACK, WIDE
from tests.support.explaining import steps_of
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, Hire, enqueue, new_job, new_jobs
from tests.support.postgres import session
from tests.support.seer import Seer
from tests.support.stores import number, rows
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("url", ["postgres"], indirect=True)

STEP = STEP_BACK + 0.01
MOST_STEPS = 25
"""Steps in which old times are searched from one end to the other."""
Connection = psycopg.Connection[TupleRow]


@pytest.fixture
def seer(hand: Hand) -> Seer:
    return Seer(hand)


@pytest.fixture
def other(url: str) -> Iterator[Callable[[], Connection]]:
    """Opens connections of somebody else's, with a transaction each."""
    with ExitStack() as stack:

        def opened() -> Connection:
            connection = stack.enter_context(psycopg.connect(url))
            adapt(connection)
            return connection

        yield opened


def stored_by(connection: Connection, store: Store, *jobs: NewJob) -> None:
    """Enqueue in the transaction of *connection*, which stays open."""
    run(store.operations.join(jobs), carry(connection))


def let_pass(seer: Seer, store: Store, *, after: float = 0.0) -> None:
    """Have the cursor go beyond all that was stamped until now."""
    now = number(store, "SELECT conveyor_now()")
    until(lambda: number(store, "SELECT conveyor_now()") > now + 2 * GRACE)
    seer.work(after=after)
    assert seer.lane().at > now


def test_the_cursor_follows_what_is_taken_and_stays_a_little_behind_the_present(seer: Seer, store: Store) -> None:
    enqueue(store, *new_jobs(30))
    now = number(store, "SELECT conveyor_now()")
    until(lambda: number(store, "SELECT conveyor_now()") > now)
    first = seer.claim(10)
    assert seer.lane().at == first[-1].run_after
    assert len(seer.claim(100)) == 20
    assert seer.sight.until is not None
    assert seer.lane().at == seer.sight.until - GRACE
    assert not seer.claim()


def test_a_commit_that_rings_is_claimed_at_once_however_old_its_stamp_is(
    seer: Seer, store: Store, other: Callable[[], Connection]
) -> None:
    connection, job = other(), new_job(priority=7)
    stored_by(connection, store, job)
    due = run_after(connection, job)
    let_pass(seer, store)
    seer.claim(after=WIDE)
    connection.commit()
    assert not seer.claim()
    seer.sight.hear(QUEUE, 7, due)
    seer.sight.hear(QUEUE, 7, due + 1)
    seer.sight.hear("not ours", 7, due)
    assert [taken.id for taken in seer.claim()] == [job.id]


def test_a_late_commit_that_nobody_hears_is_found_by_the_next_step_back(
    seer: Seer, store: Store, other: Callable[[], Connection]
) -> None:
    """While its transaction goes on the floor stays below its stamp, however many steps are made."""
    connection, job = other(), new_job()
    stored_by(connection, store, job)
    due = run_after(connection, job)
    for _ in range(5):
        enqueue(store, *new_jobs(3))
        let_pass(seer, store, after=STEP)
        assert seer.lane().floor <= due < seer.lane().at
    connection.commit()
    assert seer.work(after=STEP) == [job.id]
    for _ in range(4):
        let_pass(seer, store, after=STEP)
    assert seer.lane().floor > due


def test_a_late_commit_into_a_backlog_is_found_too(seer: Seer, store: Store, other: Callable[[], Connection]) -> None:
    """There the cursor is far from the present, and floors lie where the cursor was."""
    connection, late, jobs = other(), new_job(), new_jobs(200)
    stored_by(connection, store, late)
    enqueue(store, *jobs)
    let_pass_time(store)
    done = [id_ for _ in range(5) for id_ in seer.work(10, after=STEP)]
    connection.commit()
    done += [id_ for _ in range(3) for id_ in seer.work(10, after=STEP)]
    assert late.id in done
    done += [id_ for _ in range(20) for id_ in seer.work(10, after=STEP)]
    assert sorted(done) == sorted([late.id, *(job.id for job in jobs)])


def test_who_only_reads_does_not_hold_the_floor_back(seer: Seer, store: Store, other: Callable[[], Connection]) -> None:
    reader = other()
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT count(*) FROM conveyor_job")
    began = number(store, "SELECT conveyor_now()")
    for _ in range(5):
        enqueue(store, *new_jobs(3))
        let_pass(seer, store, after=STEP)
    assert seer.lane().floor > began


def test_a_row_that_another_claimer_had_locked_and_did_not_take_is_found_again(
    seer: Seer, store: Store, other: Callable[[], Connection]
) -> None:
    """As one that was killed in the middle of its claim."""
    jobs, connection = new_jobs(10), other()
    enqueue(store, *jobs)
    let_pass_time(store)
    connection.execute("SELECT 1 FROM conveyor_job ORDER BY run_after LIMIT 4 FOR UPDATE")
    assert seer.work() == [job.id for job in jobs[4:]]
    for _ in range(3):
        assert not seer.work(after=STEP)
    connection.rollback()
    assert seer.work(after=STEP) == [job.id for job in jobs[:4]]


def test_a_row_that_was_locked_in_an_old_backlog_is_found_by_the_next_step_back(
    seer: Seer, store: Store, other: Callable[[], Connection]
) -> None:
    """The floor lies where the cursor was, and not at the time when it was there; a search would need many steps."""
    jobs, connection = new_jobs(100), other()
    enqueue(store, *jobs)
    waiting = "(SELECT count(*) FROM conveyor_job o WHERE o.run_after >= j.run_after)"
    rows(store, f"UPDATE conveyor_job j SET run_after = conveyor_now() - {HOUR} * {waiting}")
    for _ in range(5):
        seer.work(10, after=STEP)
    connection.execute("SELECT 1 FROM conveyor_job ORDER BY run_after LIMIT 4 FOR UPDATE")
    assert seer.work(10) == [job.id for job in jobs[54:64]]
    connection.rollback()
    assert seer.work(10, after=STEP)[:4] == [job.id for job in jobs[50:54]]


def test_what_lies_far_behind_the_cursor_for_no_reason_is_found_by_searching(seer: Seer, store: Store) -> None:
    """Nothing of ours puts a job there; but a hand may, and a job must not be lost for it."""
    let_pass(seer, store, after=STEP)
    for _ in range(4):
        enqueue(store, *new_jobs(2))
        let_pass(seer, store, after=STEP)
    ages = {new_job(): HOUR // 60, new_job(priority=-3): 50 * HOUR, new_job(): 9_000 * HOUR}
    enqueue(store, *ages)
    for job, age in ages.items():
        rows(store, f"UPDATE conveyor_job SET run_after = run_after - {age} WHERE id = '{job.id.hex()}'")
    found = [id_ for _ in range(MOST_STEPS) for id_ in seer.work(after=SEARCH + 1)]
    assert sorted(found) == sorted(job.id for job in ages)


def test_a_job_that_is_made_ready_again_is_in_front_of_the_cursor(seer: Seer, store: Store) -> None:
    jobs = new_jobs(3)
    enqueue(store, *jobs)
    let_pass_time(store)
    taken = seer.claim()
    let_pass(seer, store, after=STEP)
    for job, event in zip(taken, (Event.RETRY, Event.RELEASE, Event.SNOOZE), strict=True):
        seer.hand.end(job, event)
    assert {job.id for job in seer.claim()} == {job.id for job in jobs}


def test_a_time_in_the_past_is_now(seer: Seer, store: Store) -> None:
    """Whatever the clocks of those who enqueue show, no job is stored behind what was seen."""
    let_pass(seer, store)
    jobs = [job._replace(due=due) for job, due in zip(new_jobs(3), (1, 0, HOUR), strict=True)]
    enqueue(store, *jobs)
    let_pass_time(store)
    seer.claim(after=WIDE)
    assert set(seer.taken) == {job.id for job in jobs}


def test_jobs_of_two_hundred_priorities_are_claimed_in_order(seer: Seer, store: Store) -> None:
    jobs = [new_job(priority=priority) for priority in range(-100, 101) if priority]
    shuffled = random.Random(4).sample(jobs, len(jobs))
    enqueue(store, *shuffled)
    let_pass_time(store)
    taken = [id_ for _ in range(70) for id_ in seer.work(3)]
    assert taken == [job.id for job in reversed(jobs)]


def test_a_priority_that_had_no_jobs_before_is_looked_for_now_and_then(seer: Seer, store: Store) -> None:
    enqueue(store, *new_jobs(50))
    let_pass_time(store)
    seer.claim(5)
    urgent = new_job(priority=100)
    enqueue(store, urgent)
    let_pass_time(store)
    assert urgent.id not in [job.id for job in seer.claim(5)]
    assert seer.claim(5, after=WIDE)[0].id == urgent.id


def test_a_hundred_thousand_jobs_of_unknown_tasks_are_passed_once(seer: Seer, store: Store) -> None:
    rows(
        store,
        "INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, args) "
        f"SELECT gen_random_uuid(), 'of others', '{QUEUE}', 0, i, i, 1, '' FROM generate_series(1, 100000) AS i",
    )
    job = new_job()
    enqueue(store, job)
    let_pass_time(store)
    assert seer.work() == [job.id]
    assert min(lane.since for lane in seer.sight.look({QUEUE: 1}) if lane.priority == 0) > 100_000


def test_a_paused_queue_is_not_passed(seer: Seer, store: Store) -> None:
    job = new_job()
    seer.claim()
    store.run(store.control.pause(QUEUE))
    enqueue(store, job)
    let_pass_time(store)
    for _ in range(3):
        assert not seer.claim(after=STEP)
    store.run(store.control.resume(QUEUE))
    assert seer.work() == [job.id]


def test_who_has_lost_the_lease_passes_nothing(seer: Seer, store: Store, hire: Hire) -> None:
    job = new_job()
    seer.claim()
    seer.hand.die()
    enqueue(store, job)
    let_pass_time(store)
    for _ in range(3):  # the first also searches old times, and would find what it has passed
        assert not seer.claim(after=STEP)
    seer.hand = hire()
    assert seer.work() == [job.id]


def test_a_claim_that_failed_passes_nothing(seer: Seer, store: Store) -> None:
    job = new_job()
    enqueue(store, job)
    let_pass_time(store)
    rows(store, "ALTER TABLE conveyor_job RENAME TO conveyor_away")
    with pytest.raises(Exception, match="conveyor_job"):
        seer.claim()
    rows(store, "ALTER TABLE conveyor_away RENAME TO conveyor_job")
    assert seer.work() == [job.id]


def test_a_clock_that_goes_back_has_everything_looked_at_anew(seer: Seer, store: Store) -> None:
    """As after the failover to a server whose clock is behind."""
    let_pass(seer, store)
    assert seer.sight.until is not None
    for lane in seer.sight.lanes[QUEUE].values():
        lane.at += HOUR
    seer.sight.until += HOUR
    job = new_job()
    enqueue(store, job)
    let_pass_time(store)
    seer.work()
    assert [*seer.taken, *seer.work()] == [job.id]
    let_pass(seer, store, after=STEP)
    assert not seer.sight.whole


class Turmoil:
    """Two claimers, transactions that stay open, rows that are locked: steps in any order."""

    def __init__(self, store: Store, hire: Hire, other: Callable[[], Connection], seed: int) -> None:
        self.store, self.chance = store, random.Random(seed)
        self.seers = [Seer(hire()), Seer(hire())]
        self.writers, self.lockers = [other() for _ in range(3)], [other() for _ in range(2)]
        self.jobs: list[NewJob] = []
        self.acts = (
            [self.enqueue] * 3 + [self.store_late, self.commit] * 2 + [self.lock, self.unlock] + [self.claim] * 3
        )

    def made(self) -> list[NewJob]:
        new = [new_job(priority=self.chance.choice((0, 0, 0, 5, -5))) for _ in range(self.chance.randint(1, 4))]
        self.jobs += new
        return new

    def enqueue(self) -> None:
        enqueue(self.store, *self.made())

    def store_late(self) -> None:
        stored_by(self.chance.choice(self.writers), self.store, *self.made())

    def commit(self) -> None:
        self.chance.choice(self.writers).commit()

    def lock(self) -> None:
        text = "SELECT 1 FROM conveyor_job ORDER BY random() LIMIT 3 FOR UPDATE SKIP LOCKED"
        self.chance.choice(self.lockers).execute(text)

    def unlock(self) -> None:
        self.chance.choice(self.lockers).rollback()

    def claim(self) -> None:
        after = self.chance.choice((0.0, WIDE, STEP))
        self.chance.choice(self.seers).claim(self.chance.choice((2, 100)), after=after)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_in_between_none_is_left_behind(
    store: Store, hire: Hire, other: Callable[[], Connection], seed: int
) -> None:
    turmoil = Turmoil(store, hire, other, seed)
    for _ in range(150):
        turmoil.chance.choice(turmoil.acts)()
    for connection in (*turmoil.writers, *turmoil.lockers):
        connection.commit()
    let_pass_time(store)
    first, second = turmoil.seers
    for _ in range(MOST_STEPS):
        first.claim(after=SEARCH + 1)  # a row may have been locked each time that a cursor came by
    assert sorted(first.taken + second.taken) == sorted(job.id for job in turmoil.jobs)


def test_a_claim_of_many_queues_is_planned_as_the_small_thing_that_it_is(seer: Seer, store: Store, url: str) -> None:
    """A server compiles what it takes for dear (from 100,000 on), which takes longer than a claim, each time."""
    room = {f"queue {number}": 100 for number in range(20)}
    with session(url) as connection:
        steps = steps_of(connection, store.operations.claim(seer.hand.id, room, [TASK], seer.sight))
    assert steps[0]["Total Cost"] < 50_000


def let_pass_time(store: Store) -> None:
    """So that all that was enqueued is due, and for longer than claims leave to late commits: they might pass it."""
    now = number(store, "SELECT greatest(conveyor_now(), max(run_after)) FROM conveyor_job WHERE task = '" + TASK + "'")
    until(lambda: number(store, "SELECT conveyor_now()") > now + 2 * GRACE)


def run_after(connection: Connection, job: NewJob) -> int:
    """When *job*, which nobody else can see yet, is due."""
    row = connection.execute("SELECT run_after FROM conveyor_job WHERE id = %s::uuid", (job.id.hex(),)).fetchone()
    assert row is not None
    return int(row[0])
