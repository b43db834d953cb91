"""The handle: it asks its desk, waits with growing pauses, and says what became of the job."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from conveyor.core import ids
from conveyor.core.errors import ConveyorWarning, JobFailed, JobNotFound, UsageError
from conveyor.core.failure import Failure
from conveyor.core.lifecycle import State
from conveyor.core.model import Attempt, JobInfo
from conveyor.job import LONGEST_LOOK, Job

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ID = ids.new()
INFO = JobInfo(
    id=ids.text(ID),
    task="shop.mail",
    queue="default",
    priority=0,
    state=State.READY,
    attempt=0,
    max_attempts=5,
    crashes=0,
    token=0,
    timeout=None,
    enqueued_at=NOON,
    run_after=NOON,
    started_at=None,
    last_attempted_at=None,
    finished_at=None,
    run_time=None,
    runner=None,
    payload=b"[[],{}]",
    result=None,
    attempts=(),
)
RUNNING = replace(INFO, state=State.RUNNING, attempt=1)
DONE = replace(INFO, state=State.SUCCEEDED, attempt=1, result=b"42")
NO_TEA = Failure(type="ValueError", message="no tea")
FAILED = replace(INFO, state=State.FAILED, attempt=5, attempts=(Attempt(5, "fail", 0, 1, "", NO_TEA),))

Wait = Callable[..., object]


class Desk:
    """Shows these records one after the other, and then the last one for ever."""

    def __init__(self, *records: JobInfo) -> None:
        self._records = list(records)
        self.looks = 0

    def info(self, id_: bytes) -> JobInfo:
        assert id_ == ID
        self.looks += 1
        if not self._records:
            raise JobNotFound("gone")
        return self._records.pop(0) if len(self._records) > 1 else self._records[0]

    async def ainfo(self, id_: bytes) -> JobInfo:
        return self.info(id_)

    def unattended(self) -> str:
        return ""


class Time:
    """A clock on which only sleeping takes time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr("conveyor.job.time", clock)
    monkeypatch.setattr("conveyor.job.asyncio", SimpleNamespace(sleep=clock.asleep))
    return clock


@pytest.fixture(params=["result", "aresult"])
def wait(request: pytest.FixtureRequest, time: Time) -> Wait:
    """``job.result``, or ``job.aresult`` in a loop of its own."""
    if request.param == "result":
        return Job.result
    return lambda job, *args, **kwargs: asyncio.run(job.aresult(*args, **kwargs))


def job(*records: JobInfo) -> Job[int]:
    return Job(ID, "shop.mail", Desk(*records), lambda data: int(data or b"-1"))


def test_a_new_handle_knows_what_enqueue_knew_and_asks_nobody() -> None:
    made = job()
    assert (made.id, made.task, made.state, made.attempt, made.info) == (
        ids.text(ID),
        "shop.mail",
        State.READY,
        0,
        None,
    )
    assert repr(made) == f"<Job {ids.text(ID)} shop.mail ready>"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_refresh_looks_once_and_takes_it_in(asynchronous: bool) -> None:
    made = job(RUNNING, DONE)
    info = asyncio.run(made.arefresh()) if asynchronous else made.refresh()
    assert info is made.info is RUNNING
    assert (made.state, made.attempt) == (State.RUNNING, 1)


def test_refresh_of_a_job_that_is_gone_says_so() -> None:
    with pytest.raises(JobNotFound):
        job().refresh()


def test_result_waits_for_the_end_and_decodes_the_value(wait: Wait, time: Time) -> None:
    made = job(INFO, RUNNING, RUNNING, DONE)
    assert wait(made) == 42
    assert (made.state, len(time.sleeps)) == (State.SUCCEEDED, 3)


def test_a_result_that_is_there_is_given_without_a_pause(wait: Wait, time: Time) -> None:
    assert wait(job(DONE), timeout=0) == 42
    assert time.sleeps == []


def test_the_pauses_are_short_at_first_and_bounded(wait: Wait, time: Time) -> None:
    wait(job(*[RUNNING] * 30, DONE))
    assert time.sleeps == sorted(time.sleeps)
    assert time.sleeps[0] <= 0.01
    assert time.sleeps[-1] == LONGEST_LOOK


@pytest.mark.parametrize("timeout", [10, 10.0, timedelta(seconds=10)])
def test_time_is_up_when_it_is_up_and_one_last_look_is_taken(wait: Wait, time: Time, timeout: float) -> None:
    made = job(RUNNING)
    with pytest.raises(TimeoutError, match=r"^job .* \(shop\.mail\) is still running after 10.* s$"):
        wait(made, timeout)
    assert time.now == pytest.approx(10)


def test_a_job_that_ends_in_the_last_moment_is_seen(wait: Wait, time: Time) -> None:
    made = job(RUNNING)
    desk = made._desk
    looked = desk.info

    def info(id_: bytes) -> JobInfo:
        return DONE if time.now >= 3 else looked(id_)

    desk.info = info  # type: ignore[method-assign]  # the desk sees the end when time is up, and not before
    assert wait(made, timeout=3) == 42


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0)])
def test_no_time_at_all_is_one_look(wait: Wait, time: Time, timeout: float) -> None:
    made = job(RUNNING)
    with pytest.raises(TimeoutError):
        wait(made, timeout)
    assert time.now == 0
    assert made.state is State.RUNNING


@pytest.mark.usefixtures("time")
def test_a_timeout_that_is_no_number_does_not_mean_for_ever() -> None:
    made = Job(ID, "shop.mail", Desk(*[RUNNING] * 1_000, DONE), lambda _: 42)
    with pytest.raises((ValueError, TimeoutError)):
        made.result(timeout=float("nan"))


def test_a_failed_job_raises_its_stored_error(wait: Wait) -> None:
    with pytest.raises(JobFailed, match=rf"^job {ids.text(ID)} \(shop\.mail\) is failed: ValueError: no tea$"):
        wait(job(RUNNING, FAILED))


@pytest.mark.parametrize("state", [State.CANCELLED, State.QUARANTINED, State.FAILED])
def test_so_does_one_that_ended_without_a_result_or_an_error(wait: Wait, state: State) -> None:
    with pytest.raises(JobFailed, match=rf"is {state}$"):
        wait(job(replace(INFO, state=state)))


def test_a_failure_between_attempts_is_not_the_end(wait: Wait) -> None:
    retrying = replace(FAILED, state=State.RETRYABLE, attempt=1)
    assert wait(job(retrying, RUNNING, DONE)) == 42


def test_a_task_that_returns_nothing_has_a_result(wait: Wait) -> None:
    assert wait(job(replace(DONE, result=None))) == -1


def test_a_wait_may_be_repeated_after_it_timed_out(wait: Wait) -> None:
    made = job(RUNNING, RUNNING, DONE)
    with pytest.raises(TimeoutError):
        wait(made, timeout=0)
    assert wait(made) == 42


def test_a_job_that_vanishes_while_one_waits_says_so(wait: Wait) -> None:
    with pytest.raises(JobNotFound):
        wait(job())


def test_where_nobody_runs_jobs_no_time_is_waited(wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desk, "unattended", lambda _: "nobody is here")
    for timeout in (None, 60):
        with pytest.raises(UsageError, match=r"^job .* \(shop\.mail\) is ready, and nobody is here$"):
            wait(job(INFO), timeout)
    assert wait(job(DONE)) == 42
    with pytest.raises(TimeoutError):
        wait(job(INFO), timeout=0)


async def test_a_blocking_wait_in_a_loop_is_warned_of() -> None:
    made = job(DONE)
    with pytest.warns(
        ConveyorWarning, match=r"result\(\) inside a running event loop .* `await \.+aresult\(\)`"
    ) as warned:
        assert made.result() == 42
    assert [one.filename for one in warned] == [__file__]
    assert made.result() == 42  # what is known by now asks nobody
