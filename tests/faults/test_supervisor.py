"""The tree of a worker: its supervisor, or a runner, is killed, stopped or blocked alone (P01, P04, P06, P11, P12)."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest

from conveyor.core.lifecycle import State
from tests.support.history import read_tables
from tests.support.say import Say, say
from tests.support.stores import SHARED
from tests.support.waiting import until
from tests.support.yard import Process, Yard, alive, descendants

__all__ = ["say"]

ON_A_FILE = pytest.mark.parametrize("yard", ["sqlite-file"], indirect=True)
"""For what takes long, and has nothing to do with the store."""
LEASE = 2.0
SHORT = ("--lease", str(LEASE), "--beat", "0.4")
SOON = 6.0
CLAIMS = 25.0
"""Seconds: a worker that has not claimed for 15 is not ready, and for 20 is replaced."""
LONG_LEASE = 20.0


def stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def begun(yard: Yard, job: str) -> None:
    """Wait until *job*, of ``first-slow``, knows that it has been started once."""
    until((yard.folder / f"{job}.started").exists)


def sound(yard: Yard) -> None:
    report = yard.report()
    assert (report.lost, report.in_both, report.overlaps, report.stale, report.misnumbered) == ((), (), (), (), ())


# ---------------------------------------------------------------- killed


def test_a_runner_that_is_killed_is_replaced_and_its_jobs_taken_back_at_once(yard: Yard) -> None:
    worker = yard.worker()  # with its lease of 20 s, which nobody waits for
    first = worker.runner
    jobs = yard.enqueue("first-slow", 60, count=3)
    for job in jobs:
        begun(yard, job)
    os.kill(first, signal.SIGKILL)
    yard.history.write("gone", pid=first)
    infos = [yard.is_(job, State.SUCCEEDED, patience=LONG_LEASE / 2) for job in jobs]
    assert [(info.attempt, info.crashes) for info in infos] == [(2, 0)] * 3  # nobody knows which one it was
    assert worker.lives
    assert worker.runner != first
    assert "killed by SIGKILL" in worker.said
    sound(yard)


@ON_A_FILE
def test_a_first_runner_that_is_killed_as_it_starts_is_replaced_and_that_is_said(yard: Yard) -> None:
    """As it may be for want of memory; only one that ends by itself has said why no other would do better."""
    worker = yard.start("conveyor", "worker", "--app", "tests.faults.tasks:app")
    os.kill(worker.runner, signal.SIGKILL)
    worker.working()
    assert "runner 1 " in worker.said
    assert "killed by SIGKILL" in worker.said


def test_a_job_with_one_attempt_is_not_started_again_when_its_runner_is_killed(yard: Yard) -> None:
    worker = yard.worker()
    (job,) = yard.enqueue("nap", 60, max_attempts=1)
    yard.started(job)
    os.kill(worker.runner, signal.SIGKILL)
    info = yard.is_(job, State.FAILED, patience=LONG_LEASE / 2)
    assert info.error is not None
    assert info.error.type.endswith("WorkerLost")
    assert len(yard.starts(job)) == 1


def test_a_runner_whose_supervisor_is_killed_gives_its_jobs_back_and_ends(yard: Yard) -> None:
    worker = yard.worker()
    runner = worker.runner
    jobs = yard.enqueue("first-slow", 60, count=2)
    for job in jobs:
        begun(yard, job)
    worker.signal(signal.SIGKILL)
    until(lambda: not alive(runner))
    rows = [row for row in read_tables(yard.url).hot if row.job in jobs]
    assert [(row.state, row.attempt) for row in rows] == [("waiting", 0)] * 2
    yard.worker()
    for job in jobs:
        assert yard.is_(job, State.SUCCEEDED).attempt == 1
    sound(yard)


def test_a_blocked_runner_whose_supervisor_is_killed_ends_before_its_lease(yard: Yard) -> None:
    worker = yard.worker(*SHORT)
    runner = worker.runner
    (job,) = yard.enqueue("block", 60)
    yard.started(job)
    worker.signal(signal.SIGKILL)
    until(lambda: not alive(runner), patience=LEASE + SOON)
    yard.history.write("gone", pid=runner)
    assert "its event loop is blocked" in worker.said


# ---------------------------------------------------------------- stopped


def test_a_runner_that_stands_still_is_killed_when_its_lease_runs_out(yard: Yard) -> None:
    worker = yard.worker(*SHORT)
    first = worker.runner
    (job,) = yard.enqueue("first-slow", 60)
    begun(yard, job)
    os.kill(first, signal.SIGSTOP)
    yard.history.write("gone", pid=first)  # it does nothing any more
    assert yard.is_(job, State.SUCCEEDED).attempt == 2
    assert not alive(first)
    assert "stands still" in worker.said
    sound(yard)


def test_a_supervisor_that_stands_still_is_succeeded_and_goes_on_under_new_names(yard: Yard) -> None:
    worker = yard.worker(*SHORT)
    (job,) = yard.enqueue("first-slow", 60)
    begun(yard, job)
    stopped(worker.pid)
    worker.says("the lease of worker")  # by its own clock, before anybody could take it for dead
    yard.worker(*SHORT)
    assert yard.is_(job, State.SUCCEEDED).attempt <= 2
    worker.signal(signal.SIGCONT)
    until(lambda: sum(runner.alive for runner in yard.store.run(yard.store.operations.runners())) == 2)
    for late in yard.enqueue("nap", 0.01, count=20):
        yard.is_(late, State.SUCCEEDED)
    sound(yard)


def test_a_tree_that_stood_still_changes_nothing_when_it_wakes(yard: Yard) -> None:
    zombie = yard.worker(*SHORT)
    (job,) = yard.enqueue("first-slow", 3.0)
    begun(yard, job)
    runner = zombie.runner
    zombie.stops()
    stopped(runner)
    yard.worker(*SHORT)
    info = yard.is_(job, State.SUCCEEDED)
    assert info.attempt == 2
    os.kill(runner, signal.SIGCONT)
    zombie.signal(signal.SIGCONT)
    until(lambda: sum(runner.alive for runner in yard.store.run(yard.store.operations.runners())) == 2)
    assert yard.see(job) == info
    report = yard.report()
    assert (report.lost, report.in_both, report.stale, report.misnumbered) == ((), (), (), ())


# ---------------------------------------------------------------- blocked


@ON_A_FILE
def test_a_blocked_event_loop_is_told_with_the_name_of_the_task_and_its_job_is_not_doubled(yard: Yard) -> None:
    worker = yard.worker(*SHORT)
    (job,) = yard.enqueue("block", 3 * LEASE)
    yard.started(job)
    worker.says("by task block")
    worker.says("in block")
    info = yard.is_(job, State.SUCCEEDED)
    assert (info.attempt, info.crashes, len(yard.starts(job))) == (1, 0, 1)


@ON_A_FILE
def test_a_task_that_holds_the_gil_is_named_too(yard: Yard) -> None:
    worker = yard.worker(*SHORT)
    (job,) = yard.enqueue("hold-gil", 3 * LEASE)
    yard.started(job)
    worker.says("by task hold-gil")
    info = yard.is_(job, State.SUCCEEDED)
    assert (info.attempt, info.crashes, len(yard.starts(job))) == (1, 0, 1)


@ON_A_FILE
def test_a_task_that_blocks_the_event_loop_beyond_its_deadline_costs_its_runner(yard: Yard) -> None:
    worker = yard.worker()
    first = worker.runner
    (job,) = yard.enqueue("block", 600, timeout=0.5, max_attempts=1)
    info = yard.is_(job, State.FAILED)
    assert len(yard.starts(job)) == 1
    assert info.crashes == 1
    assert worker.runner != first


SHORTLY = pytest.param("after", "sqlite-file", marks=pytest.mark.timeout(180))
AT_LENGTH = [pytest.param(when, on, marks=pytest.mark.soak) for when in ("before", "after") for on in SHARED]


@pytest.mark.parametrize(("when", "yard"), [SHORTLY, *AT_LENGTH], indirect=["yard"])
def test_a_runner_that_claims_nothing_is_not_ready_and_is_replaced(yard: Yard, when: str, say: Say) -> None:
    """And what it has claimed and not begun is no job of anybody's, so that it runs elsewhere, its attempts unspent."""
    worker = yard.start("tests.support.wedged", "--lease", "20", "--beat", "5")
    worker.working()
    first = worker.runner
    until(lambda: health(worker)["status"] == "ready")
    (wedge,) = yard.enqueue("wedge", when)
    yard.is_(wedge, State.SUCCEEDED)
    begun = time.monotonic()
    jobs = yard.enqueue("nap", 0, count=3)
    until(lambda: health(worker)["status"] == "failing", patience=CLAIMS)
    red = time.monotonic() - begun
    worker.says("claims nothing though its event loop turns", patience=CLAIMS)
    until(lambda: worker.runners not in ([], [first]), patience=CLAIMS)
    infos = [yard.is_(job, State.SUCCEEDED, patience=CLAIMS) for job in jobs]
    say(f"hangs {when} the answer: red after {red:.0f} s, jobs done after {time.monotonic() - begun:.0f} s")
    assert [info.crashes for info in infos] == [0] * 3
    assert [len(yard.starts(job)) for job in jobs] == [1] * 3


# ------------------------------------------------------------ look the same


@pytest.mark.timeout(180)
def test_workers_that_look_the_same_are_not_taken_for_each_other(yard: Yard) -> None:
    """Of one host name and, where the test may have namespaces for it, with the same numbers of processes."""
    boxes = [yard.start("tests.support.boxed", *SHORT, "-q", "default=2").working() for _ in range(3)]
    runners = yard.store.run(yard.store.operations.runners())
    assert len({runner.id for runner in runners}) == 3
    assert len({runner.info.host for runner in runners}) == 1
    assert len({runner.info.pid for runner in runners}) == (1 if os.geteuid() == 0 else 3)
    jobs = yard.enqueue("first-slow", 60, count=6)
    for job in jobs:
        begun(yard, job)
    holders = {job: str(yard.see(job).runner) for job in jobs}
    victim = holders[jobs[0]]
    next(box for box in boxes if f"worker {victim[:8]} serves" in box.said).kill()
    yard.start("tests.support.boxed", *SHORT).working()
    lost = [job for job in jobs if holders[job] == victim]
    assert [yard.is_(job, State.SUCCEEDED).attempt for job in lost] == [2, 2]
    others = [yard.see(job) for job in jobs if job not in lost]
    assert [(info.attempt, info.runner) for info in others] == [(1, holders[info.id]) for info in others]
    assert [len(yard.starts(info.id)) for info in others] == [1] * 4


# ---------------------------------------------------------------- replaced


def test_sighup_replaces_the_runners_and_loses_nothing(yard: Yard) -> None:
    worker = yard.worker("--processes", "2", "--grace", "20")
    until(lambda: len(worker.runners) == 2)
    before = set(worker.runners)
    jobs = yard.enqueue("nap", 1.5, count=4)
    for job in jobs:
        yard.started(job)
    worker.signal(signal.SIGHUP)
    until(lambda: len(worker.runners) == 2 and not before & set(worker.runners), patience=20)
    for job in jobs:
        assert yard.is_(job, State.SUCCEEDED).attempt == 1
    sound(yard)


def test_a_runner_that_dies_while_it_is_replaced_leaves_no_second_one(yard: Yard) -> None:
    worker = yard.worker()
    old = worker.runner
    worker.signal(signal.SIGHUP)
    until(lambda: len(worker.runners) == 2)
    os.kill(old, signal.SIGKILL)
    until(lambda: not alive(old) and len(worker.runners) == 1)  # and not two: the one that was to come, and a successor
    (job,) = yard.enqueue("nap", 0)
    yard.is_(job, State.SUCCEEDED)
    until(lambda: health(worker)["status"] == "ready")
    assert len(worker.runners) == 1


def test_a_replacement_that_hangs_is_given_up_for_the_next_one(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "shop_that_hangs.py").write_text(HANGS.format(flag=str(tmp_path / "hang")))
    worker = yard.start("conveyor", "worker", "--app", "shop_that_hangs", path=str(tmp_path)).working()
    first = worker.runner
    (tmp_path / "hang").touch()
    worker.signal(signal.SIGHUP)
    until((tmp_path / "hanging").exists)
    assert health(worker)["status"] == "ready"  # the old one works on
    (tmp_path / "hang").unlink()
    worker.signal(signal.SIGHUP)
    until(lambda: len(worker.runners) == 1 and worker.runners != [first], patience=20)
    (job,) = yard.enqueue("nap", 0)
    yard.is_(job, State.SUCCEEDED)


def test_a_signal_to_all_processes_is_one_signal(yard: Yard) -> None:
    worker = yard.worker("--grace", "20")
    jobs = yard.enqueue("nap", 1.5) + yard.enqueue("doze", 1.5)
    for job in jobs:
        yard.started(job)
    for pid in [worker.pid, *descendants(worker.pid)]:
        os.kill(pid, signal.SIGTERM)
    assert worker.ends() == 0
    assert [yard.see(job).state for job in jobs] == [State.SUCCEEDED] * 2


def test_new_code_that_cannot_be_imported_leaves_the_old_at_work(yard: Yard, tmp_path: Path) -> None:
    module = tmp_path / "shop_of_today.py"
    module.write_text("from tests.faults.tasks import app\n")
    worker = yard.start("conveyor", "worker", "--app", "shop_of_today", path=str(tmp_path)).working()
    first = worker.runner
    module.write_text("raise RuntimeError('half saved')\n")
    worker.signal(signal.SIGHUP)
    worker.says("so the old ones stay")
    assert worker.said.count("half saved") == 1
    (job,) = yard.enqueue("nap", 0)
    yard.is_(job, State.SUCCEEDED)
    assert worker.runners == [first]


HANGS = """
import pathlib, time
from tests.faults.tasks import app

if pathlib.Path({flag!r}).exists():
    pathlib.Path({flag!r}).with_name("hanging").touch()
    time.sleep(600)
"""


def health(worker: Process) -> dict[str, object]:
    """What ``conveyor health`` says of it."""
    said = subprocess.run(
        [sys.executable, "-m", "conveyor", "health", "--json", "--pid", str(worker.pid)],
        stdout=subprocess.PIPE,
        check=False,
    )
    (told,) = json.loads(said.stdout)
    assert (said.returncode == 0) == (told["status"] == "ready")
    state: dict[str, object] = told
    return state


def test_probes_and_metrics_are_answered_over_http(yard: Yard) -> None:
    worker = yard.worker("--http", "127.0.0.1:0", "-q", "default=3")
    (port,) = re.findall(r"answers probes on http://127.0.0.1:(\d+)", worker.said)

    def asked(path: str) -> tuple[int, str]:
        with closing(HTTPConnection("127.0.0.1", int(port), timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    until(lambda: asked("/readyz")[0] == HTTPStatus.OK)
    (job,) = yard.enqueue("nap", 60)
    yard.enqueue("stranger")  # which nobody here knows
    yard.started(job)
    status, body = asked("/healthz")
    assert (status, json.loads(body)["pid"]) == (HTTPStatus.OK, worker.pid)
    figures = {
        "conveyor_worker_ready 1.0",
        "conveyor_store_up 1.0",
        'conveyor_runner_running{runner="1"} 1.0',
        'conveyor_queue_ready{queue="default"} 1.0',
    }
    until(lambda: figures <= {*asked("/metrics")[1].splitlines()})
    assert asked("/else")[0] == HTTPStatus.NOT_FOUND


def test_health_is_red_while_the_supervisor_stands_still(yard: Yard) -> None:
    worker = yard.worker()
    until(lambda: health(worker)["status"] == "ready")
    stopped(worker.pid)
    assert health(worker)["status"] == "silent"
    worker.signal(signal.SIGCONT)
    until(lambda: health(worker)["status"] == "ready")
