"""D17: all connections that a server gives are taken; and how many of them a worker wants."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conveyor.core.lifecycle import State
from conveyor.store.postgres.links import MOST as MOST_LINKS
from tests.support.postgres import PostgresServer, prepare
from tests.support.waiting import until
from tests.support.yard import Yard

MOST = 20
A_WORKER = MOST_LINKS + 2
"""Connections that a worker may have: its lease's, its listener's, and those for claims, outcomes and looks."""
LEASE = 4.0
clock = threading.Event()
BACKENDS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'conveyor'"

BEATS = "query LIKE 'UPDATE conveyor_runner SET%'"
"""Of the connections that renew leases, once they have done so."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer(max_connections=str(MOST), superuser_reserved_connections="0") as started:
        yield started


@pytest.fixture
def yard(server: PostgresServer, tmp_path: Path) -> Iterator[Yard]:
    url = server.create_database(f"full_{tmp_path.name.replace('-', '_')}")
    prepare(url)
    made = Yard(url, tmp_path)
    yield made
    made.close()


class Crowd:
    """Idle clients, as many as there is room for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.clients: list[psycopg.Connection[tuple[object, ...]]] = []

    def fill(self) -> None:
        """Take every place."""
        while True:
            try:
                self.clients.append(psycopg.connect(self._url, autocommit=True))
            except psycopg.OperationalError as error:
                assert "too many clients" in str(error)  # noqa: PT017 - what ends the loop
                return

    def leave(self) -> None:
        """Give them all back."""
        for client in self.clients:
            client.close()
        self.clients.clear()


@pytest.fixture
def crowd(yard: Yard) -> Iterator[Crowd]:
    made = Crowd(yard.url)
    yield made
    made.leave()


def number(client: psycopg.Connection[tuple[object, ...]], text: str) -> int:
    row = client.execute(f"SELECT count(*) {text}".encode()).fetchone()
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


def test_a_busy_worker_holds_few_connections(yard: Yard) -> None:
    with psycopg.connect(yard.url, autocommit=True) as watcher:
        jobs = yard.enqueue("nap", 0.01, count=300)
        yard.store.close()
        yard.worker("-q", "default=50")
        most = 0

        def done() -> bool:
            nonlocal most
            most = max(most, number(watcher, BACKENDS))
            left = number(watcher, "FROM conveyor_job")
            return left == 0

        until(done, patience=30)
    assert 3 <= most <= A_WORKER
    assert {yard.see(job).state for job in jobs} == {State.SUCCEEDED}


def test_workers_of_a_full_server_keep_their_leases_and_go_on_when_there_is_room(yard: Yard, crowd: Crowd) -> None:
    workers = [yard.short("--lease", str(LEASE), "--beat", "0.5", "--rescue", "0.5") for _ in range(2)]
    (before,) = yard.enqueue("nap", 0.0)
    yard.is_(before, State.SUCCEEDED)
    jobs = yard.enqueue("nap", 2 * LEASE, count=4)
    for job in jobs:
        yard.started(job)
    yard.store.close()
    crowd.fill()
    until(lambda: number(crowd.clients[0], f"{BACKENDS} AND {BEATS}") == len(workers))
    mine = f"SELECT pg_terminate_backend(pid) {BACKENDS} AND NOT {BEATS}"
    for _ in range(5):  # what the workers lose there, idle clients get
        crowd.clients[0].execute(mine)
        crowd.fill()
    until(lambda: all("too many clients" in worker.said for worker in workers), patience=20)
    until(
        lambda: clock.wait(0.05) or all(any(run.how == "ended" for run in yard.runs(job)) for job in jobs), patience=30
    )
    assert not any("is lost; its jobs" in worker.said for worker in workers)
    crowd.leave()
    for job in jobs:
        info = yard.is_(job, State.SUCCEEDED, patience=30)
        assert (info.attempt, len(yard.starts(job))) == (1, 1)
    for worker in workers:
        worker.signal(signal.SIGKILL)
