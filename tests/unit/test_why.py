"""Why has this job not run? One line for each state, and the one thing that is missing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conveyor.core.clock import stored
from conveyor.core.errors import UnfitArguments
from conveyor.core.failure import Failure, describe
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import State
from conveyor.core.model import Attempt, JobInfo, QueueInfo, Runner, RunnerInfo
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


QUEUE = QueueInfo("mail", None, ready=1, scheduled=0, retryable=0, running=0, oldest=None)


def runner(
    *,
    alive: bool = True,
    queue: str = "mail",
    slots: int = 10,
    tasks: tuple[str, ...] = ("shop.mail",),
    id_: str = "aa",
) -> Runner:
    return Runner(id_, RunnerInfo("box", 42, {queue: slots}, tasks, "0"), alive, NOON)


def why(
    state: State = State.READY, *runners: Runner, ahead: int = 0, queue: QueueInfo | None = None, **changes: object
) -> str:
    job = replace(JOB, state=state, **changes)  # type: ignore[arg-type]  # the test's own
    return explain(job, runners, ahead, queue)


def test_a_job_that_was_given_back_is_told_from_one_that_has_not_started() -> None:
    line = "scheduled: its time is 2030-01-01 12:00:00 UTC"
    assert why(State.SCHEDULED, last_attempted_at=None) == line
    given_back = f"{line}; it was given back, or put off, after a start at 2030-01-01 12:00:00 UTC"
    assert why(State.SCHEDULED) == given_back


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (State.RETRYABLE, "retryable: attempt 2 of 5 failed (ValueError: no tea); again at 2030-01-01 12:00:00 UTC"),
        (State.SUCCEEDED, "succeeded: at attempt 2, 2030-01-01 12:00:00 UTC"),
        (State.FAILED, "failed: at attempt 2 of 5 (ValueError: no tea)"),
        (State.CANCELLED, "cancelled: no reason given, 2030-01-01 12:00:00 UTC"),
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
    assert why(State.READY, runner(), runner(slots=5, tasks=())).endswith("which 1 running worker has 10 slots")
    assert why(State.READY, runner(slots=1)).endswith("which 1 running worker has 1 slot")


@pytest.mark.parametrize(("running", "busy"), [(9, False), (10, True), (11, True)])
def test_all_slots_are_taken(running: int, busy: bool) -> None:
    line = why(State.READY, runner(), queue=replace(QUEUE, running=running))
    assert line.endswith("10 slots, and all are taken") == busy


def test_its_queue_is_paused_whatever_else_it_waits_for() -> None:
    line = "ready: queue 'mail' is paused since 2030-01-01 12:00:00 UTC; resume it with `conveyor queues resume mail`"
    paused = replace(QUEUE, paused_at=NOON)
    assert why(State.READY, queue=paused) == line
    assert why(State.READY, runner(), ahead=7, queue=paused) == line
    assert why(State.SCHEDULED, queue=paused).startswith("scheduled: its time is ")


def test_what_is_to_be_typed_can_be_typed() -> None:
    job = replace(JOB, queue="a b")
    assert "`conveyor queues resume 'a b'`" in explain(job, [], 0, replace(QUEUE, paused_at=NOON))
    assert "`conveyor worker -q 'a b'`" in explain(job, [runner()], 0)


@pytest.mark.parametrize("state", [State.SCHEDULED, State.READY, State.RETRYABLE])
def test_until_when_it_may_start(state: State) -> None:
    assert why(state, runner(), expires_at=NOON).endswith("; it is not started after 2030-01-01 12:00:00 UTC")
    assert "not started" not in why(state, runner())


def test_why_it_was_cancelled() -> None:
    assert why(State.CANCELLED, cancelled="no longer wanted") == "cancelled: no longer wanted, 2030-01-01 12:00:00 UTC"
    assert why(State.CANCELLED, cancelled=EXPIRED) == (
        "cancelled: expired, its time was over before it started, 2030-01-01 12:00:00 UTC"
    )


def test_it_is_in_quarantine() -> None:
    assert why(State.QUARANTINED, crashes=3) == (
        "quarantined: at attempt 2 of 5 (ValueError: no tea); its worker died of it 3 times"
    )


def test_it_runs_and_where() -> None:
    assert why(State.RUNNING, runner()) == "running: attempt 2 since 2030-01-01 12:00:00 UTC by box pid 42"


def test_it_runs_and_was_asked_to_stop() -> None:
    assert why(State.RUNNING, runner(), cancelled="enough").endswith(" by box pid 42; asked to stop (enough)")


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


def test_a_job_that_fits_no_code_says_why_and_when_it_is_tried_again() -> None:
    misfit = describe(UnfitArguments("shop.mail(user): got an unexpected keyword argument 'plan'"))
    attempts = (Attempt(1, "release", stored(NOON), 1, "aa", misfit),)
    reason = "shop.mail(user): got an unexpected keyword argument 'plan'"
    line = f"retryable: its arguments do not fit the code of worker aa: {reason}; "
    again = "next try at 2030-01-01 12:00:00 UTC, no attempt is spent"
    assert why(State.RETRYABLE, attempts=attempts) == line + again
    now = why(State.READY, runner(), attempts=attempts)
    assert now.startswith("ready: next in queue 'mail'")
    assert now.endswith(f"; its arguments do not fit the code of box pid 42: {reason}")
    assert "do not fit" not in why(State.RUNNING, attempts=attempts)
    assert "do not fit" not in why(State.READY, attempts=attempts, last_attempted_at=NOON.replace(hour=13))


def test_a_job_that_may_have_killed_its_worker_is_said_to_run_alone() -> None:
    lost = (Attempt(1, "rescue", 0, 1, "aa", ERROR, company=6),)
    line = why(State.READY, runner(), attempts=lost)
    assert line.endswith("; it runs alone, for a worker died while it held it")
