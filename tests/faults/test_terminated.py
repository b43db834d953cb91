"""D02, D07: backends are terminated while jobs flow; the queue of notifications is full."""

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.test_server_restart import once
from tests.support.jobs import enqueue, new_job
from tests.support.postgres import PostgresServer, prepare
from tests.support.say import Say
from tests.support.stores import number, open_store, tables
from tests.support.waiting import until
from tests.support.yard import Yard

LEASE = ("--lease", "20", "--beat", "1", "--rescue", "1", "--slots", "20")
ROUNDS, MANY = 5, 600
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
PAGES = 64
"""The least that a server takes for its queue of notifications."""
clock = threading.Event()


@pytest.fixture
def yard(postgres_url: str, tmp_path: Path) -> Iterator[Yard]:
    made = Yard(postgres_url, tmp_path)
    yield made
    made.close()


def survives(yard: Yard, rounds: int) -> str:
    """Jobs flow while each second every backend is terminated; gives the figures."""
    workers = [yard.short(*LEASE) for _ in range(2)]
    producer = yard.start("tests.support.producer", "--rate", "50", "--max-attempts", "2")
    begun, most = time.monotonic(), 0
    with psycopg.connect(yard.url, autocommit=True) as killer:
        for _ in range(rounds):
            clock.wait(1.0)
            killed = killer.execute(f"SELECT count(pg_terminate_backend(pid)) {OTHERS}".encode()).fetchone()
            assert killed is not None
            most = max(most, int(killed[0]))
    producer.signal(signal.SIGTERM)
    assert producer.ends(30) == 0
    took = time.monotonic() - begun
    yard.store.close()  # its connections have ended too
    until(lambda: clock.wait(0.05) or number(yard.store, "SELECT count(*) FROM conveyor_job") == 0, patience=90)
    assert all(worker.lives for worker in workers)
    assert not any("is lost; its jobs" in worker.said for worker in workers)
    once(yard, [])
    report, answers = yard.report(), Counter(record.kind for record in yard.history.read())
    assert report.completed == report.accepted > 0
    return (
        f"backends terminated {rounds} times in {took:.0f} s, {most} at most: {report.accepted:,} jobs accepted, "
        f"{answers['unknown']} unknown, {answers['refused']} refused; {report.accepted / took:.0f} a second, "
        f"lost {len(report.lost)}, twice {len(report.twice)}"
    )


@pytest.mark.timeout(180)
def test_jobs_flow_while_backends_are_terminated(yard: Yard, say: Say) -> None:
    say(survives(yard, ROUNDS))


@pytest.mark.soak
def test_jobs_flow_while_backends_are_terminated_for_ten_minutes(yard: Yard, say: Say) -> None:
    say(survives(yard, MANY))


# -- D07


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a store whose server has no room for a notification left: somebody listens, and does not end."""
    with PostgresServer(max_notify_queue_pages=str(PAGES)) as server:
        url = server.create_database("deaf")
        prepare(url)
        with psycopg.connect(url, autocommit=True) as holder, psycopg.connect(url, autocommit=True) as filler:
            holder.execute("LISTEN conveyor")
            holder.execute("BEGIN")
            holder.execute("SELECT 1")
            text = "x" * 7000
            with contextlib.suppress(psycopg.errors.ProgramLimitExceeded):
                while True:
                    filler.execute("SELECT pg_notify('conveyor', %s || n) FROM generate_series(1, 10) AS n", (text,))
            yield url


async def test_a_full_queue_of_notifications_fails_no_enqueue(deaf: str) -> None:
    store = open_store(deaf)
    await store.listener(b"\7" * 16).idle(60)  # from now on enqueuers notify
    with psycopg.connect(deaf, autocommit=True) as other, pytest.raises(psycopg.errors.ProgramLimitExceeded):
        other.execute("SELECT pg_notify('conveyor', repeat('x', 7000))")
    enqueue(store, new_job())
    job = new_job()
    store.run(store.operations.repeat_enqueue([job]))
    assert tables(store) == (2, 0)
    await store.aclose()
    store.close()
