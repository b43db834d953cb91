"""PostgreSQL: ended jobs lie in partitions by the day on which they go, and go with them."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from conveyor.core import ids
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter, NewJob
from conveyor.store.answers import Arranged
from conveyor.store.contract import Store
from tests.support.before import DELETE_ENDED, PRUNE, REVIVE_ENDED
from tests.support.jobs import Hand, Hire, enqueue, new_job, new_jobs, outcome, see
from tests.support.postgres import session
from tests.support.stores import age, number, rows, tables
from tests.support.waiting import until

DAY = 86_400_000_000
CLOCK = (
    "CREATE OR REPLACE FUNCTION conveyor_now() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE "
    "RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + {}"
)


def go_on(url: str, days: int) -> None:
    """Let the store's clock say noon, so many days from today."""
    with psycopg.connect(url) as owner:
        now = datetime.now(UTC)
        ahead = now.replace(hour=12, minute=0) - now + timedelta(days=days)
        owner.execute(sql.SQL(CLOCK).format(sql.Literal(ahead // timedelta(microseconds=1))))


@pytest.fixture
def url(postgres_url: str) -> str:
    """It is noon: no test begins on one day and ends on the next."""
    go_on(postgres_url, 0)
    return postgres_url


def arrange(store: Store) -> Arranged:
    return store.run(store.control.arrange())


def keeping(*days: float) -> list[NewJob]:
    """Jobs that stay for so long; less than nothing is for ever."""
    return [new_job()._replace(keep=round(stay * DAY) if stay >= 0 else -1) for stay in days]


def end(store: Store, hand: Hand, jobs: Sequence[NewJob], event: Event = Event.SUCCEED) -> None:
    enqueue(store, *jobs)
    hand.settle(*(outcome(job, hand.id, event) for job in hand.take(len(jobs))))


def places(store: Store) -> Counter[str]:
    """How many ended jobs lie in each part of history; a partition's date is told as the days from today."""
    found: Counter[str] = Counter()
    for part, _ in rows(store, "SELECT tableoid::regclass::text, id FROM conveyor_past"):
        name = str(part).removeprefix("conveyor_past_")
        dated = re.fullmatch(r"([dm])(\d{8})", name)
        if dated:
            start = datetime.strptime(dated[2], "%Y%m%d").replace(tzinfo=UTC)
            name = f"{dated[1]}{(start - datetime.now(UTC)) // timedelta(days=1) + 1}"
        found[name] += 1
    return found


def partitions(store: Store) -> int:
    return number(store, "SELECT count(*) FROM conveyor_partition")


def test_a_job_that_stays_as_usual_goes_with_all_others_of_its_day(store: Store, hand: Hand, url: str) -> None:
    end(store, hand, new_jobs(3))
    assert places(store) == {"d30": 3}
    go_on(url, 30)
    assert arrange(store).dropped == 0
    assert tables(store) == (0, 3)
    go_on(url, 31)
    assert arrange(store).dropped == 1
    assert tables(store) == (0, 0)


def test_what_stays_for_hours_for_years_or_for_ever_goes_by_itself(store: Store, hand: Hand, url: str) -> None:
    jobs = keeping(0, 0.99, 367, -1)
    end(store, hand, jobs)
    assert places(store) == {"loose": 4}
    assert [store.run(store.operations.prunable()), store.run(store.control.prune(10))] == [1, 1]
    go_on(url, 368)
    assert store.run(store.control.prune(10)) == 2
    assert see(store, jobs[-1].id).state is State.SUCCEEDED


def test_where_there_is_no_partition_a_job_lies_astray_and_partitions_are_made_for_the_next(
    store: Store, hand: Hand, url: str
) -> None:
    first = partitions(store)
    end(store, hand, keeping(7, 90))
    assert places(store) == {"stray": 2}
    made = arrange(store).made
    assert (arrange(store), partitions(store)) == (Arranged(), first + made)
    assert made == 30 + 16 - 2  # not for the stretches that those two are a part of
    end(store, hand, keeping(1, 6, 7, 8, 31, 33, 366))
    after = places(store)
    assert after["stray"] == 3
    assert after.total() == 9
    assert {"d1", "d6", "d8", "d31"} <= set(after)
    go_on(url, 10)
    assert arrange(store).dropped == 10 - 1
    assert store.run(store.control.prune(10)) == 2
    assert tables(store) == (0, 4)
    go_on(url, 2000)
    arrange(store)
    assert store.run(store.control.prune(10)) == 1
    assert tables(store) == (0, 0)


def test_none_is_made_while_so_much_lies_astray_that_all_would_wait_for_long(
    store: Store, hand: Hand, url: str
) -> None:
    """Each that is attached has all that is astray read. The bound is made small here."""
    end(store, hand, keeping(7))
    with psycopg.connect(url, autocommit=True) as owner:
        found = owner.execute("SELECT pg_get_functiondef('conveyor_arrange'::regproc)").fetchone()
        assert found is not None
        owner.execute(str(found[0]).replace("268435456", "8192").encode())
    assert arrange(store) == Arranged()


def test_there_are_never_more_than_64(store: Store, hand: Hand, url: str) -> None:
    end(store, hand, keeping(2, 40))
    with session(url) as owner:
        for place in range(24):
            owner.execute(
                f"CREATE TABLE extra_{place} PARTITION OF conveyor_past "
                f"FOR VALUES FROM ({2**60 + place}) TO ({2**60 + place + 1})"
            )
    arrange(store)
    assert partitions(store) == 64
    assert arrange(store) == Arranged()


def test_many_workers_arrange_at_once_and_each_partition_is_made_once(
    opened: Callable[[], Store], store: Store, hand: Hand
) -> None:
    end(store, hand, keeping(7))
    stores = [opened() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        done = [answer.result() for answer in [pool.submit(arrange, one) for one in stores]]
    made = [one.made for one in done if one.made]
    until(lambda: arrange(store) == Arranged())
    assert sum(made) in {0, 29}
    assert number(store, "SELECT count(*) FROM conveyor_partition_wanted") == 0


def test_whoever_reads_for_long_is_not_disturbed_and_disturbs_nobody(store: Store, hire: Hire, url: str) -> None:
    end(store, hire(), new_jobs(3))
    go_on(url, 31)
    with session(url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT count(*) FROM conveyor_history").fetchone() == (3,)
        assert arrange(store) == Arranged(held=True)
        assert reader.execute("SELECT count(*) FROM conveyor_history").fetchone() == (3,)
        end(store, hire(), new_jobs(2))
        assert tables(store) == (0, 5)
    assert arrange(store).dropped == 1
    assert tables(store) == (0, 2)


def test_a_lock_that_is_not_given_at_once_is_not_waited_for(store: Store, hand: Hand, url: str) -> None:
    """Who comes between the look at who is there and the lock."""
    end(store, hand, new_jobs(3))
    go_on(url, 31)
    rows(store, "CREATE OR REPLACE FUNCTION conveyor_occupied(tables oid[]) RETURNS boolean LANGUAGE sql RETURN false")
    with session(url) as reader:
        reader.execute("SELECT count(*) FROM conveyor_history")
        assert arrange(store) == Arranged(held=True)
    assert tables(store) == (0, 3)
    assert arrange(store).dropped == 1


def test_a_worker_without_the_right_to_make_tables_makes_them(store: Store, hand: Hand, url: str) -> None:
    end(store, hand, keeping(7))
    rows(store, "CREATE ROLE conveyor_porter")
    try:
        with session(url) as worker:
            worker.execute("SET ROLE conveyor_porter")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), worker.transaction():
                worker.execute("SELECT count(*) FROM conveyor_history")
            assert worker.execute("SELECT made FROM conveyor_arrange()").fetchone() == (29,)
    finally:
        rows(store, "DROP ROLE conveyor_porter")


def test_a_job_that_was_in_the_way_of_time_is_found_deleted_and_run_again_wherever_it_lies(
    store: Store, hand: Hand
) -> None:
    jobs = keeping(7, 90, 30, 33, -1)
    end(store, hand, jobs[:2], Event.FAIL)
    arrange(store)
    end(store, hand, jobs[2:], Event.FAIL)
    assert len(places(store)) == 4
    assert [see(store, job.id).state for job in jobs] == [State.FAILED] * 5
    failed = JobFilter(states=(State.FAILED,))
    assert store.run(store.control.delete_ended(JobFilter(ids=(jobs[1].id, jobs[3].id)), 10, None)).changed == 2
    listed = store.run(store.operations.list(failed, limit=10, after=None, direction="oldest"))
    assert [ids.parse(info.id) for info in listed] == sorted(job.id for job in (jobs[0], jobs[2], jobs[4]))
    assert store.run(store.control.revive(failed, 10, None)).changed == 3
    assert tables(store) == (3, 0)


@pytest.mark.parametrize("late", [False, True])
def test_the_statements_of_the_version_before_touch_no_job_but_those_they_mean(
    store: Store, hand: Hand, late: bool
) -> None:
    """They name rows by ctid, and each part of history has rows of the same ctid."""
    jobs = keeping(0, 30, 90, 400)
    for job in jobs:
        end(store, hand, [job], Event.FAIL)
    assert len({ctid for (ctid,) in rows(store, "SELECT ctid::text FROM conveyor_past")}) < len(jobs)
    if late:
        arrange(store)
    rows(store, PRUNE)
    assert tables(store) == (0, 3)
    rows(store, DELETE_ENDED.format(where=f"id = '{jobs[1].id.hex()}'"))
    assert tables(store) == (0, 2)
    rows(store, REVIVE_ENDED.format(where=f"id = '{jobs[2].id.hex()}'"))
    assert tables(store) == (1, 1)
    assert [see(store, job.id).state for job in jobs[2:]] == [State.READY, State.FAILED]


def test_a_job_is_never_in_history_twice(opened: Callable[[], Store], store: Store, hire: Hire) -> None:
    """No key forbids it any more: settles and enqueues are repeated, as after lost answers, all at the same time."""
    hand, others = hire(), [opened() for _ in range(3)]
    for _ in range(5):
        jobs = [job._replace(keep=place % 3 * DAY) for place, job in enumerate(new_jobs(40))]
        enqueue(store, *jobs)
        outcomes = [outcome(job, hand.id, Event.SUCCEED) for job in hand.take(40)]
        settle, repeat = store.operations.settle, store.operations.repeat_enqueue
        with ThreadPoolExecutor(4) as pool:
            acts = [
                pool.submit(store.run, settle(outcomes)),
                pool.submit(others[0].run, repeat(jobs)),
                pool.submit(others[1].run, settle(outcomes[::-1])),
                pool.submit(others[2].run, repeat(jobs[::-1])),
            ]
            assert all(act.result() is not None for act in acts)
        arrange(store)
    assert number(store, "SELECT count(DISTINCT id) FROM conveyor_history") == 200
    assert tables(store) == (0, 200)


def test_the_look_up_of_one_job_reads_no_table_from_end_to_end_even_one_that_was_empty(
    store: Store, hand: Hand, url: str
) -> None:
    """Its plan is kept, and may have been made before there was anything to find."""
    with session(url) as reader:
        reader.autocommit = True
        for _ in range(10):
            reader.execute("SELECT * FROM conveyor_ended(gen_random_uuid())")
        end(store, hand, new_jobs(300))
        (job,) = keeping(30)
        end(store, hand, [job])
        reader.execute("SELECT pg_stat_force_next_flush()")
        for _ in range(20):
            found = reader.execute("SELECT id FROM conveyor_ended(%s)", (job.id.hex(),)).fetchall()
            assert len(found) == 1
        reader.execute("SELECT pg_stat_force_next_flush()")
        scans = "SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_user_tables WHERE relname LIKE 'conveyor_past_d%'"
        before = reader.execute(scans).fetchone()
        for _ in range(20):
            reader.execute("SELECT id FROM conveyor_ended(%s)", (job.id.hex(),))
        reader.execute("SELECT pg_stat_force_next_flush()")
        assert reader.execute(scans).fetchone() == before


def test_what_has_ended_long_ago_goes_though_its_partition_was_never_dropped(store: Store, hand: Hand) -> None:
    end(store, hand, new_jobs(3))
    age(store, 33 * 86_400)
    assert store.run(store.control.prune(10)) == 3
    assert tables(store) == (0, 0)


def test_a_session_that_was_there_before_a_partition_was_made_writes_to_it(
    store: Store, opened: Callable[[], Store], hire: Hire
) -> None:
    other = opened()
    hand = hire(other)
    end(other, hand, keeping(7))
    arrange(store)
    end(other, hand, keeping(9))
    assert places(store) == {"stray": 1, "d9": 1}
