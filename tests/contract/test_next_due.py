"""PostgreSQL: the next due job is found at the index's own end, however many jobs were due before it."""

import pytest

from conveyor.store.contract import Store
from tests.support.explaining import steps_of
from tests.support.jobs import HOUR, QUEUE, enqueue, new_job
from tests.support.postgres import session
from tests.support.stores import rows

BACKLOG = 20_000


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_next_due_bounds_its_index_by_the_time_and_passes_the_backlog_by(
    store: Store, url: str, analysed: bool
) -> None:
    rows(
        store,
        "INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, args) "
        f"SELECT gen_random_uuid(), 'none', '{QUEUE}', 0, i, i, 1, '' FROM generate_series(1, {BACKLOG}) AS i",
    )
    enqueue(store, new_job(delay=HOUR))
    with session(url) as connection:
        connection.autocommit = True
        if analysed:
            connection.execute("VACUUM ANALYZE conveyor_job")
        steps = steps_of(connection, store.operations.next_due([QUEUE]))
    bounded = [step for step in steps if "run_after" in step.get("Index Cond", "")]
    assert [step["Index Name"] for step in bounded] == ["conveyor_job_fetch"]
    assert bounded[0]["Actual Rows"] <= 1
    assert [step for step in steps if "run_after" in step.get("Filter", "")] == []
    assert [step for step in steps if step["Node Type"] == "Seq Scan"] == []
    assert 0 < (store.run(store.operations.next_due([QUEUE])) or 0) <= HOUR
