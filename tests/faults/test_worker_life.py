"""The life of a worker: how it stops, what stops it, and what must not (P03, P04, P06, P08, P09)."""

import signal

import pytest

from conveyor.core.lifecycle import State
from tests.faults.tasks import THROWN
from tests.support.history import read_tables
from tests.support.waiting import until
from tests.support.yard import Yard

SOON = 5.0
"""Seconds that a worker with nothing to wait for takes to end, on a busy machine."""
LEASE = 1.5
SHORT = ("--lease", str(LEASE))
EX_TEMPFAIL = 75


# ---------------------------------------------------------------- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_jobs_finish_within_the_grace(yard: Yard, number: signal.Signals) -> None:
    worker = yard.worker("--grace", "20")
    jobs = yard.enqueue("nap", 1.0) + yard.enqueue("doze", 1.0)
    for job in jobs:
        yard.started(job)
    worker.signal(number)
    assert worker.ends() == 0
    for job in jobs:
        info = yard.see(job)
        assert (info.state, info.attempt, info.result) == (State.SUCCEEDED, 1, b"1.0")


def test_nothing_is_claimed_after_sigterm(yard: Yard) -> None:
    worker = yard.worker("--grace", "20")
    (running,) = yard.enqueue("nap", 1.0)
    yard.started(running)
    worker.signal(signal.SIGTERM)
    worker.says("1 job is running")  # a claim that was under way is over
    (late,) = yard.enqueue("nap", 0)
    assert worker.ends() == 0
    assert yard.see(running).state is State.SUCCEEDED
    info = yard.see(late)
    assert (info.state, info.attempt) == (State.READY, 0)


def test_after_the_grace_running_jobs_are_released_with_no_attempt_spent_and_run_again(yard: Yard) -> None:
    worker = yard.worker("--grace", "0.3")
    jobs = yard.enqueue("first-slow", 60) + yard.enqueue("first-slow-sync", 60)
    for job in jobs:
        yard.started(job)
    worker.signal(signal.SIGTERM)
    assert worker.ends(SOON) == 0
    for job in jobs:
        row = next(row for row in read_tables(yard.url).hot if row.job == job)
        assert (row.state, row.attempt) == ("waiting", 0)
        assert yard.see(job).attempts == ()
    yard.worker()
    for job in jobs:
        assert yard.is_(job, State.SUCCEEDED).attempt == 1
        assert [start.attempt for start in yard.starts(job)] == [1, 1]
    report = yard.report()
    assert (report.overlaps, report.stale) == ((), ())


def test_a_second_signal_ends_the_worker_at_once(yard: Yard) -> None:
    worker = yard.worker("--grace", "60")
    jobs = yard.enqueue("nap", 60) + yard.enqueue("doze", 60)
    for job in jobs:
        yard.started(job)
    worker.signal(signal.SIGTERM)
    worker.says("they have 60 s")
    worker.signal(signal.SIGTERM)
    assert worker.ends(SOON) == 0
    for job in jobs:
        info = yard.see(job)
        assert (info.runner, info.attempt, info.crashes) == (None, 0, 0)


def test_claims_that_have_not_started_are_released_at_sigterm(yard: Yard) -> None:
    worker = yard.worker("-q", "default=1", "--grace", "20")
    quick = yard.enqueue("nap", 0, count=200)
    until(lambda: yard.see(quick[-1]).state is State.SUCCEEDED)
    yard.enqueue("nap", 3.0)
    waiting = yard.enqueue("nap", 0, count=100)
    until(lambda: sum(row.state == "running" for row in read_tables(yard.url).hot) > 1)
    worker.signal(signal.SIGTERM)
    worker.says("it has 20 s")
    until(lambda: sum(row.state == "running" for row in read_tables(yard.url).hot) <= 1)
    assert worker.ends() == 0
    rows = [row for row in read_tables(yard.url).hot if row.job in waiting]
    assert len(rows) > 0
    assert {(row.state, row.attempt) for row in rows} == {("waiting", 0)}


def test_a_task_that_swallows_every_cancellation_cannot_keep_the_worker_from_ending(yard: Yard) -> None:
    worker = yard.worker("--grace", "0")
    (job,) = yard.enqueue("cling", 60)
    yard.started(job)
    worker.signal(signal.SIGTERM)
    assert worker.ends(5 + SOON) == 0
    info = yard.see(job)
    assert (info.runner, info.attempt) == (None, 0)


def test_a_thread_that_an_async_task_waits_for_cannot_keep_the_worker_from_ending(yard: Yard) -> None:
    worker = yard.worker("--grace", "1")
    (job,) = yard.enqueue("elsewhere", 40)
    yard.started(job)
    worker.signal(signal.SIGTERM)
    assert worker.ends(1 + SOON) == 0
    info = yard.see(job)
    assert (info.state.final, info.runner, info.attempt, info.crashes) == (False, None, 0, 0)


def test_a_burst_ends_when_nothing_is_due(yard: Yard) -> None:
    jobs = yard.enqueue("nap", 0.01, count=30) + yard.enqueue("doze", 0.01, count=30)
    assert yard.worker("--burst").ends() == 0
    assert {yard.see(job).state for job in jobs} == {State.SUCCEEDED}


def test_a_burst_runs_what_failed_and_is_due_again(yard: Yard) -> None:
    (job,) = yard.enqueue("stumble", 2, 0)
    assert yard.worker("--burst").ends() == 0
    info = yard.see(job)
    assert (info.state, info.attempt) == (State.SUCCEEDED, 3)


# ------------------------------------------------------------ other workers


def test_a_task_that_a_worker_does_not_know_is_left_to_one_that_does(yard: Yard) -> None:
    yard.worker()
    (unknown,) = yard.enqueue("stranger")
    for job in yard.enqueue("nap", 0, count=20):
        yard.is_(job, State.SUCCEEDED)
    info = yard.see(unknown)
    assert (info.state, info.attempt) == (State.READY, 0)
    yard.worker(app="other")
    info = yard.is_(unknown, State.SUCCEEDED)
    assert info.attempt == 1


def test_two_workers_share_the_work_fairly(yard: Yard) -> None:
    workers = [yard.worker(), yard.worker()]
    jobs = yard.enqueue("nap", 0, count=4_000)
    until(lambda: not read_tables(yard.url).hot, patience=60)
    report = yard.report()
    assert (report.completed, report.twice, report.overlaps) == (4_000, (), ())
    runners = [worker.runner for worker in workers]
    shares = [sum(record.pid == runner for record in yard.history.read()) / 3 for runner in runners]
    assert min(shares) >= 500, shares  # a busy machine may give one of them the processor more often
    assert yard.see(jobs[-1]).attempt == 1


# ---------------------------------------------------------- lease and fence


def test_heartbeat_on_the_loop_would_double_a_job_that_blocks_the_loop(yard: Yard) -> None:
    for _ in range(2):  # both before it blocks: one that came while it does might come too late to take it
        yard.short(*SHORT)
    (job,) = yard.enqueue("block", 3 * LEASE)
    info = yard.is_(job, State.SUCCEEDED)
    assert (info.attempt, info.crashes) == (1, 0)
    assert len(yard.starts(job)) == 1


def test_a_stopped_worker_is_succeeded_and_its_late_outcome_refused(yard: Yard) -> None:
    zombie = yard.short(*SHORT)
    (job,) = yard.enqueue("first-slow", 1.0)
    yard.started(job)
    zombie.stops()
    successor = yard.short(*SHORT)
    info = yard.is_(job, State.SUCCEEDED)
    assert (info.attempt, info.crashes) == (2, 1)
    zombie.signal(signal.SIGCONT)
    zombie.says("was refused")
    zombie.says("the lease of worker")
    assert yard.see(job) == info
    report = yard.report()
    assert (report.lost, report.in_both, report.stale, report.misnumbered) == ((), (), (), ())
    assert [run.pid for run in yard.runs(job)] == [zombie.pid, successor.pid]


def test_a_worker_that_was_stopped_works_again_under_a_new_identity(yard: Yard) -> None:
    worker = yard.short(*SHORT)
    (job,) = yard.enqueue("first-slow", 60)
    yard.started(job)
    worker.stops()
    until(lambda: yard.dead() == 1)
    worker.signal(signal.SIGCONT)
    worker.says("the lease of worker")
    yard.is_(job, State.SUCCEEDED)
    for late in yard.enqueue("doze", 0.01, count=20):
        yard.is_(late, State.SUCCEEDED)
    report = yard.report()
    assert (report.overlaps, report.stale, report.misnumbered) == ((), (), ())
    assert worker.lives


def test_a_lost_lease_costs_no_slot_though_its_task_clings_on(yard: Yard) -> None:
    """The worker may take its own lost job again while the old attempt has not ended."""
    worker = yard.short(*SHORT, "--slots", "2")
    (job,) = yard.enqueue("cling", 4 * LEASE)
    yard.started(job)
    worker.stops()
    until(lambda: yard.dead() == 1)
    worker.signal(signal.SIGCONT)
    yard.is_(job, State.SUCCEEDED)
    pair = yard.enqueue("nap", 1.0, count=2)
    for each in pair:
        yard.is_(each, State.SUCCEEDED)
    first, second = (yard.runs(each)[0] for each in pair)
    assert second.start < first.end
    assert first.start < second.end


def test_a_worker_whose_lease_is_lost_ends_when_only_that_ends_a_thread(yard: Yard) -> None:
    worker = yard.short(*SHORT)
    (job,) = yard.enqueue("first-slow-sync", 60)
    yard.started(job)
    worker.stops()
    until(lambda: yard.dead() == 1)
    worker.signal(signal.SIGCONT)
    assert worker.ends(SOON) == EX_TEMPFAIL
    yard.short(*SHORT)
    yard.is_(job, State.SUCCEEDED)
    assert yard.report().overlaps == ()


# ----------------------------------------------------------------- timeouts


def test_an_async_task_that_outlives_its_timeout_has_failed_and_is_retried(yard: Yard) -> None:
    yard.worker()
    (job,) = yard.enqueue("first-slow", 60, timeout=0.3)
    info = yard.is_(job, State.SUCCEEDED)
    assert info.attempt == 2
    (attempt,) = info.attempts
    assert attempt.error is not None
    assert attempt.error.type.endswith("AttemptTimedOut")
    assert attempt.finished_at - attempt.started_at < 5_000_000


def test_a_thread_that_outlives_its_timeout_ends_the_worker_and_the_next_retries(yard: Yard) -> None:
    worker = yard.start("tests.support.worker", "--lease", "20", "--grace", "1").working()
    (job,) = yard.enqueue("first-slow-thread", 60, timeout=0.3)
    (bystander,) = yard.enqueue("first-slow", 60)
    assert worker.ends(SOON) == EX_TEMPFAIL
    (attempt,) = yard.see(job).attempts
    assert attempt.error is not None
    assert attempt.error.type.endswith("AttemptTimedOut")
    assert yard.see(bystander).attempt == 0
    yard.worker()
    assert yard.is_(job, State.SUCCEEDED).attempt == 2
    assert yard.report().overlaps == ()


def test_a_thread_that_heeds_its_cancellation_does_not_end_the_worker(yard: Yard) -> None:
    worker = yard.worker()
    (job,) = yard.enqueue("heed", 60, timeout=0.3, max_attempts=1)
    yard.is_(job, State.FAILED)
    (after,) = yard.enqueue("nap", 0)
    yard.is_(after, State.SUCCEEDED)
    assert worker.lives


def test_a_script_that_runs_a_worker_does_not_outlive_it_for_a_late_thread(yard: Yard) -> None:
    script = yard.start("tests.support.worker", "--lease", "20")
    script.working()
    (job,) = yard.enqueue("first-slow-sync", 30, timeout=0.3)
    assert script.ends(SOON) == EX_TEMPFAIL
    assert yard.see(job).attempt == 1


# ---------------------------------------------------------------- exceptions


def test_whatever_a_task_throws_is_that_jobs_failure_and_the_worker_lives(yard: Yard) -> None:
    worker = yard.worker()
    jobs = {
        (task, kind): yard.enqueue(task, kind, max_attempts=1)[0] for task in ("throw", "throw-sync") for kind in THROWN
    }
    for (task, kind), job in jobs.items():
        error = yard.is_(job, State.FAILED).error
        assert error is not None
        made_over = (task, kind) == ("throw", "StopIteration")  # by Python, in a coroutine
        assert error.type.rpartition(".")[2] == ("RuntimeError" if made_over else kind)
    (after,) = yard.enqueue("nap", 0)
    yard.is_(after, State.SUCCEEDED)
    assert worker.lives


def test_sigusr1_shows_the_stacks_and_changes_nothing(yard: Yard) -> None:
    worker = yard.worker()
    jobs: list[str] = []
    for task, seconds in (("doze", 6.0), ("block", 2.0)):
        jobs += yard.enqueue(task, seconds)
        yard.started(jobs[-1])
    worker.signal(signal.SIGUSR1)
    worker.says("in block")
    worker.says("in doze")
    for job in jobs:
        assert yard.is_(job, State.SUCCEEDED).attempt == 1
