"""PostgreSQL: from the version before to this one while 500 jobs a second flow, as it is done in production."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conveyor.store.postgres.opened import PostgresStore
from tests.support.postgres import PostgresServer
from tests.support.rehearsal import ROOT, Stage, doubled, lost, now, older, told
from tests.support.waiting import until

BEFORE = "e9d4adc"
"""The last commit whose schema was migration 2. The rehearsal runs from a clone that has it."""
NEW = ROOT / "src"
RATE = 500
OLD_ROWS = int(os.environ.get("CONVEYOR_REHEARSAL_ROWS", "1000000"))
HISTORY = """
    INSERT INTO conveyor_history (id, token, run_after, enqueued_at, finished_at, priority, attempt, max_attempts,
                                  crashes, state, task, queue, args, result, delete_after)
    SELECT gen_random_uuid(), i, i, i, conveyor_now() - i, 0, 1, 5, 0, 'succeeded', 'long.ago', 'default', '[[42],{}]',
           '42', CASE WHEN i %% 10 > 0 THEN conveyor_now() - i + 2592000000000 END
    FROM generate_series(1, %s) AS i
"""


@pytest.fixture(params=["17", "18", "15"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with PostgresServer(request.param) as server:
        stage = Stage(tmp_path, server.create_database("rehearsal"))
        yield stage
        stage.close()


@pytest.mark.soak
def test_an_upgrade_loses_nothing_doubles_nothing_and_halts_nobody_for_long(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, marks = older(BEFORE, tmp_path / "before"), dict[str, float]()
    stage.migrate(before)
    with psycopg.connect(stage.url) as owner:
        owner.execute(HISTORY, (OLD_ROWS,))

    def mark(name: str) -> None:
        marks[name] = now()

    def ran(seconds: float) -> None:
        """Wait until so many seconds' worth of jobs have run."""
        target = stage.count() + round(seconds * RATE)
        until(lambda: stage.count() >= target, patience=seconds * 10 + 60)

    for name in ("old worker 1", "old worker 2"):
        stage.worker(name, before)
    stage.producer("old producer", before, RATE // 2)
    stage.producer("second old producer", before, RATE // 2)
    ran(5)
    mark("old workers, old tables")
    ran(10)
    mark("conveyor migrate")
    said = stage.migrate(NEW)
    mark("old workers, new tables")
    ran(75)  # the old ones' upkeep comes each minute
    mark("new workers join")
    for name in ("new worker 1", "new worker 2"):
        stage.worker(name, NEW)
    stage.producer("new producer", NEW, RATE // 2)
    stage.end("old producer")
    ran(10)
    mark("old workers leave")
    assert [stage.end(name) for name in ("old worker 1", "old worker 2")] == [0, 0]
    mark("new workers alone")
    ran(65)
    mark("the end")
    assert [stage.end(name) for name in ("second old producer", "new producer")] == [0, 0]
    accepted = sum(len(batch.jobs) for batch in stage.batches())
    until(lambda: stage.count() >= accepted, patience=900)  # however slow the machine is
    assert [stage.end(name) for name in ("new worker 1", "new worker 2")] == [0, 0]
    with capsys.disabled():
        print(f"\n{said}{told(stage, marks)}")  # noqa: T201 - the figures are what it is for
    assert (lost(stage), doubled(stage), stage.complaints()) == (set(), [], [])
    _check_history(stage)


def _check_history(stage: Stage) -> None:
    """Each job is there once, unless it was to stay for less than a minute; no row of before has gone."""
    with psycopg.connect(stage.url) as owner:
        ((rows, different),) = owner.execute(
            "SELECT count(*), count(DISTINCT id) FROM conveyor_history WHERE task <> 'long.ago'"
        ).fetchall()
        ((old,),) = owner.execute("SELECT count(*) FROM conveyor_history WHERE task = 'long.ago'").fetchall()
        ((bad,),) = owner.execute("SELECT count(*) FROM conveyor_history WHERE state <> 'succeeded'").fetchall()
        ((hot,),) = owner.execute("SELECT count(*) FROM conveyor_job").fetchall()
        ended = {str(id_) for (id_,) in owner.execute("SELECT id FROM conveyor_history WHERE task <> 'long.ago'")}
    every = [job for batch in stage.batches() for job in batch.jobs]
    kept = {job for batch in stage.batches() for place, job in enumerate(batch.jobs) if place % 5 != 1}
    assert (rows - different, old, bad, hot) == (0, OLD_ROWS, 0, 0)
    assert kept <= ended <= set(every)
    store = PostgresStore(stage.url)
    store.run(store.control.prune(1_000_000))
    assert store.run(store.operations.prunable()) == 0
    store.close()
