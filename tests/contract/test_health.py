"""What ``app.doctor()`` asks of a store, and what it finds there."""

import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from conveyor import Conveyor
from conveyor.client.doctor import examined
from conveyor.core.health import Finding, Severity
from conveyor.core.model import JobFilter, QueueInfo
from conveyor.store.contract import Store
from conveyor.store.postgres.checks import CHECKS
from conveyor.store.postgres.health import examined as examined_server
from conveyor.store.postgres.links import connect, dsn
from conveyor.store.sqlite import health as sqlite_health
from tests.support.jobs import HOUR, QUEUE, Hire, enqueue, new_job, new_jobs
from tests.support.stores import open_store, rows, sqlite_url

HOST = "postgresql://127.0.0.1:1/shop?connect_timeout=1"


def due(store: Store, queue: str = QUEUE, limit: int = 100) -> list[tuple[str, int]]:
    found = store.run(store.operations.due_tasks(queue, limit))
    assert all(timedelta(0) <= one.oldest < timedelta(minutes=5) for one in found)
    return [(one.task, one.jobs) for one in found]


def doctor(store: Store) -> dict[str, Finding]:
    """The first finding of each check."""
    found = examined(lambda: store, None, deep=True)
    return {finding.check: finding for finding in reversed(found)}


# ---------------------------------------------------------------- the questions


def test_one_queue_is_told_as_among_all(store: Store, hire: Hire) -> None:
    enqueue(store, *new_jobs(2), new_job(delay=HOUR), new_job(queue="other"))
    hire().take_one()
    store.run(store.control.pause(QUEUE))
    every = {queue.name: queue for queue in store.run(store.operations.queues())}
    one = store.run(store.operations.queue(QUEUE))
    assert (one.ready, one.scheduled, one.running) == (1, 1, 1)
    assert one.paused_at is not None
    assert one.oldest is not None
    assert one.oldest >= (every[QUEUE].oldest or one.oldest)
    assert (one.name, one.paused_at, one.ready) == (QUEUE, every[QUEUE].paused_at, every[QUEUE].ready)
    assert store.run(store.operations.queue("nothing")) == QueueInfo("nothing", None, 0, 0, 0, 0, None)


def test_due_jobs_are_told_by_task_the_longest_waiting_first(store: Store, hire: Hire) -> None:
    enqueue(store, new_job(task="taken", priority=1))
    enqueue(store, new_job(task="b"), new_job(task="a"), new_job(task="b"))
    enqueue(store, new_job(task="later", delay=HOUR), new_job(task="elsewhere", queue="other"))
    assert [job.task for job in hire().claim(1, ["taken"])] == ["taken"]
    assert due(store) == [("b", 2), ("a", 1)]
    assert due(store, "other") == [("elsewhere", 1)]
    assert due(store, "nothing") == []


def test_of_many_the_first_are_looked_at_that_would_be_claimed(store: Store) -> None:
    enqueue(store, *(new_job(task="first") for _ in range(3)))
    enqueue(store, new_job(task="second"), new_job(task="urgent", priority=5))
    assert due(store, limit=3) == [("first", 2), ("urgent", 1)]


def test_jobs_of_the_dead_are_stranded(store: Store, hire: Hire) -> None:
    enqueue(store, *new_jobs(3))
    first, second = hire(), hire()
    first.take(2)
    second.take_one()
    assert store.run(store.operations.stranded()) == 0
    first.die()
    assert store.run(store.operations.stranded()) == 2


def test_what_was_kept_long_enough_is_counted(store: Store) -> None:
    enqueue(store, new_job()._replace(keep=0), new_job()._replace(keep=HOUR), new_job()._replace(keep=-1))
    store.run(store.control.cancel(JobFilter(), "enough", 100, None))
    assert store.run(store.operations.prunable()) == 1
    assert store.run(store.control.prune(100)) == 1
    assert store.run(store.operations.prunable()) == 0


def test_the_clock_is_told(store: Store) -> None:
    before = time.time_ns() // 1_000
    clock = store.run(store.operations.clock())
    assert before - 1_000_000 <= clock <= time.time_ns() // 1_000 + 1_000_000  # its server runs on this host


# ---------------------------------------------------------------- what is found


def test_a_store_in_order(store: Store, hire: Hire) -> None:
    enqueue(store, new_job())
    assert hire().lives
    found = doctor(store)
    server = {
        "rights",
        "tables",
        "clock",
        "pooler",
        "durability",
        "connections",
        "snapshots",
        "vacuum",
        "history",
        "listen",
    }
    own = server if store.kind == "postgresql" else {"durability", "log", "integrity"}
    memory = store.url.endswith(":memory:")
    assert found.keys() == {"store", "schema", "queues", "tasks", "workers"} | (
        {"file", "integrity"} if memory else own
    )
    troubles = {check for check, finding in found.items() if finding.severity is Severity.TROUBLE}
    assert troubles == ({"durability"} if store.kind == "postgresql" else set())  # the tests' server runs without fsync
    assert found["file" if memory else "queues"].severity is (Severity.NOTE if memory else Severity.FINE)


def test_trouble_is_found(store: Store, hire: Hire) -> None:
    enqueue(store, new_job(task="shop.gone"), new_job(queue="unserved"))
    hand = hire()
    hand.die()
    living = hire()
    assert living.lives
    found = doctor(store)
    assert "serves queue 'unserved'" in found["queues"].text
    assert "knows the task 'shop.gone'" in found["tasks"].text
    assert "has died without a word" in found["workers"].text
    store.run(store.control.pause(QUEUE))
    assert "tasks" not in doctor(store)  # what is paused is meant to wait, whatever its task


async def test_async_code_may_ask_as_well(tmp_path: Path) -> None:
    app = Conveyor(sqlite_url(tmp_path))
    assert [finding.check for finding in await app.adoctor()][:2] == ["store", "schema"]
    app.close()


@pytest.mark.parametrize("url", [HOST, "sqlite:////nonesuch/jobs.db"])
def test_a_store_that_cannot_be_reached_is_a_finding(url: str) -> None:
    (finding,) = Conveyor(url).doctor()
    assert (finding.check, finding.severity) == ("store", Severity.TROUBLE)
    assert finding.fix


def test_a_file_on_a_network_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.store.sqlite.place._filesystem", lambda _: "nfs4")
    (finding,) = Conveyor(sqlite_url(tmp_path)).doctor()
    assert finding.severity is Severity.TROUBLE
    assert "lies on a network file system (nfs4)" in finding.text


# ---------------------------------------------------------------- SQLite


@pytest.fixture
def file(folder: Path) -> Path:
    store = open_store(sqlite_url(folder))
    enqueue(store, *new_jobs(50))
    store.close()
    return folder / "jobs.db"


def test_a_damaged_file_is_found_when_asked_for(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'conveyor_job_fetch'").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with file.open("r+b") as data:
        data.seek((root - 1) * size)
        data.write(bytes(size))
    store = open_store(f"sqlite:///{file}")
    try:
        (finding,) = [one for one in store.examine(deep=True) if one.check == "integrity"]
        assert finding.severity is Severity.TROUBLE
        assert "the file is damaged" in finding.text
        assert not [one for one in store.examine(deep=False) if one.check == "integrity"]
    finally:
        store.close()


def test_weaker_durability_and_a_long_log_are_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_health, "WAL_USUAL", 0)
    store = open_store(f"sqlite:///{file}?synchronous=NORMAL")
    enqueue(store, new_job())
    durability, log = store.examine(deep=False)
    store.close()
    assert (durability.severity, log.severity) == (Severity.NOTE, Severity.NOTE)
    assert "a power cut may lose the last commits" in durability.text
    assert "MiB" in log.text


# ---------------------------------------------------------------- PostgreSQL


def test_tables_of_another_version(postgres_url: str) -> None:
    store = open_store(postgres_url)
    rows(store, "INSERT INTO conveyor_migration (number, name) VALUES (9999, 'later') RETURNING number")
    found = doctor(store)
    assert (found["schema"].severity, "workers" in found) == (Severity.NOTE, True)
    rows(store, "DELETE FROM conveyor_migration WHERE number > 1 RETURNING number")
    found = doctor(store)
    assert (found["schema"].severity, found["schema"].fix) == (Severity.TROUBLE, "conveyor migrate")
    assert found.keys() == {"store", "schema"}
    store.close()


def test_what_cannot_be_looked_at_keeps_nothing_else_from_it(postgres_url: str) -> None:
    store = open_store(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE conveyor_runner RENAME TO hidden")
    found = doctor(store)
    for check in ("queues", "workers"):
        assert found[check].text.startswith("this could not be looked at: relation")
    assert "listen" in found
    store.close()


def test_no_tables_at_all(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE conveyor_migration RENAME TO hidden")
    store = open_store(postgres_url)
    assert [(f.check, f.fix) for f in examined(lambda: store, None, deep=False)] == [("schema", "conveyor migrate")]
    store.close()


@pytest.mark.parametrize(("trick", "text"), [("deaf", "no notification arrives"), ("gone", "LISTEN cannot be tried")])
def test_a_notification_that_does_not_arrive(
    postgres_url: str, trick: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> list[object]:
        if trick == "gone":
            raise psycopg.OperationalError("the connection\nis lost")
        return []

    store, opens = open_store(postgres_url), _connecting(postgres_url)
    monkeypatch.setattr(psycopg.Connection, "notifies", lost)
    found = examined_server(opens, {"durability": CHECKS["durability"]})
    store.close()
    assert [(f.check, f.severity) for f in found] == [("durability", Severity.TROUBLE), ("listen", Severity.NOTE)]
    assert text in found[-1].text


def _connecting(url: str) -> "Callable[[], psycopg.Connection[tuple[object, ...]]]":
    return lambda: connect(dsn(url))
