"""What a task may say of its own job, and what its options say, on every store and in both colours."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conveyor import Backoff, Cancel, Conveyor, Fail, Job, Retry, Snooze, State, Task, current
from conveyor.core.model import JobInfo
from conveyor.core.policy import RetryOn
from conveyor.worker.upkeep import Upkeep
from tests.support.shop import ended, in_state, working

HOUR = timedelta(hours=1)
SLACK = timedelta(minutes=10)
COLOURS = pytest.mark.parametrize("plain", [True, False], ids=["plain", "async"])


def task_of(app: Conveyor, body: Callable[[], object], *, plain: bool, **options: Any) -> Task[[], object]:
    """*body* as a task of either colour."""

    def work() -> object:
        return body()

    async def awork() -> object:
        await asyncio.sleep(0)
        return body()

    made: Task[[], object] = app.task(name="work", **options)(work if plain else awork)
    return made


def raises(*errors: BaseException | None) -> Callable[[], object]:
    """Raises one after the other, then returns."""
    left = list(errors)

    def body() -> object:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return "done"

    return body


def wait_of(info: JobInfo) -> timedelta:
    """How long it waits from its last attempt on."""
    assert info.last_attempted_at is not None
    return info.run_after - info.last_attempted_at


# ---------------------------------------------------------------- verdicts


@COLOURS
async def test_snooze_gives_the_attempt_back_and_waits(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(Snooze(HOUR)), plain=plain)
    async with working(app):
        info = await in_state(await task.aenqueue(), State.SCHEDULED)
    assert (info.attempt, info.attempts) == (0, ())
    assert HOUR <= wait_of(info) < HOUR + SLACK


@COLOURS
async def test_snooze_until_a_time_waits_for_that_time(app: Conveyor, plain: bool) -> None:
    until = datetime.now(UTC) + HOUR
    task = task_of(app, raises(Snooze(until)), plain=plain)
    async with working(app):
        info = await in_state(await task.aenqueue(), State.SCHEDULED)
    assert info.run_after == until


@COLOURS
async def test_a_job_may_snooze_more_often_than_it_has_attempts(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(*[Snooze(0)] * 4), plain=plain, max_attempts=1)
    async with working(app):
        info = await ended(await task.aenqueue())
    assert (info.state, info.attempt, info.result) == (State.SUCCEEDED, 1, b'"done"')


@COLOURS
async def test_a_job_that_failed_before_and_snoozes_is_retryable_meanwhile(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(Retry(0), Snooze(HOUR)), plain=plain)
    async with working(app):
        info = await in_state(await task.aenqueue(), State.RETRYABLE)
    assert (info.attempt, [one.event for one in info.attempts]) == (1, ["retry"])
    assert HOUR <= wait_of(info) < HOUR + SLACK


@COLOURS
async def test_retry_says_when(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(Retry(after=HOUR, reason="busy")), plain=plain, backoff=Backoff.fixed(0))
    async with working(app):
        info = await in_state(await task.aenqueue(), State.RETRYABLE)
    assert (info.attempt, [one.error and one.error.message for one in info.attempts]) == (1, ["busy"])
    assert HOUR <= wait_of(info) < HOUR + SLACK


@COLOURS
async def test_retry_without_a_time_waits_as_the_backoff_says(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(Retry()), plain=plain, backoff=Backoff.fixed(3600, jitter=0))
    async with working(app):
        info = await in_state(await task.aenqueue(), State.RETRYABLE)
    assert HOUR <= wait_of(info) < HOUR + SLACK


@COLOURS
async def test_retry_is_tried_again_whatever_retry_on_says_but_not_for_ever(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(*[Retry(0)] * 5), plain=plain, retry_on=KeyError, max_attempts=3)
    async with working(app):
        info = await ended(await task.aenqueue())
    assert (info.state, [one.event for one in info.attempts]) == (State.FAILED, ["retry", "retry", "fail"])


@COLOURS
@pytest.mark.parametrize("reason", ["nothing to do", ""])
async def test_cancel_ends_the_job(app: Conveyor, plain: bool, reason: str) -> None:
    task = task_of(app, raises(Cancel(reason)), plain=plain)
    async with working(app):
        info = await ended(await task.aenqueue())
    assert (info.state, info.attempt, info.attempts, info.error) == (State.CANCELLED, 1, (), None)
    assert info.cancelled == (reason or "cancelled by its task")


async def test_a_child_in_a_task_group_says_it_as_well(app: Conveyor) -> None:
    async def child() -> None:
        raise Snooze(HOUR)

    @app.task(name="work")
    async def work() -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(asyncio.Event().wait())
            async with asyncio.TaskGroup() as inner:
                inner.create_task(child())

    async with working(app):
        info = await in_state(await work.aenqueue(), State.SCHEDULED)
    assert (info.attempt, info.attempts) == (0, ())


@COLOURS
async def test_what_several_children_say_is_a_failure(app: Conveyor, plain: bool) -> None:
    group = ExceptionGroup("two", [Snooze(HOUR), ExceptionGroup("one", [Fail("it is over")])])
    task = task_of(app, raises(group), plain=plain, max_attempts=1)
    async with working(app):
        info = await in_state(await task.aenqueue(), State.FAILED)
    assert info.error is not None
    assert info.error.type == "ExceptionGroup"


@COLOURS
async def test_fail_spends_no_further_attempt(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(Fail("hopeless")), plain=plain, max_attempts=5)
    async with working(app):
        info = await ended(await task.aenqueue())
    assert (info.state, info.attempt) == (State.FAILED, 1)
    assert info.error is not None
    assert info.error.message == "hopeless"


# ------------------------------------------------------------------ policy


def broken(error: BaseException) -> bool:
    raise RuntimeError("broken")


@COLOURS
@pytest.mark.parametrize(
    ("retry_on", "again"),
    [
        (ValueError, True),
        ((KeyError, ArithmeticError, ValueError), True),
        ([KeyError], False),
        (KeyError, False),
        (lambda error: str(error) == "no", True),
        (lambda error: str(error) == "yes", False),
        (broken, True),
        (None, True),
    ],
)
async def test_retry_on_says_what_is_worth_another_attempt(
    app: Conveyor, plain: bool, retry_on: RetryOn | None, again: bool
) -> None:
    task = task_of(app, raises(ValueError("no")), plain=plain, retry_on=retry_on, backoff=Backoff.fixed(0))
    async with working(app):
        info = await ended(await task.aenqueue())
    expected = (State.SUCCEEDED, 2) if again else (State.FAILED, 1)
    assert (info.state, info.attempt) == expected


def no_wait(attempt: int) -> float:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("backoff", "least", "most"),
    [
        (lambda attempt: 1000 * attempt, 1000, 1300),
        (lambda attempt: timedelta(hours=attempt), 3600, 4000),
        (no_wait, 3, 300),  # the default, then
        (lambda _: float("nan"), 3, 300),
        (lambda _: -5, 3, 300),
        (lambda _: "soon", 3, 300),
        (Backoff.fixed(500, jitter=0), 500, 800),
    ],
)
async def test_backoff_says_how_long_to_wait(app: Conveyor, backoff: Any, least: float, most: float) -> None:
    task = task_of(app, raises(ValueError("no")), plain=False, backoff=backoff)
    async with working(app):
        info = await in_state(await task.aenqueue(), State.RETRYABLE)
    assert timedelta(seconds=least) <= wait_of(info) < timedelta(seconds=most)


async def test_a_jobs_own_backoff_goes_before_its_tasks(app: Conveyor) -> None:
    task = task_of(app, raises(ValueError("no")), plain=False, backoff=no_wait)
    async with working(app):
        job = await task.using(backoff=Backoff.fixed(7200, jitter=0)).aenqueue()
        info = await in_state(job, State.RETRYABLE)
    assert 2 * HOUR <= wait_of(info) < 2 * HOUR + SLACK


# -------------------------------------------------------------- what stays


@COLOURS
async def test_a_result_that_is_not_to_be_stored_is_not(app: Conveyor, plain: bool) -> None:
    task = task_of(app, raises(None), plain=plain, store_result=False)
    async with working(app):
        job = await task.aenqueue()
        info = await ended(job)
        assert await job.aresult(timeout=5) is None
    assert (info.state, info.result) == (State.SUCCEEDED, None)


async def test_a_result_that_fits_no_store_is_not_looked_at_when_it_is_not_to_be_stored(app: Conveyor) -> None:
    task = task_of(app, object, plain=False, store_result=False)
    async with working(app):
        info = await ended(await task.aenqueue())
    assert info.state is State.SUCCEEDED


async def pruned(app: Conveyor, job: Job[Any]) -> bool:
    """Whether upkeep deletes *job*."""
    await app.jobs.aprune()
    return not [info for info in await app.jobs.alist() if info.id == job.id]


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
async def test_a_job_that_is_not_to_be_kept_goes_with_the_next_upkeep(
    app: Conveyor, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Upkeep, "_prune", lambda _: asyncio.sleep(0))  # the worker's own would be too quick to see it
    error = {"succeeded": None, "failed": Fail(), "cancelled": Cancel()}[how]
    task = task_of(app, raises(error), plain=False, keep=0)
    async with working(app):
        job = await task.aenqueue()
        info = await ended(job)
        assert info.state == how
        assert info.delete_after == info.finished_at
        assert await pruned(app, job)


async def test_a_job_that_is_kept_for_ever_is_not_pruned(app: Conveyor) -> None:
    task = task_of(app, raises(), plain=False)
    async with working(app):
        job = await task.using(keep=None).aenqueue()
        info = await ended(job)
        assert info.delete_after is None
        assert not await pruned(app, job)


async def test_a_job_is_kept_for_thirty_days_unless_something_is_said(app: Conveyor) -> None:
    task = task_of(app, raises(), plain=False)
    async with working(app):
        info = await ended(await task.aenqueue())
    assert info.finished_at is not None
    assert info.delete_after == info.finished_at + timedelta(days=30)


async def test_a_job_that_is_still_in_time_is_run(app: Conveyor) -> None:
    task = task_of(app, lambda: current().attempt, plain=False, expires=HOUR)
    async with working(app):
        info = await ended(await task.aenqueue())
    assert (info.state, info.result) == (State.SUCCEEDED, b"1")
