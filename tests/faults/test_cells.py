"""Plain functions in processes of their own: what they do there is nobody else's trouble (P05, P08, P09, P10)."""

import os
import signal
import sqlite3
from pathlib import Path

import psycopg
import pytest

from conveyor.core.judge import CRASHES_ALLOWED
from conveyor.core.lifecycle import State
from conveyor.core.model import Attempt, JobInfo
from tests.faults.celled import BROKEN, greedy, talk
from tests.faults.tasks import THROWN
from tests.support.stores import rows
from tests.support.waiting import until
from tests.support.yard import Process, Yard, dead

SOON = 20.0


@pytest.fixture
def worker(yard: Yard, request: pytest.FixtureRequest) -> Process:
    """A worker of the tasks in ``celled``."""
    options = getattr(request, "param", ())
    return yard.start("conveyor", "worker", "--app", "tests.faults.celled:app", *options).working()


ONE = pytest.mark.parametrize("worker", [("--cells", "1")], indirect=True, ids=["one cell"])
TWO = pytest.mark.parametrize("worker", [("--cells", "2")], indirect=True, ids=["two cells"])


FILE = pytest.mark.parametrize("yard", ["sqlite-file"], indirect=True)
"""For what has nothing to do with the store."""


def last(info: JobInfo) -> Attempt:
    assert info.attempts, info
    return info.attempts[-1]


def failure(info: JobInfo, kind: str) -> str:
    """What the last attempt says, which ended by an error of that *kind*."""
    error = last(info).error
    assert error is not None
    assert error.type.endswith(kind), error
    return error.message


def cell(yard: Yard, job: str) -> int:
    """Where it was started last."""
    yard.started(job)
    return yard.starts(job)[-1].pid


@TWO
def test_who_kills_its_process_is_charged_and_nobody_else(yard: Yard, worker: Process) -> None:
    deaths = {"kill": "killed by SIGKILL (9)", "exit": "exit status 3", "segv": "SIGSEGV (11)", "socket": "status 74"}
    quick = yard.enqueue("quick", count=20)
    doomed = {how: yard.enqueue("die", how, max_attempts=1)[0] for how in deaths}
    quick += yard.enqueue("quick", count=20)
    for how, text in deaths.items():
        info = yard.is_(doomed[how], State.FAILED)
        assert text in failure(info, "WorkerLost")
        assert (info.crashes, info.attempt) == (1, 1)
        assert f"last words of {how}" in last(info).output
    assert "in die" in (last(yard.see(doomed["segv"])).error or pytest.fail("none")).traceback
    for job in quick:
        info = yard.is_(job, State.SUCCEEDED)
        assert (info.attempt, info.crashes, info.attempts) == (1, 0, ())
        assert len(yard.starts(job)) == 1
    assert worker.lives


@ONE
@FILE
def test_who_closes_the_wire_and_goes_on_has_crashed_when_the_next_word_comes(yard: Yard, worker: Process) -> None:
    (job,) = yard.enqueue("deaf", max_attempts=1)
    yard.started(job)
    worker.signal(signal.SIGTERM)  # which has the cell asked for what it has not begun
    info = yard.is_(job, State.FAILED)
    assert "status 74" in failure(info, "WorkerLost")
    assert (info.crashes, len(yard.starts(job))) == (1, 1)


@TWO
@FILE
def test_three_crashes_are_enough(yard: Yard, worker: Process) -> None:
    (job,) = yard.enqueue("die", "kill", max_attempts=10)
    info = yard.is_(job, State.QUARANTINED)
    assert (info.crashes, len(yard.starts(job))) == (CRASHES_ALLOWED, CRASHES_ALLOWED)
    assert [attempt.event for attempt in info.attempts] == ["retry", "retry", "quarantine"]
    assert worker.lives


@ONE
@FILE
def test_what_was_used_is_known_of_a_job_that_has_died_of_it(yard: Yard, worker: Process) -> None:
    info = yard.is_(yard.enqueue("toil", max_attempts=1)[0], State.FAILED)
    assert 0.3 < last(info).cpu < 2.5  # as of the last look
    assert last(info).memory > 10 * 1024**2
    assert info.crashes == 1


@FILE
def test_what_a_task_raises_is_its_own_failure_and_the_process_lives(yard: Yard, worker: Process) -> None:
    (before,) = yard.enqueue("quick")
    yard.is_(before, State.SUCCEEDED)
    jobs = {kind: yard.enqueue("throw", kind, max_attempts=1)[0] for kind in THROWN}
    for kind, job in jobs.items():
        failure(yard.is_(job, State.FAILED), kind)
    (after,) = yard.enqueue("quick")
    assert yard.is_(after, State.SUCCEEDED).result == yard.see(before).result
    (apart,) = yard.enqueue("apart")
    assert yard.is_(apart, State.SUCCEEDED).result == yard.see(before).result  # async, and in the cell


def test_time_is_up_softly_first_and_then_for_certain(yard: Yard, worker: Process) -> None:
    slow = yard.enqueue("sleep", 60, max_attempts=1, timeout=0.4)[0]
    tidy = yard.enqueue("tidies", timeout=0.4)[0]
    deaf = yard.enqueue("regex", max_attempts=1, timeout=0.4)[0]
    parents = [yard.enqueue("child", apart, max_attempts=1, timeout=0.4)[0] for apart in (0, 1)]
    limited = yard.enqueue("greedy", max_attempts=1, extras=greedy.options.stored_extras)[0]
    info = yard.is_(slow, State.FAILED)
    assert "longer than its timeout of 0.4 s" in failure(info, "SoftTimeout")
    assert info.crashes == 0
    assert yard.is_(tidy, State.SUCCEEDED).result == b'"tidied"'
    for job in (deaf, *parents):
        info = yard.is_(job, State.FAILED)
        assert "longer than its timeout of 0.4 s" in failure(info, "AttemptTimedOut")
        assert info.crashes == 0
    children = [int((yard.folder / f"{parent}.child").read_text()) for parent in parents]
    until(lambda: all(map(dead, children)), patience=SOON)
    info = yard.is_(limited, State.FAILED)
    assert "memory=150MB" in failure(info, "MemoryLimitExceeded")
    assert last(info).memory > 150 * 1024**2
    assert worker.lives


@ONE
@FILE
def test_the_child_of_a_task_that_forks_ends_nothing_but_itself(yard: Yard, worker: Process) -> None:
    for task in ("fork", "fork-async"):
        for how in ("returns", "raises"):
            info = yard.is_(yard.enqueue(task, how)[0], State.SUCCEEDED)
            assert (info.result, info.attempt) == (b'"of the parent, 0"', 1)
    assert yard.is_(yard.enqueue("quick")[0], State.SUCCEEDED).attempt == 1


@ONE
@FILE
def test_no_job_finds_what_another_has_left_in_its_process(yard: Yard, worker: Process) -> None:
    (clean,) = yard.enqueue("look")
    expected = yard.is_(clean, State.SUCCEEDED).result
    (spoiler,) = yard.enqueue("spoil")
    yard.is_(spoiler, State.SUCCEEDED)
    (after,) = yard.enqueue("look")
    assert yard.is_(after, State.SUCCEEDED).result == expected
    assert expected is not None
    assert f'"pid":{(yard.see(spoiler).result or b"").decode()}' in expected.decode()


@ONE
@FILE
def test_what_is_said_is_kept_within_bounds_and_without_secrets(yard: Yard, worker: Process) -> None:
    (job,) = yard.enqueue("talk", "s3cretword", 5_000, extras=talk.options.stored_extras)
    yard.is_(job, State.SUCCEEDED)
    said = last(yard.see(job)).output
    assert "s3cretword" not in said
    assert "the word is [redacted]" in said
    assert "line 000000" in said
    assert "line 004999" in said
    assert "bytes are left out" in said
    assert len(said) < 40_000
    worker.says("line 002500")  # and the worker's own output has all of it


@ONE
def test_a_transaction_is_committed_once_whenever_its_process_dies(yard: Yard, worker: Process) -> None:
    create = "CREATE TABLE effect (job text, attempt integer)"
    if yard.url.startswith("sqlite"):
        with sqlite3.connect(yard.url.removeprefix("sqlite:///")) as connection:
            connection.execute(create)
        connection.close()
    else:
        with psycopg.connect(yard.url, autocommit=True) as server:
            server.execute(create)
    before, behind = (yard.enqueue("effect", when)[0] for when in ("before", "behind"))
    info = yard.is_(before, State.SUCCEEDED)
    assert (info.attempt, info.crashes, info.result) == (2, 1, b"2")
    assert [(a.number, a.event, a.output) for a in info.attempts] == [
        (1, "retry", "paid 1\n"),
        (2, "succeed", "paid 2\n"),  # a part of the transaction as well
    ]
    info = yard.is_(behind, State.SUCCEEDED)
    assert (info.attempt, info.crashes, info.result, last(info).output) == (1, 0, b"1", "paid 1\n")
    (forked,) = yard.enqueue("effect-forked", max_attempts=1)
    assert yard.is_(forked, State.SUCCEEDED).attempt == 1
    assert "no longer this runner's" not in worker.said
    effects = sorted(map(tuple, rows(yard.store, "SELECT job, attempt FROM effect")))
    assert effects == sorted([(before, 2), (behind, 1), (forked, 1)])


@TWO
def test_a_cell_that_is_killed_alone_is_its_own_jobs_trouble(yard: Yard, worker: Process) -> None:
    (victim,) = yard.enqueue("once")
    (neighbour,) = yard.enqueue("sleep", 2)
    yard.started(neighbour)
    os.kill(cell(yard, victim), signal.SIGKILL)
    info = yard.is_(victim, State.SUCCEEDED)
    assert (info.attempt, info.crashes) == (2, 1)
    assert yard.is_(neighbour, State.SUCCEEDED).attempt == 1
    assert worker.lives


def test_a_worker_that_has_lost_its_lease_has_lost_its_cells_and_begins_again(yard: Yard) -> None:
    short = ("--lease", "1.5", "--beat", "0.3", "--rescue", "0.3", "--cells")
    zombie = yard.short(*short)
    (job,) = yard.enqueue("first-slow-sync", 60)
    place = cell(yard, job)
    zombie.stops()
    until(lambda: dead(place), patience=SOON)  # by itself: its runner is silent
    successor = yard.short(*short)
    assert yard.is_(job, State.SUCCEEDED).attempt == 2
    successor.kill()
    zombie.signal(signal.SIGCONT)
    zombie.says("the lease of worker")
    (after,) = yard.enqueue("doze", 0)
    assert yard.is_(after, State.SUCCEEDED).attempt == 1


@FILE
def test_cells_die_with_their_worker(yard: Yard, worker: Process) -> None:
    jobs = yard.enqueue("sleep", 60, count=2)
    cells = [cell(yard, job) for job in jobs]
    worker.signal(signal.SIGKILL)  # it alone: nobody but the kernel, and they themselves, ends its cells
    until(lambda: all(map(dead, cells)), patience=SOON)
    assert not any(yard.runs(job)[0].how == "ended" for job in jobs)


@ONE
@FILE
def test_an_app_that_cannot_be_imported_is_said_once_and_costs_no_attempt(yard: Yard, worker: Process) -> None:
    mark = Path(yard.folder) / BROKEN
    mark.touch()
    (job,) = yard.enqueue("quick")
    worker.says("broken for the test")
    until(lambda: worker.said.count("no attempt spent") > 1, patience=SOON)
    assert worker.said.count("no process for plain functions") == 1
    mark.unlink()
    info = yard.is_(job, State.SUCCEEDED)
    assert (info.attempt, info.crashes, info.attempts) == (1, 0, ())
