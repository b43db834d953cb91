"""D01: the server crashes and comes back: what runs goes on, and nothing is started twice."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count, cycle
from pathlib import Path
from statistics import median

import pytest

from conveyor.core.lifecycle import State
from tests.support.history import read_tables, runs_of
from tests.support.postgres import PostgresServer, StopMode, prepare
from tests.support.say import Say
from tests.support.stores import tables
from tests.support.waiting import until
from tests.support.yard import Yard

LEASE = ("--lease", "30", "--beat", "0.5", "--rescue", "0.5", "--slots", "20")
OUTAGE = 3.0
"""Seconds, and on a busy machine as many again until the server has recovered: well within the lease."""
BEATS = 1.5
"""Seconds in which both workers renew their leases."""

_numbers = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of our own, which keeps its promises through a crash."""
    with PostgresServer(durable=True) as started:
        yield started


@pytest.fixture
def yard(server: PostgresServer, tmp_path: Path) -> Iterator[Yard]:
    url = server.create_database(f"restart_{next(_numbers)}")
    prepare(url)
    made = Yard(url, tmp_path)
    yield made
    made.close()


Outage = Callable[[], float]
"""The server is away for a while; gives when it was back."""


def outage(server: PostgresServer, seconds: float, mode: StopMode = "immediate") -> float:
    """Crash or stop the server, and start it *seconds* later; when it was back."""
    server.stop(mode)
    threading.Event().wait(seconds)
    server.start()
    return time.monotonic()


def resumed(yard: Yard, back: float) -> float:
    """Wait for the first start after *back*; how long that took."""
    pause = threading.Event()

    def starts() -> list[float]:
        return [record.at for record in yard.history.read() if record.kind == "started" and record.at > back]

    until(lambda: pause.wait(0.05) or bool(starts()), patience=20)
    pause.wait(BEATS)
    return min(starts()) - back


def outages(
    server: PostgresServer, lengths: Sequence[float], modes: Sequence[StopMode] = ("immediate",)
) -> list[Outage]:
    """One for each of *lengths*."""
    return [partial(outage, server, seconds, mode) for seconds, mode in zip(lengths, cycle(modes), strict=False)]


def survives(yard: Yard, outages: Sequence[Outage], long: float) -> str:
    """Jobs of *long* seconds run through all *outages*, short ones flow; gives the figures."""
    workers = [yard.short(*LEASE), yard.short(*LEASE)]
    producer = yard.start("tests.support.producer", "--rate", "20", "--max-attempts", "2")
    jobs = [job for task in ("nap", "doze") for lasts in (long / 2, long) for job in yard.enqueue(task, lasts, count=3)]
    for job in jobs:
        yard.started(job)
    pauses = [resumed(yard, away()) for away in outages]
    yard.store.close()  # its connections have ended too
    pause = threading.Event()
    until(
        lambda: pause.wait(0.05) or all(any(run.how == "ended" for run in yard.runs(job)) for job in jobs),
        patience=long + 20,
    )
    producer.signal(signal.SIGTERM)
    assert producer.ends() == 0
    until(lambda: pause.wait(0.05) or tables(yard.store)[0] == 0, patience=20)
    assert all(worker.lives for worker in workers)
    once(yard, jobs)
    report, answers = yard.report(), Counter(record.kind for record in yard.history.read())
    return (
        f"{len(outages)} outages: {report.accepted} accepted, {answers['unknown']} unknown, {answers['refused']} "
        f"refused; {report.executions} executions; resumed after {median(pauses):.2f} s, {max(pauses):.2f} at most"
    )


def once(yard: Yard, jobs: list[str]) -> None:
    """Every job there is had one start, one end, one outcome."""
    report, found = yard.report(), read_tables(yard.url)
    runs = list(runs_of(yard.history.read()))
    assert {row.state for row in found.past} == {"succeeded"}
    assert [row for row in found.past if row.attempt != 1] == []
    assert set(jobs) <= {row.job for row in found.past}
    assert sorted(run.job for run in runs) == sorted(row.job for row in found.past)
    assert {run.how for run in runs} == {"ended"}
    assert (report.lost, report.uninvited, report.in_both, report.twice) == ((), 0, (), ())
    assert (report.overlaps, report.stale, report.misnumbered) == ((), (), ())


def test_an_outage_longer_than_the_lease_spends_no_attempt(server: PostgresServer, yard: Yard) -> None:
    for _ in range(2):
        yard.short("--lease", "4", "--beat", "0.5", "--rescue", "0.1", "--slots", "2")
    done, cut = yard.enqueue("nap", 2.0, max_attempts=1, count=2), yard.enqueue("first-slow", 60, max_attempts=1)
    for job in (*done, *cut):
        yard.started(job)
    outage(server, 6.0)
    yard.store.close()
    until(lambda: all(yard.see(job).state.final for job in (*done, *cut)), patience=20)
    infos = [yard.see(job) for job in (*done, *cut)]
    assert [(info.state, info.attempt, info.crashes) for info in infos] == [(State.SUCCEEDED, 1, 0)] * 3
    assert [len(yard.starts(job)) for job in (*done, *cut)] == [1, 1, 2]


def test_no_job_is_started_twice_when_the_server_crashes(server: PostgresServer, yard: Yard, say: Say) -> None:
    say(survives(yard, outages(server, [0, OUTAGE]), 5.0))


@pytest.mark.soak
def test_no_long_job_is_started_twice_when_the_server_crashes_again_and_again(
    server: PostgresServer, yard: Yard, say: Say
) -> None:
    say(survives(yard, outages(server, [0, OUTAGE] * 3), 30.0))


@pytest.mark.soak
def test_no_job_is_started_twice_when_the_server_restarts_sixty_times(
    server: PostgresServer, yard: Yard, say: Say
) -> None:
    say(survives(yard, outages(server, [0, 1] * 30, ("fast", "fast", "immediate", "immediate")), 60.0))
