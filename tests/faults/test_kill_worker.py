"""P01: the worker is killed at any moment, again and again, under load: nothing is lost, nothing has two outcomes."""

import os
import random
import signal
import sqlite3
import statistics
import threading
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.support.history import Record, read_tables, runs_of
from tests.support.say import Say
from tests.support.stores import SERVED, sound, tables
from tests.support.waiting import until
from tests.support.yard import Yard

KILLS = int(os.environ.get("CONVEYOR_KILLS", "4"))
MANY_KILLS = 200
SHORT = ("--lease", "1.5", "--beat", "0.3", "--rescue", "0.3")
KEPT = 20
"""The attempts that a record keeps, and so what a job may need without its record having a gap."""
DRAIN = 30.0
"""Seconds within which all is done once nobody is killed any more."""


LONG = {"postgres": [pytest.mark.postgres, pytest.mark.soak], "redis": [pytest.mark.soak]}
EVERY = pytest.mark.parametrize("yard", SERVED, indirect=True)
SOME = pytest.mark.parametrize("yard", [pytest.param(on, marks=LONG.get(on, ())) for on in SERVED], indirect=True)


def storm(yard: Yard, kills: int, *, max_attempts: int, seed: int = 1) -> None:
    """A producer that never pauses, and workers that are killed soon after they began; then all is worked off."""
    chance, clock = random.Random(seed), threading.Event()
    producer = yard.start("tests.support.producer", "--max-attempts", str(max_attempts), "--seed", str(seed))
    for _ in range(kills):
        worker = yard.short(*SHORT)
        clock.wait(chance.uniform(0.05, 0.6))
        worker.kill()
    producer.signal(signal.SIGTERM)
    assert producer.ends() == 0
    last = yard.short(*SHORT)
    until(lambda: clock.wait(0.05) or drained(yard), patience=DRAIN + kills / 10)
    last.kill()


def drained(yard: Yard) -> bool:
    return tables(yard.store)[0] == 0


def unexplained(records: Sequence[Record]) -> list[str]:
    """Jobs that were started anew though the process of the attempt before lived, and had not seen it fail."""
    gone = {record.pid: record.at for record in records if record.kind == "gone"}
    jobs: dict[str, float] = {}
    found = []
    for run in sorted(runs_of(records), key=lambda run: run.start):
        if run.start < jobs.get(run.job, 0):
            found.append(run.job)
        jobs[run.job] = run.end if run.how == "raised" else gone[run.pid]
    return found


def whole(yard: Yard) -> bool:
    """Whether SQLite finds its file sound, and Redis has the indexes that it must; PostgreSQL looks after its own."""
    if not yard.url.startswith("sqlite"):
        return sound(yard.store) == []
    file = sqlite3.connect(yard.url.removeprefix("sqlite:///"))
    try:
        return bool(file.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    finally:
        file.close()


def taken_back(yard: Yard, records: Sequence[Record]) -> list[float]:
    """Seconds from the death of an execution's process until its job was taken back, by the record of attempts."""
    deaths = {record.pid: record.wall for record in records if record.kind == "gone"}
    cut = {(run.job, run.attempt): deaths[run.pid] for run in runs_of(records) if run.how == "gone"}
    found = []
    for row in read_tables(yard.url).past:
        for number, at in row.taken.items():
            death = cut.get((row.job, number))
            if death is not None:
                found.append(at - death)
    return found


def centiles(times: Sequence[float]) -> str:
    """The middle, the worst but one in a hundred, the worst."""
    if len(times) < 2:
        return "-"
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return f"p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, max {max(times):.2f} s"


def figures(yard: Yard, kills: int) -> str:
    """What the release notes print. A job is *started* again only after those that are due before it."""
    records, found, report = yard.history.read(), read_tables(yard.url), yard.report()
    cut = sum(run.how == "gone" for run in runs_of(records))
    again = centiles([recovery.started for recovery in report.recoveries])
    states = ", ".join(f"{count} {state}" for state, count in Counter(row.state for row in found.past).items())
    return (
        f"{kills} kills: {report.accepted} accepted, {report.unknown} unknown, {len(report.lost)} lost; {states}; "
        f"{report.executions} executions, {cut} cut off, {len(report.twice)} done twice, "
        f"{len(report.in_both)} doubled outcomes, {len(report.overlaps)} overlaps; "
        f"taken back: {centiles(taken_back(yard, records))}; started again: {again}"
    )


def survives(yard: Yard, kills: int, say: Say) -> None:
    storm(yard, kills, max_attempts=KEPT)
    records, found, report = yard.history.read(), read_tables(yard.url), yard.report()
    say(figures(yard, kills))
    assert report.accepted > kills
    assert (report.lost, report.uninvited, report.in_both, found.hot) == ((), 0, (), [])
    assert (report.overlaps, report.stale, report.misnumbered) == ((), (), ())
    assert unexplained(records) == []
    assert {row.state for row in found.past} <= {"succeeded", "quarantined", "failed"}
    assert {row.attempt for row in found.past if row.state == "failed"} <= {KEPT}  # as often as that, it was killed
    assert whole(yard)


@EVERY
def test_kills_lose_no_job_and_give_none_two_outcomes(yard: Yard, say: Say) -> None:
    survives(yard, KILLS, say)


@pytest.mark.soak
@EVERY
def test_many_kills_lose_no_job_and_give_none_two_outcomes(yard: Yard, say: Say) -> None:
    survives(yard, MANY_KILLS, say)


@SOME
def test_with_one_attempt_a_job_is_started_at_most_once_whatever_is_killed(yard: Yard, say: Say) -> None:
    storm(yard, KILLS, max_attempts=1)
    records, found, report = yard.history.read(), read_tables(yard.url), yard.report()
    say(figures(yard, KILLS))
    starts = Counter(record.job for record in records if record.kind == "started")
    assert set(starts.values()) == {1}
    assert (report.lost, report.uninvited, report.in_both, report.misnumbered) == ((), 0, (), ())
    done = {run.job for run in runs_of(records) if run.how == "ended"}
    assert {row.job for row in found.past if row.state == "succeeded"} <= done
    assert {row.state for row in found.past} <= {"succeeded", "failed"}
    assert whole(yard)
