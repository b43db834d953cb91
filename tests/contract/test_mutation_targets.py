"""What ``tools/mutants.py`` breaks and no other test would notice."""

from collections.abc import Iterator

import pytest

from conveyor.drivers.postgres import carry
from conveyor.plan import run
from conveyor.store.contract import Rescued, Store
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, Hire, enqueue, new_job, new_jobs, see
from tests.support.postgres import session
from tests.support.stores import number, rows
from tests.support.waiting import until

CLAIM_CHANGES = {"state", "runner", "attempt", "token", "started_at", "last_attempted_at"}
SQLITE_INDEXES = """
    SELECT list.name, list.partial, info.name FROM pragma_index_list('conveyor_job') AS list
    CROSS JOIN pragma_index_info(list.name) AS info
"""
POSTGRES_INDEXES = """
    SELECT i.indexrelid::int8, (i.indpred IS NOT NULL)::int, a.attname::text FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indexrelid WHERE i.indrelid = 'conveyor_job'::regclass
"""


def indexes(store: Store, url: str) -> Iterator[set[object]]:
    """The columns of each index on unfinished jobs; one with a condition has the column "?" too."""
    found = rows(store, POSTGRES_INDEXES if url.startswith("postgres") else SQLITE_INDEXES)
    for index in {name for name, _, _ in found}:
        columns = {column for name, _, column in found if name == index}
        yield columns | {"?" for name, partial, _ in found if name == index and partial}


def test_a_job_that_runs_for_long_is_left_to_its_living_runner(store: Store, hand: Hand, hire: Hire) -> None:
    job, young = new_jobs(2)
    enqueue(store, job)
    hand.take_one()
    rows(store, f"UPDATE conveyor_job SET last_attempted_at = last_attempted_at - {HOUR} RETURNING 1")
    before = see(store, job.id)
    enqueue(store, young)
    dead = hire()
    dead.take_one()
    dead.die()
    assert store.run(store.operations.rescue(10)) == Rescued(1, frozenset({QUEUE}), more=False)
    assert see(store, job.id) == before
    assert see(store, young.id).runner is None


def test_the_id_of_a_job_is_in_no_index_but_its_own(store: Store, url: str) -> None:
    """Elsewhere it would lead PostgreSQL's planner astray while somebody holds a snapshot."""
    named = [columns for columns in indexes(store, url) if "id" in columns]
    assert named == [{"id"}]


def test_no_index_names_a_column_that_a_claim_changes(store: Store, url: str) -> None:
    named = list(indexes(store, url))
    assert len(named) >= 2
    assert not [columns for columns in named if columns & (CLAIM_CHANGES | {"?"})]


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_claim_writes_to_no_index(store: Store, url: str, hand: Hand) -> None:
    enqueue(store, *(new_job() for _ in range(10)))
    until(lambda: number(store, "SELECT count(*) FROM conveyor_job WHERE run_after <= conveyor_now()") == 10)
    with session(url) as claiming:
        claimed = run(store.operations.claim(hand.id, {QUEUE: 10}, [TASK]), carry(claiming))
        counted = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'conveyor_job'"
        assert claiming.execute(counted).fetchone() == (len(claimed), len(claimed)) == (10, 10)
        claiming.rollback()
