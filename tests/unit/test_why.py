"""Why has this job not run? One line for each state, and the one thing that is missing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conveyor.core.failure import Failure
from conveyor.core.lifecycle import State
from conveyor.core.model import Attempt, JobInfo, Runner, RunnerInfo
from conveyor.core.why import AHEAD_COUNTED, explain

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ERROR = Failure(type="ValueError", message="no tea")
JOB = JobInfo(
    id="018f5c2e-7b6a-7c3d-9e8f-0123456789ab",
    task="shop.mail",
    queue="mail",
    priority=0,
    state=State.READY,
    attempt=2,
    max_attempts=5,
    crashes=0,
    token=1,
    timeout=None,
    enqueued_at=NOON,
    run_after=NOON,
    started_at=NOON,
    last_attempted_at=NOON,
    finished_at=NOON,
    run_time=None,
    runner="aa",
    payload=b"[[],{}]",
    result=None,
    attempts=(Attempt(2, "retry", 0, 1, "aa", ERROR),),
)


def runner(
    *,
    alive: bool = True,
    queue: str = "mail",
    slots: int = 10,
    tasks: tuple[str, ...] = ("shop.mail",),
    id_: str = "aa",
) -> Runner:
    return Runner(id_, RunnerInfo("box", 42, {queue: slots}, tasks, "0"), alive, NOON)


def why(state: State = State.READY, *runners: Runner, ahead: int = 0, **changes: object) -> str:
    return explain(replace(JOB, state=state, **changes), runners, ahead)  # type: ignore[arg-type]  # the test's own


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (State.SCHEDULED, "scheduled: its time is 2030-01-01 12:00:00 UTC"),
        (State.RETRYABLE, "retryable: attempt 2 of 5 failed (ValueError: no tea); again at 2030-01-01 12:00:00 UTC"),
        (State.SUCCEEDED, "succeeded: at attempt 2, 2030-01-01 12:00:00 UTC"),
        (State.FAILED, "failed: at attempt 2 of 5 (ValueError: no tea)"),
        (State.QUARANTINED, "quarantined: at attempt 2 of 5 (ValueError: no tea)"),
    ],
)
def test_what_needs_no_worker_says_its_time_or_its_error(state: State, line: str) -> None:
    assert why(state) == line


@pytest.mark.parametrize("runners", [(), (runner(alive=False),)])
def test_no_worker_is_running(runners: tuple[Runner, ...]) -> None:
    assert why(State.READY, *runners) == "ready: no worker is running; start one with `conveyor worker`"


def test_no_running_worker_serves_the_queue() -> None:
    line = "ready: no running worker serves queue 'mail'; start one with `conveyor worker -q mail`"
    assert why(State.READY, runner(queue="other")) == line
    assert why(State.READY, runner(queue="other"), runner(alive=False)) == line


def test_no_running_worker_knows_the_task() -> None:
    line = "ready: no running worker of queue 'mail' knows the task 'shop.mail'; is the new code deployed?"
    assert why(State.READY, runner(tasks=())) == line
    assert why(State.READY, runner(tasks=()), runner(queue="other"), runner(alive=False)) == line


@pytest.mark.parametrize(
    ("ahead", "many"), [(1, "1"), (AHEAD_COUNTED, "1,000"), (AHEAD_COUNTED + 1, "more than 1,000")]
)
def test_others_are_due_before_it(ahead: int, many: str) -> None:
    assert why(State.READY, runner(), ahead=ahead) == f"ready: {many} due before it in queue 'mail'"


def test_it_is_the_next() -> None:
    assert why(State.READY, runner(), runner(slots=5)) == (
        "ready: next in queue 'mail', for which 2 running workers have 15 slots"
    )


def test_only_workers_that_know_the_task_have_slots_for_it() -> None:
    assert why(State.READY, runner(), runner(slots=5, tasks=())).endswith(" have 10 slots")


def test_it_runs_and_where() -> None:
    assert why(State.RUNNING, runner()) == "running: attempt 2 since 12:00:00 UTC by box pid 42"


def test_its_worker_is_dead_or_gone() -> None:
    assert why(State.RUNNING, runner(alive=False)).endswith(
        "by box pid 42, which is dead; another worker will take it back"
    )
    assert why(State.RUNNING).endswith("by runner aa, which is gone; another worker will take it back")


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_one_line_also_without_an_error(state: State) -> None:
    line = why(state, attempts=())
    assert line.startswith(f"{state}: ")
    assert "\n" not in line
    assert "None" not in line


def test_an_error_of_many_lines_is_still_one_line() -> None:
    attempts = (Attempt(2, "fail", 0, 1, "aa", Failure(type="ValueError", message="first\nsecond")),)
    assert "\n" not in why(State.FAILED, attempts=attempts)
