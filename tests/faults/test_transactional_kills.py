"""Effects and children exactly once, however often a worker is killed, or stopped for longer than its lease."""

import os
import random
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.test_kill_worker import centiles, drained, taken_back, whole
from tests.faults.transactional import TABLES
from tests.support.carriers import outside
from tests.support.effects import Effects, count
from tests.support.history import Report
from tests.support.postgres import PostgresServer
from tests.support.say import Say
from tests.support.waiting import until
from tests.support.yard import Process, Yard

KILLS = int(os.environ.get("CONVEYOR_TRANSACTIONAL_KILLS", "5"))
MANY_KILLS = int(os.environ.get("CONVEYOR_MANY_TRANSACTIONAL_KILLS", "300"))
PATIENCE = 60.0
"""Seconds within which all is done once nobody is killed any more."""
LEASE = "2"
STOPPED_LONGER = 3.0
"""Seconds: beyond the lease, and beyond the rescue that follows it."""

clock = threading.Event()


def make_tables(yard: Yard) -> None:
    yard.store.migrate()
    with outside(yard.url) as connection:
        for table in TABLES:
            connection.execute(table)


def start(yard: Yard, lease: str = LEASE, slots: int = 8) -> Process:
    return yard.start("tests.faults.transactional", "work", "--lease", lease, "--slots", str(slots))


def working(worker: Process) -> Process:
    """Wait until it has its lease; on a busy machine that may be long."""
    until(lambda: clock.wait(0.02) or " serves " in worker.said, patience=PATIENCE)
    return worker


def storm(yard: Yard, kills: int, seed: int) -> None:
    """Orders without a pause; two workers, of which one is killed, or stopped and later killed, in turn.

    A third lives through all of it, and takes back what they leave: its lease is long, for on a busy machine a short
    one may be lost.
    """
    chance = random.Random(seed)
    make_tables(yard)
    producer = yard.start("tests.faults.transactional", "enqueue")
    bystander = start(yard, "30", slots=2)
    workers = [start(yard), start(yard)]
    for number in range(kills):
        victim = working(workers.pop(0))
        clock.wait(chance.uniform(0.05, 0.5))
        if number % 4 == 3:
            victim.stops()
            clock.wait(STOPPED_LONGER)
            victim.signal(signal.SIGCONT)
            clock.wait(chance.uniform(0.1, 0.5))
        victim.kill()
        workers.append(start(yard))
        if number % 8 == 7:
            producer.kill()
            producer = yard.start("tests.faults.transactional", "enqueue")
    producer.kill()
    last = start(yard, "30")
    until(lambda: clock.wait(0.1) or drained(yard), patience=PATIENCE + kills)
    for worker in (*workers, bystander, last):
        worker.kill()


def fenced(yard: Yard) -> int:
    """How many transactions were taken back because their job was another's."""
    return sum(len(re.findall("its transaction was taken back", process.said)) for process in yard.processes)


def figures(yard: Yard, kills: int, found: Effects, report: Report) -> str:
    return (
        f"{kills} kills: {report.accepted} accepted, {found.orders} ordered ({report.unknown} unanswered), "
        f"{found.ends}; {report.executions} executions, {found.effects} effects, {len(found.doubled)} doubled, "
        f"{len(found.missing)} missing, {found.children} children, {len(found.childless)} not once for their parent; "
        f"{len(report.lost)} lost, {fenced(yard)} fenced completions; taken back after a death: "
        f"{centiles([seconds for seconds in taken_back(yard, yard.history.read()) if seconds > 0])}"
    )


def survives(yard: Yard, kills: int, say: Say, seed: int = 1) -> None:
    storm(yard, kills, seed)
    found, report = count(yard.url), yard.report()
    say(figures(yard, kills, found, report))
    assert found.clean, found
    assert report.accepted > kills
    assert (report.lost, report.in_both) == ((), ())
    assert found.orders >= report.accepted
    assert whole(yard)


@pytest.mark.timeout(180)
def test_effects_are_there_once_for_each_job_after_kills(yard: Yard, say: Say) -> None:
    survives(yard, KILLS, say)


@pytest.mark.soak
def test_effects_are_there_once_for_each_job_after_many_kills(yard: Yard, say: Say) -> None:
    survives(yard, MANY_KILLS, say, seed=2)


# ---------------------------------------------------------------- the server crashes


CRASHES = 10


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of our own, which keeps its promises through a crash."""
    with PostgresServer(durable=True) as started:
        yield started


def crash(yard: Yard, server: PostgresServer, workers: Sequence[Process]) -> None:
    """In the middle of a storm of commits; it is back as soon as it has recovered."""
    chance = random.Random(3)
    producer = yard.start("tests.faults.transactional", "enqueue", "--rate", "40")
    for _ in range(CRASHES):
        clock.wait(chance.uniform(1, 4))
        server.stop("immediate")
        clock.wait(chance.uniform(0, 1))
        server.start()
    clock.wait(1)
    producer.kill()
    yard.store.close()  # its connections have ended too
    until(lambda: clock.wait(0.1) or drained(yard), patience=PATIENCE)
    for worker in workers:
        worker.kill()


@pytest.mark.soak
def test_effects_are_there_once_for_each_job_after_crashes_of_the_server(
    server: PostgresServer, tmp_path: Path, say: Say
) -> None:
    yard = Yard(server.create_database("crashes"), tmp_path)
    make_tables(yard)
    crash(yard, server, [working(start(yard, "60")), working(start(yard, "60"))])
    found, report = count(yard.url), yard.report()
    say(figures(yard, 0, found, report).replace("0 kills", f"{CRASHES} crashes of the server", 1))
    with outside(yard.url) as connection:
        ours = "task IN ('declared', 'adeclared', 'child')"
        spent = connection.execute(f"SELECT count(*) FROM conveyor_history WHERE {ours} AND attempt > 1").fetchone()
    yard.close()
    assert found.clean, found
    assert report.lost == ()
    assert spent == (0,), "a lost database is no fault of a job's"
