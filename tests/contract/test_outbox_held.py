"""PostgreSQL's outbox when nothing is known of it yet, or somebody's snapshot is held: each look is at what is next."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from conveyor.core.model import NewJob
from conveyor.drivers.postgres import carry
from conveyor.plan import run
from conveyor.store.outbox import JOBS, Batch, Standing
from conveyor.store.postgres.outbox import PostgresOutbox
from tests.support.explaining import Explained, Explainer
from tests.support.jobs import new_jobs
from tests.support.postgres import session

TURN = 3_600_000_000
FEW = 250
"""Batches of one job each."""
PAGE = 8_192
SOME = "generate_series(1, 20000) AS i"


class Box:
    """An outbox, and a relay that is driven by hand."""

    def __init__(self, url: str) -> None:
        self.connection = session(url)
        self.connection.autocommit = True
        for table in ("conveyor_outbox", "conveyor_outbox_batch", "conveyor_relay"):
            self.connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
        self.plans, self.standing = PostgresOutbox("held/0"), Standing()
        self.explainer = Explainer(self.connection)
        self.since = 0

    def put(self, jobs: list[NewJob]) -> None:
        run(self.plans.hold(jobs), carry(self.connection))

    def take(self) -> list[Batch]:
        with self.connection.transaction():
            batches = run(self.plans.take("me", TURN, self.since, self.standing), carry(self.connection))
        assert batches is not None
        return list(batches)

    def forward(self) -> None:
        for batch in self.take():
            with self.connection.transaction():
                run(self.plans.forwarded(batch, frozenset(one.job.id for one in batch.entries)), carry(self.connection))
            self.since = max(one.position for one in batch.entries)

    def explained(self) -> dict[str, Explained]:
        """The statements of a look, and of a batch, by their names."""
        with self.connection.transaction(force_rollback=True):
            self.explainer.run(self.plans.turn("me", self.since))
            self.explainer.run(self.plans.take("me", TURN, self.since, self.standing))
        return {one.name: one for one in self.explainer.seen}


@pytest.fixture
def box(postgres_url: str) -> Iterator[Box]:
    made = Box(postgres_url)
    with closing(made.connection):
        yield made


def test_a_batch_is_not_sorted_out_of_all_that_waits(box: Box) -> None:
    """The server knows nothing of these rows yet, and believes that few are there."""
    for _ in range(5):
        box.put(new_jobs(JOBS))
    found = box.explained()
    assert "Sort" not in found["outbox_next"].nodes
    assert "Index Scan conveyor_outbox_pkey" in found["outbox_next"].nodes
    assert found["outbox_turn"].pages < 12


def test_what_was_forwarded_is_not_passed_again_while_a_snapshot_is_held(box: Box, postgres_url: str) -> None:
    with session(postgres_url) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM conveyor_outbox")
        box.connection.execute(f"INSERT INTO conveyor_outbox_batch SELECT 'held/0', i, '[1]' FROM {SOME}".encode())
        box.connection.execute(b"DELETE FROM conveyor_outbox_batch")
        for _ in range(3):
            box.put(new_jobs(JOBS))
            box.forward()
        for _ in range(FEW):
            box.put(new_jobs(1))
            box.forward()
        box.put(new_jobs(JOBS // 2))
        for analysed in ("conveyor_outbox_batch, conveyor_relay", "conveyor_outbox"):
            box.connection.execute(f"ANALYZE {analysed}".encode())
            found = box.explained()
            pages = {name: one.pages for name, one in found.items()}
            assert pages["outbox_turn"] <= 6
            assert pages["outbox_open"] <= 3
            assert pages["outbox_next"] <= 30
        ((size,),) = box.connection.execute("SELECT pg_relation_size('conveyor_relay')").fetchall()
        assert size == PAGE, "a batch has changed the row that says whose turn it is"
