"""What ``tools/mutants.py`` breaks and no other test would notice."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from conveyor import Conveyor, WrongStore
from conveyor.drivers.postgres import carry
from conveyor.plan import run
from conveyor.store.contract import Store
from conveyor.store.sqlfiles import sql
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, Hire, enqueue, key, new_job, new_jobs, see
from tests.support.postgres import session
from tests.support.stores import SHARED, number, open_store, rows, tables
from tests.support.waiting import until

CLAIM_CHANGES = {"state", "runner", "attempt", "token", "started_at", "last_attempted_at"}
FREED_BY_SOME = {"unique_key"}
"""What a claim changes too, but only of a job whose key is held until it starts."""
SQLITE_INDEXES = """
    SELECT list.name, coalesce(made.sql, group_concat(info.name, ' ')) FROM pragma_index_list('conveyor_job') AS list
    CROSS JOIN pragma_index_info(list.name) AS info LEFT JOIN sqlite_master AS made ON made.name = list.name
    GROUP BY list.name
"""
POSTGRES_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = 'conveyor_job'::regclass
"""
POSTGRES_COLUMNS = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'conveyor_job'::regclass AND attnum > 0"
HOT = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'conveyor_job'"
DUE = "SELECT count(*) FROM conveyor_job WHERE run_after <= conveyor_now()"


def indexes(store: Store, url: str) -> Iterator[set[str]]:
    """The columns that each index on unfinished jobs names, its condition's included."""
    on_postgres = url.startswith("postgres")
    columns = rows(store, POSTGRES_COLUMNS if on_postgres else "SELECT name FROM pragma_table_info('conveyor_job')")
    for name, text in rows(store, POSTGRES_INDEXES if on_postgres else SQLITE_INDEXES):
        words = re.findall(r"\w+", str(text).replace(f" {name} ", " "))
        yield set(words) & {str(column) for (column,) in columns}


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
    rescued = store.run(store.operations.rescue(10))
    assert ([held.id for held, _ in rescued.jobs], rescued.more) == ([young.id], False)
    assert see(store, job.id) == before
    assert see(store, young.id).runner is None


def test_the_id_of_a_job_is_in_no_index_but_its_own(store: Store, url: str) -> None:
    """Elsewhere it would lead PostgreSQL's planner astray while somebody holds a snapshot."""
    named = [columns for columns in indexes(store, url) if "id" in columns]
    assert named == [{"id"}]


@pytest.mark.parametrize("folder", ["postgres", "sqlite"])
def test_a_claim_changes_what_these_tests_believe(folder: str) -> None:
    changes = sql(folder, "claim").partition(" SET ")[2].partition(" WHERE ")[0]
    assert set(re.findall(r"(\w+) = ", changes)) == CLAIM_CHANGES | FREED_BY_SOME


def test_no_index_names_a_column_that_a_claim_changes(store: Store, url: str) -> None:
    named = list(indexes(store, url))
    assert len(named) >= 5
    assert not [columns for columns in named if columns & CLAIM_CHANGES]
    assert [columns for columns in named if columns & FREED_BY_SOME] == [FREED_BY_SOME]


def claimed_in_place(store: Store, url: str, hand: Hand) -> tuple[object, ...]:
    """Claim ten jobs, and take it back: how many rows were written, and how many of them without their indexes."""
    until(lambda: number(store, DUE) == 10)
    with session(url) as claiming:
        claimed = run(store.operations.claim(hand.id, {QUEUE: 10}, [TASK]), carry(claiming))
        assert len(claimed) == 10
        counted = claiming.execute(HOT).fetchone()
        claiming.rollback()
    assert counted is not None
    return counted


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_claim_writes_to_no_index(store: Store, url: str, hand: Hand) -> None:
    """Also of jobs that are in all of them: that have a unique key, until they end, and a time to expire."""
    made = [new_job(unique=key(f"{place}") if place % 2 else None) for place in range(10)]
    enqueue(store, *(job._replace(expires=HOUR) for job in made))
    assert claimed_in_place(store, url, hand) == (10, 10)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_claim_that_frees_a_key_writes_to_its_index(store: Store, url: str, hand: Hand) -> None:
    """The price of a key that is held until the start; and the proof that the test above would see one."""
    enqueue(store, *(new_job(unique=key(f"{place}", until_start=True)) for place in range(10)))
    assert claimed_in_place(store, url, hand) == (10, 0)


@pytest.mark.direct
@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_connection_to_another_store_takes_no_job(store: Store, url: str, folder: Path) -> None:
    """To another file, or to another schema of the same database."""
    file = f"{folder}/elsewhere.db"
    if url.startswith("postgres"):
        rows(store, "CREATE SCHEMA elsewhere")
        address = f"{url}?options=-csearch_path%3Delsewhere"
        other, connection = open_store(address), psycopg.connect(address)
    else:
        other, connection = open_store(f"sqlite:///{file}"), sqlite3.connect(file)
    other.migrate()
    app = Conveyor(url)
    task = app.task(name="t")(lambda: None)
    with closing(connection), app.within(connection), pytest.raises(WrongStore):
        task.enqueue()
    assert tables(store) == tables(other) == (0, 0)
    other.close()
    app.close()
