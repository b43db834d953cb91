"""What a task says of its own job, and what people want of a running one; on a store in memory."""

import asyncio
import logging
import threading
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from conveyor import (
    Backoff,
    Cancel,
    Context,
    Conveyor,
    ConveyorWarning,
    Fail,
    Job,
    JobFailed,
    PayloadError,
    Retry,
    Snooze,
    State,
    current,
)
from conveyor.core.model import Progress
from conveyor.worker.runner import Runner, Settings
from tests.support.stores import pass_time
from tests.support.waiting import auntil

WAIT = 5
FAST = Backoff.fixed(0)


def work(app: Conveyor) -> None:
    assert app.run_worker(burst=True) == 0


def raising(app: Conveyor, make: Callable[[], BaseException], **options: object) -> Job[object]:
    """A job that raises that in its first attempt, and then returns the number of the attempt."""

    def verdict() -> int:
        if not raised:
            raised.append(1)
            raise make()
        return current().attempt

    raised: list[int] = []
    task = app.task(name="verdict", backoff=FAST, **options)(verdict)  # type: ignore[call-overload]  # the test's own
    job: Job[object] = task.enqueue()
    work(app)
    return job


# ----------------------------------------------------------------- verdicts


def test_a_task_may_want_another_attempt_whatever_retry_on_says(app: Conveyor) -> None:
    job = raising(app, lambda: Retry(reason="not yet"), retry_on=OSError)
    assert job.result(timeout=WAIT) == 2
    (attempt,) = job.refresh().attempts
    assert (attempt.event, str(attempt.error)) == ("retry", "conveyor.Retry: not yet")


def test_a_task_may_say_when_it_is_tried_again(app: Conveyor) -> None:
    job = raising(app, lambda: Retry(3600))
    info = job.refresh()
    assert (info.state, info.attempt) == (State.RETRYABLE, 1)
    assert timedelta(minutes=59) < info.run_after - datetime.now(UTC) <= timedelta(hours=1)


def test_another_attempt_needs_one_that_is_left(app: Conveyor) -> None:
    assert raising(app, lambda: Retry(3600), max_attempts=1).refresh().state is State.FAILED


@pytest.mark.parametrize("until", [3600, datetime.now(UTC) + timedelta(hours=1)], ids=["wait", "moment"])
def test_a_snoozed_job_is_run_again_later_and_has_lost_no_attempt(app: Conveyor, until: float) -> None:
    job = raising(app, lambda: Snooze(until), max_attempts=1)
    info = job.refresh()
    assert (info.state, info.attempt, info.attempts) == (State.SCHEDULED, 0, ())
    pass_time(app.store, 3601)
    work(app)
    assert job.result(timeout=WAIT) == 1


def test_a_task_may_cancel_its_job(app: Conveyor) -> None:
    job = raising(app, lambda: Cancel("nobody there"))
    with pytest.raises(JobFailed, match=r"is cancelled: nobody there$"):
        job.result(timeout=WAIT)
    info = job.refresh()
    assert (info.state, info.attempt, info.attempts, info.error) == (State.CANCELLED, 1, (), None)
    assert app.jobs.why(job.id).startswith("cancelled: nobody there")


def test_a_task_may_fail_for_good(app: Conveyor) -> None:
    job = raising(app, lambda: Fail("no such customer"))
    info = job.refresh()
    assert (info.state, info.attempt, str(info.error)) == (State.FAILED, 1, "conveyor.Fail: no such customer")


@pytest.mark.parametrize(
    ("error", "state"), [(OSError(), State.SUCCEEDED), (ValueError(), State.FAILED)], ids=["worth", "not"]
)
def test_only_errors_that_are_worth_it_are_tried_again(app: Conveyor, error: Exception, state: State) -> None:
    assert raising(app, lambda: error, retry_on=[OSError]).refresh().state is state


def test_how_long_to_wait_may_depend_on_the_attempt_and_on_the_job(app: Conveyor) -> None:
    @app.task(name="fails", backoff=lambda attempt: 100 * attempt)
    def fails() -> None:
        raise ValueError

    jobs = [fails.enqueue(), fails.using(backoff=Backoff.fixed(1000, jitter=0)).enqueue()]
    work(app)
    waits = [job.refresh().run_after - datetime.now(UTC) for job in jobs]
    assert timedelta(seconds=90) < waits[0] <= timedelta(seconds=100)
    assert timedelta(seconds=990) < waits[1] <= timedelta(seconds=1000)


# ------------------------------------------------------------ what is stored


def test_a_result_that_nobody_wants_is_not_stored_and_may_be_anything(app: Conveyor) -> None:
    job = app.task(name="quiet", store_result=False)(object).enqueue()
    work(app)
    assert job.result(timeout=WAIT) is None
    assert job.refresh().result is None


def test_a_task_sees_its_tags_and_the_facts_of_its_job(app: Conveyor) -> None:
    @app.task(name="look", takes_context=True, tags=["a"])
    def look(ctx: Context) -> list[object]:
        return [list(ctx.tags), ctx.meta, ctx.max_attempts]

    jobs = [look.enqueue(), look.using(meta={"order": {"id": 7}}, tags=["b", "c"]).enqueue()]
    work(app)
    assert [job.result(timeout=WAIT) for job in jobs] == [
        [["a"], {}, 5],
        [["b", "c"], {"order": {"id": 7}}, 5],
    ]
    assert [info.id for info in app.jobs.list(tag="c")] == [jobs[1].id]


def test_progress_is_shown_with_the_job(app: Conveyor) -> None:
    @app.task(name="rows", takes_context=True)
    def rows(ctx: Context) -> None:
        for number in range(10):
            ctx.progress(number / 10, f"row {number}")

    job = rows.enqueue()
    work(app)
    assert job.refresh().progress == Progress(0.9, "row 9")


def test_progress_that_means_nothing_is_refused_where_it_is_said(app: Conveyor) -> None:
    @app.task(name="odd", takes_context=True, max_attempts=1)
    def odd(ctx: Context) -> list[str]:
        said = []
        for value in (-0.1, 1.1, float("nan"), True, "half"):
            try:
                ctx.progress(value)  # type: ignore[arg-type]  # what the test is about
            except (PayloadError, TypeError) as error:
                said.append(type(error).__name__)
        for message in ("x" * 501, "a\0b"):
            with pytest.raises(PayloadError):
                ctx.progress(message=message)
        return said

    job = odd.enqueue()
    work(app)
    assert job.result(timeout=WAIT) == ["PayloadError"] * 3 + ["TypeError"] * 2
    assert job.refresh().progress is None


def test_outside_of_a_transaction_there_is_no_connection(app: Conveyor) -> None:
    job = app.task(name="look", max_attempts=1)(lambda: current().connection).enqueue()
    work(app)
    assert "this attempt has no transaction open" in str(job.refresh().error)


def test_a_job_whose_time_is_over_is_not_started(app: Conveyor) -> None:
    ran: list[int] = []
    task = app.task(name="late", expires=60)(ran.append)
    job, other = task.enqueue(1), task.using(expires=None).enqueue(2)
    pass_time(app.store, 61)
    work(app)
    assert ran == [2]
    with pytest.raises(JobFailed, match=r"is cancelled: expired$"):
        job.result(timeout=WAIT)
    assert (job.attempt, other.refresh().state) == (0, State.SUCCEEDED)


# ---------------------------------------------------------- a running job


@asynccontextmanager
async def working(app: Conveyor, **times: float) -> AsyncGenerator[Runner]:
    """A worker at work."""
    runner = app.worker(Settings({"default": 2}, **times))  # type: ignore[arg-type]  # the test's own
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        runner.stop()
        async with asyncio.timeout(WAIT):
            assert await task == 0


async def is_(job: Job[object], state: State) -> None:
    """Wait until the job is in that state."""
    async with asyncio.timeout(WAIT):
        while (await job.arefresh()).state is not state:  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(0)


async def test_an_async_task_is_cancelled_at_once_and_may_clean_up(app: Conveyor) -> None:
    seen: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cleaned up")

    job = await app.task(name="waits")(waits).aenqueue()
    async with working(app):
        await is_(job, State.RUNNING)
        assert await job.acancel("enough") in {State.RUNNING, State.CANCELLED}  # the worker may have been quicker
        await is_(job, State.CANCELLED)
    info = await job.arefresh()
    assert (info.cancelled, info.attempts, seen) == ("enough", (), ["cleaned up"])


@pytest.mark.parametrize("checks", [True, False])
async def test_a_task_in_a_thread_sees_that_it_is_cancelled(app: Conveyor, checks: bool) -> None:
    def looks() -> str:
        context = current()
        until = threading.Event()
        for _ in range(WAIT * 1000):
            if checks:
                context.checkpoint()
            elif context.cancelled:
                return "ended by itself"
            until.wait(0.001)
        raise TimeoutError

    job = await app.task(name="looks")(looks).aenqueue()
    async with working(app):
        await is_(job, State.RUNNING)
        await job.acancel("enough")
        await is_(job, State.CANCELLED if checks else State.SUCCEEDED)
    info = await job.arefresh()
    assert (info.cancelled, info.attempts) == (("enough" if checks else None), ())


async def test_what_a_cancelled_task_raises_instead_is_kept(app: Conveyor) -> None:
    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError("while it cleaned up") from None

    job = await app.task(name="waits", backoff=FAST)(waits).aenqueue()
    async with working(app):
        await is_(job, State.RUNNING)
        await job.acancel("enough")
        await is_(job, State.CANCELLED)
    info = await job.arefresh()
    assert [(attempt.event, str(attempt.error)) for attempt in info.attempts] == [
        ("cancel", "LookupError: while it cleaned up")
    ]


async def test_a_job_that_waits_for_its_slot_is_cancelled_without_having_started(app: Conveyor) -> None:
    started: list[int] = []
    gate = asyncio.Event()

    async def waits(number: int) -> None:
        started.append(number)
        await gate.wait()

    task = app.task(name="waits")(waits)
    first, second, third = [await task.aenqueue(number) for number in range(3)]
    async with working(app):
        await auntil(lambda: len(started) == 2)
        assert await third.acancel() is State.CANCELLED
        gate.set()
        await is_(first, State.SUCCEEDED)
        await is_(second, State.SUCCEEDED)
    assert (sorted(started), third.attempt) == ([0, 1], 0)


async def test_nothing_of_a_paused_queue_starts_until_it_is_resumed(app: Conveyor) -> None:
    await app.queues.apause("default")
    job = await app.task(name="t")(lambda: 1).aenqueue()
    assert "queue 'default' is paused since" in app.jobs.why(job.id)
    async with working(app):
        (queue,) = await app.queues.alist()
        assert (queue.name, queue.ready, queue.paused_at is not None) == ("default", 1, True)
        await auntil(lambda: app.queues.list()[0].workers == 1)
        await app.queues.aresume("default")
        await is_(job, State.SUCCEEDED)


# ------------------------------------------------------------ in this process


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVEYOR_INLINE", "1")


@pytest.mark.usefixtures("inline")
def test_inline_a_call_runs_at_once_where_it_stands(app: Conveyor) -> None:
    async def double(number: int) -> int:
        return number * 2

    def where() -> int:
        return threading.get_ident()

    plain = app.task(name="where")(where).enqueue()
    assert (plain.state, plain.result(timeout=0)) == (State.SUCCEEDED, threading.get_ident())
    task = app.task(name="double")(double)
    assert task.enqueue(2).result(timeout=0) == 4
    assert [job.result(timeout=0) for job in app.enqueue_many(task.bind(n) for n in range(3))] == [0, 2, 4]
    assert sum(app.jobs.counts().values()) == 0  # nothing is stored


@pytest.mark.usefixtures("inline")
async def test_inline_in_a_running_loop(app: Conveyor) -> None:
    async def double(number: int) -> int:
        return number * 2

    task = app.task(name="double")(double)
    assert await (await task.aenqueue(2)).aresult(timeout=0) == 4
    assert task.enqueue(3).result(timeout=0) == 6


@pytest.mark.usefixtures("inline")
def test_inline_an_error_comes_out_as_it_is_and_a_verdict_is_a_state(app: Conveyor) -> None:
    @app.task(name="verdict")
    def verdict(kind: str) -> None:
        raise {"cancel": Cancel("enough"), "snooze": Snooze(5), "error": LookupError("no tea")}[kind]

    with pytest.raises(LookupError, match="no tea"):
        verdict.enqueue("error")
    assert verdict.enqueue("cancel").state is State.CANCELLED
    assert verdict.enqueue("snooze").state is State.SCHEDULED


async def test_a_blocking_enqueue_in_a_loop_is_warned_of_once(app: Conveyor) -> None:
    task = app.task(name="t")(lambda: None)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(3):
            task.enqueue()
    assert [(one.category, one.filename) for one in warned] == [(ConveyorWarning, __file__)]
    await task.aenqueue()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
