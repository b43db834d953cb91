"""The latest that have ended are asked for every few seconds: few rows are touched, whatever there is of history."""

import sqlite3

import pytest

from conveyor.core.model import COUNTED
from conveyor.store.contract import Store
from conveyor.store.sqlfiles import sql
from tests.support.explaining import steps_of
from tests.support.postgres import session
from tests.support.stores import rows

LIMIT, MANY = 100, 30_000
ENDED = (
    "WITH RECURSIVE number (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < {many}) "
    "INSERT INTO conveyor_history (id, token, run_after, enqueued_at, finished_at, priority, attempt, max_attempts, "
    "crashes, task, args, queue, state, delete_after) "
    "SELECT {id}, i, i, i, {now}, 0, 1, 5, 0, 'none', '[[],{{}}]', 'q', "
    "CASE WHEN i <= {ended} THEN 'succeeded' ELSE 'cancelled' END, {now} + (30 + i % 3) * 86400000000 FROM number"
)
"""The newest by their ids were cancelled; on PostgreSQL they lie in three partitions."""
SITUATIONS = pytest.mark.parametrize(
    ("ended", "found", "touched"), [(MANY, LIMIT, LIMIT), (MANY // 2, 0, COUNTED)], ids=["succeeded", "cancelled"]
)


def filled(store: Store, ended: int, id_: str, now: str) -> None:
    rows(store, ENDED.format(many=MANY, ended=ended, id=id_, now=now))


@SITUATIONS
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_postgres_goes_along_the_ids_and_stops(store: Store, url: str, ended: int, found: int, touched: int) -> None:
    filled(store, ended, "CAST(lpad(to_hex(i), 32, '0') AS uuid)", "conveyor_now()")
    with session(url) as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE conveyor_past")
        steps = steps_of(connection, store.operations.latest(LIMIT))
    looks = [step for step in steps if "Relation Name" in step and step["Actual Rows"]]
    assert len(looks) > 1
    assert {step["Node Type"] for step in looks} == {"Index Scan"}
    assert touched <= sum(step["Actual Rows"] for step in looks) <= touched + len(looks)
    assert len(store.run(store.operations.latest(LIMIT))) == found


@SITUATIONS
@pytest.mark.parametrize("url", ["sqlite-file"], indirect=True)
def test_sqlite_goes_along_the_ids_and_stops(store: Store, url: str, ended: int, found: int, touched: int) -> None:
    filled(store, ended, "CAST(printf('%016d', i) AS BLOB)", "0")
    ticks: list[None] = []
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.set_progress_handler(lambda: ticks.append(None), 100)
    answer = connection.execute(sql("sqlite", "latest"), {"among": COUNTED, "limit": LIMIT}).fetchall()
    connection.close()
    assert len(answer) == len(store.run(store.operations.latest(LIMIT))) == found
    assert len(ticks) * 100 < 30 * touched  # steps of SQLite's machine
