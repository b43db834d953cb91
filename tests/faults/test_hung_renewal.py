"""A lease whose renewal hangs: somebody locks the table of runners, and the worker must end all the same (P08)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.waiting import until
from tests.support.yard import Yard

ENDS = 12.0
"""Seconds: the last renewal gets 5, a claim under way at most 10, and they run out side by side or nearly."""
BEAT = 5.0
RENEWING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
    "AND query LIKE 'UPDATE conveyor_runner SET expires_at%'"
)


@pytest.fixture
def yard(postgres_url: str, tmp_path: Path) -> Iterator[Yard]:
    made = Yard(postgres_url, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["SHARE", "ACCESS EXCLUSIVE"])
def test_a_renewal_that_hangs_does_not_keep_the_worker_from_ending(yard: Yard, mode: str) -> None:
    worker = yard.worker("--grace", "1")
    with psycopg.connect(yard.url) as holder, psycopg.connect(yard.url, autocommit=True) as watcher:
        holder.execute(f"LOCK TABLE conveyor_runner IN {mode} MODE".encode())
        until(lambda: watcher.execute(RENEWING).fetchone() == (1,), patience=3 * BEAT)
        worker.signal(signal.SIGTERM)
        assert worker.ends(ENDS) == 0
    assert "or runs out" in worker.said
