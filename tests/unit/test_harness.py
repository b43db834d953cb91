"""``Harness``: an app with another store for one block, and its jobs run in it."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncGenerator, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor import (
    Backoff,
    Cancel,
    Context,
    Conveyor,
    ConveyorError,
    Ended,
    Fail,
    JobFailed,
    Retry,
    Snooze,
    State,
    UsageError,
    current,
)
from conveyor.testing import Harness, TaskFailed

NOWHERE = "sqlite:////nowhere/at-all.db"


@pytest.fixture
def app() -> Conveyor:
    """An app whose own store cannot be opened."""
    return Conveyor(NOWHERE)


@pytest.fixture
def harness(app: Conveyor) -> Iterator[Harness]:
    with Harness(app) as opened:
        yield opened


# ---------------------------------------------------------------- the store


def test_the_app_has_a_store_of_its_own_in_the_block_and_its_old_one_after_it(app: Conveyor) -> None:
    @app.task(name="t")
    def task() -> None: ...

    with Harness(app) as harness:
        task.enqueue()
        assert app.jobs.counts()[State.READY] == 1
        assert app.store is harness.store
        assert harness.url == f"sqlite:///{harness.path}"
        assert harness.path.exists()
        folder = harness.path.parent
    assert not folder.exists()
    with pytest.raises(UsageError, match="no folder /nowhere"):
        app.jobs.counts()


def test_an_app_that_was_used_before_finds_its_jobs_again(tmp_path: Path) -> None:
    app = Conveyor(f"sqlite:///{tmp_path}/own.db")

    @app.task(name="t")
    def task() -> None: ...

    own = task.enqueue()
    with Harness(app):
        assert app.jobs.list() == []
        task.enqueue()
    assert [job.id for job in app.jobs.list()] == [own.id]
    app.close()


def test_harnesses_may_stand_in_each_other(app: Conveyor) -> None:
    @app.task(name="t")
    def task() -> None: ...

    with Harness(app) as outer:
        task.enqueue()
        with Harness(app) as inner:
            assert inner.enqueued() == []
            task.enqueue()
            task.enqueue()
            assert len(inner.drain()) == 2
        assert len(outer.enqueued()) == 1


def test_a_harness_can_be_used_again_but_not_inside_of_itself(app: Conveyor) -> None:
    harness = Harness(app)
    assert repr(harness) == "<Harness of <Conveyor on sqlite>>"
    for _ in range(2):
        with harness, pytest.raises(UsageError, match="in use already"), harness:
            pass
        for outside in (harness.drain, harness.surrounding, lambda: harness.url, lambda: harness.clock):
            with pytest.raises(UsageError, match="inside of its block"):
                outside()


def test_a_url_names_another_store(app: Conveyor, tmp_path: Path) -> None:
    with Harness(app, "sqlite:///:memory:") as harness, pytest.raises(UsageError, match="is no SQLite file"):
        harness.path.exists()
    with Harness(app, f"sqlite:///{tmp_path}/jobs.db") as harness:
        assert harness.path == tmp_path / "jobs.db"
        assert harness.clock.now <= datetime.now(UTC)
    assert (tmp_path / "jobs.db").exists()


def test_a_harness_that_cannot_open_its_store_leaves_the_app_as_it_was(app: Conveyor) -> None:
    harness = Harness(app, "sqlite:////nowhere/else.db")
    with pytest.raises(UsageError, match="no folder"), harness:
        pass
    with pytest.raises(UsageError, match="inside of its block"):
        harness.drain()


# ---------------------------------------------------------------- drain


def test_drain_runs_what_is_due_and_what_that_enqueues_in_order(app: Conveyor, harness: Harness) -> None:
    ran: list[object] = []

    @app.task(name="count")
    def count(down: int) -> int:
        ran.append(down)
        if down:
            count.enqueue(down - 1)
        return down

    @app.task(name="say", queue="talk")
    async def say(word: str) -> str:
        ran.append(word)
        return word

    count.enqueue(2)
    say.enqueue("a")
    app.enqueue_many([count.bind(0), count.bind(0)])
    say.using(queue="whisper", priority=9).enqueue("b")
    done = harness.drain()
    assert ran == [2, "a", 0, 0, "b", 1, 0]
    assert [one.job.result() for one in done] == ran
    assert {(one.state, one.attempt, one.error) for one in done} == {(State.SUCCEEDED, 1, None)}
    assert [one.task for one in done[:2]] == ["count", "say"]
    assert harness.drain() == []


def test_in_a_queue_drain_goes_by_priority(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t")
    def task(number: int) -> int:
        return number

    for number, priority in enumerate([0, 5, -5, 5]):
        task.using(priority=priority).enqueue(number)
    assert [one.job.result() for one in harness.drain()] == [1, 3, 0, 2]


def test_drain_takes_queues_that_appear_meanwhile_and_leaves_paused_ones(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t")
    def task(queue: str) -> str:
        if queue:
            task.using(queue=queue).enqueue("")
        return queue

    task.enqueue("new")
    held = task.using(queue="held").enqueue("")
    app.queues.pause("held")
    assert len(harness.drain()) == 2
    assert held.refresh().state is State.READY
    app.queues.resume("held")
    assert [one.job.id for one in harness.drain()] == [held.id]


def test_one_job_runs_at_a_time_and_another_can_be_cancelled_before_its_turn(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t", takes_context=True)
    def task(ctx: Context, other: str) -> str:
        assert app.jobs.counts()[State.RUNNING] == 1
        return str(app.jobs.get(other).cancel()) if other else ""

    second = task.using(priority=-1).enqueue("")
    task.enqueue(second.id)
    (first,) = harness.drain()
    assert first.job.result() == "cancelled"


def test_a_plain_task_runs_in_the_tests_own_thread_where_no_event_loop_runs(app: Conveyor, harness: Harness) -> None:
    mark: ContextVar[str] = ContextVar("mark", default="unset")
    here = threading.get_ident()
    told: list[int] = []

    @app.on_finish
    def hook(ended: Ended) -> None:
        told.append(threading.get_ident())

    @app.task(name="t")
    def task() -> str:
        assert threading.get_ident() == here
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return mark.get()

    mark.set("the test's")
    task.enqueue()
    (ran,) = harness.drain()
    assert ran.job.result() == "unset"
    assert told == [here]


def test_drain_is_the_whole_worker(app: Conveyor) -> None:
    """Lifespan, middleware, hooks, context: once for a drain, and around each job."""
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Conveyor) -> AsyncGenerator[str]:
        seen.append("begin")
        yield "state"
        seen.append("end")

    app = Conveyor(NOWHERE, lifespan=lifespan)

    @app.middleware
    async def wrap(ctx: Context, call: object) -> object:
        assert callable(call)
        seen.append("around")
        return await call()

    @app.on_success
    async def hook(ended: Ended) -> None:
        seen.append(f"{ended.task} {ended.state} {ended.meta}")

    @app.task(name="t", takes_context=True)
    async def task(ctx: Context) -> str:
        ctx.progress(0.5, "half")
        return str(ctx.state)

    with Harness(app) as harness:
        task.using(meta={"a": 1}).enqueue()
        (ran,) = harness.drain()
        assert ran.job.result() == "state"
        assert ran.job.info is not None
        assert ran.job.info.progress is not None
        assert ran.job.info.progress.message == "half"
    assert seen == ["begin", "around", "t succeeded {'a': 1}", "end"]


def test_transactional_tasks_and_their_children_work(app: Conveyor, harness: Harness) -> None:
    @app.task(name="child")
    def child() -> None: ...

    @app.task(name="t", transactional=True)
    def task(fails: bool) -> None:
        current().connection.execute("INSERT INTO t VALUES (1)")
        child.enqueue()
        if fails:
            raise ValueError

    with contextlib.closing(sqlite3.connect(harness.path)) as own:
        own.execute("CREATE TABLE t (x)")
        task.enqueue(False)
        assert [one.task for one in harness.drain()] == ["t", "child"]
        task.enqueue(True)
        assert [one.state for one in harness.drain(raises=False)] == [State.RETRYABLE]
        assert own.execute("SELECT * FROM t").fetchall() == [(1,)]


def test_what_a_test_enqueues_within_its_transaction_is_due_once_that_is_committed(
    app: Conveyor, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.testing.rigged.LOCK_WAIT", 0.01)

    @app.task(name="t")
    def task(number: int) -> int:
        return number

    with contextlib.closing(sqlite3.connect(harness.path)) as own:
        with app.within(own):
            app.enqueue_many(task.bind(number) for number in range(3))
            task.enqueue(3)
        with pytest.raises(UsageError, match=r"a transaction is open on .*/jobs.db"):
            harness.drain()
        own.commit()
    assert [one.job.result() for one in harness.drain()] == [0, 1, 2, 3]


def test_a_drain_inside_a_within_block_joins_nothing(app: Conveyor, harness: Harness) -> None:
    @app.task(name="child")
    def child() -> None: ...

    @app.task(name="t")
    async def task() -> None:
        await child.aenqueue()

    task.enqueue()

    async def drained() -> list[str]:
        with contextlib.closing(sqlite3.connect(harness.path)) as own, app.within(own):
            return [one.task for one in await harness.adrain()]

    assert asyncio.run(drained()) == ["t", "child"]


# ---------------------------------------------------------------- failures


def test_the_first_failure_ends_a_drain_and_says_what_was_raised(app: Conveyor, harness: Harness) -> None:
    @app.task(name="bad", max_attempts=2)
    def bad(word: str) -> None:
        raise ValueError(word)

    one, two = bad.enqueue("one"), bad.enqueue("two")
    with pytest.raises(
        TaskFailed, match=r"bad failed in attempt 1 of 2, and would be tried again: ValueError: one"
    ) as f:
        harness.drain()
    assert isinstance(f.value, JobFailed)
    assert isinstance(f.value.__cause__, ValueError)
    assert f.value.job.state is State.RETRYABLE
    assert (one.refresh().state, two.refresh().state) == (State.RETRYABLE, State.READY)
    with pytest.raises(TaskFailed, match="two"):
        harness.drain()


def test_failures_can_be_looked_at_instead(app: Conveyor, harness: Harness) -> None:
    @app.task(name="bad", max_attempts=1)
    async def bad(word: str) -> None:
        raise ValueError(word)

    bad.enqueue("one")
    bad.enqueue("two")
    ran = harness.drain(raises=False)
    assert [str(one.error) for one in ran] == ["one", "two"]
    assert [one.state for one in ran] == [State.FAILED] * 2


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Retry(after=60), State.RETRYABLE),
        (Snooze(60), State.SCHEDULED),
        (Cancel("no more"), State.CANCELLED),
    ],
)
def test_what_a_task_says_to_its_worker_is_no_failure(
    app: Conveyor, harness: Harness, verdict: Exception, state: State
) -> None:
    @app.task(name="t")
    def task() -> None:
        raise verdict

    task.enqueue()
    (ran,) = harness.drain()
    assert (ran.state, ran.error) == (state, verdict)


@pytest.mark.parametrize("last", [Fail("no good"), Retry(after=60, reason="no good")])
def test_a_job_that_has_failed_for_good_is_a_failure_however_it_said_so(
    app: Conveyor, harness: Harness, last: Exception
) -> None:
    @app.task(name="t", max_attempts=1)
    def task() -> None:
        raise last

    task.enqueue()
    with pytest.raises(TaskFailed, match=r"failed in attempt 1 of 1: conveyor\.\w+: no good"):
        harness.drain()


def test_a_failure_that_no_function_raised_has_no_cause(app: Conveyor, harness: Harness) -> None:
    @app.task(name="slow", timeout=0.01)
    async def slow() -> None:
        await asyncio.Event().wait()

    @app.task(name="large")
    def large() -> object:
        return object()

    slow.enqueue()
    with pytest.raises(TaskFailed, match="longer than its timeout") as timed_out:
        harness.drain()
    assert timed_out.value.__cause__ is None
    large.enqueue()
    with pytest.raises(TaskFailed, match="PayloadError: result") as refused:
        harness.drain()
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, pytest.fail.Exception])
def test_what_is_meant_for_the_test_run_comes_out_as_it_is(
    app: Conveyor, harness: Harness, error: type[BaseException], raises: bool
) -> None:
    @app.task(name="t")
    def task() -> None:
        raise error("now")

    task.enqueue()
    task.enqueue()
    with pytest.raises(error, match="now"):
        harness.drain(raises=raises)
    assert len(app.jobs.list(state="ready")) == 1


def test_a_task_without_end_is_stopped_by_the_limit(app: Conveyor, harness: Harness) -> None:
    @app.task(name="again")
    def again() -> None:
        again.enqueue()

    again.enqueue()
    with pytest.raises(UsageError, match=r"5 attempts have run, and there is more to do; the latest was of again"):
        harness.drain(limit=5)

    @app.task(name="t")
    def task() -> None: ...

    with Harness(app) as other:
        app.enqueue_many(task.bind() for _ in range(5))
        assert len(other.drain(limit=5)) == 5


def test_jobs_that_a_task_has_deleted_are_left_out(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t")
    def task(other: str) -> None:
        if other:
            app.jobs.delete(other)

    first = task.enqueue("")
    task.enqueue(first.id)
    assert [one.job.id == first.id for one in harness.drain()] == [False]


def test_a_drain_is_refused_inside_of_one_and_where_an_event_loop_runs(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t")
    def task() -> None:
        harness.drain()

    task.enqueue()
    with pytest.raises(TaskFailed, match=r"drain\(\) is at work already"):
        harness.drain()

    async def looped() -> None:
        for blocking, instead in ((harness.drain, "adrain"), (harness.run_all, "arun_all")):
            with pytest.raises(UsageError, match=rf"use `await harness.{instead}\(\)`"):
                blocking()

    asyncio.run(looped())


# ---------------------------------------------------------------- time


def test_what_is_scheduled_waits_for_the_clock(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t")
    def task(word: str) -> str:
        return word

    task.using(run_after=timedelta(days=3)).enqueue("delay")
    task.using(run_after=datetime.now(UTC) + timedelta(days=3)).enqueue("due")
    task.using(run_after=datetime.now(UTC)).enqueue("now")
    assert [one.job.result() for one in harness.drain()] == ["now"]
    harness.clock.advance(days=2)
    assert harness.drain() == []
    harness.clock.advance(days=1)
    assert [one.job.result() for one in harness.drain()] == ["delay", "due"]


def test_a_retry_waits_for_the_clock_however_short_its_pause(app: Conveyor, harness: Harness) -> None:
    """The clock stands still during a drain: how long that takes does not decide."""

    @app.task(name="t", backoff=Backoff.fixed(0.001, jitter=0), takes_context=True)
    def task(ctx: Context) -> int:
        if ctx.attempt == 1:
            threading.Event().wait(0.01)
            raise ValueError
        return ctx.attempt

    job = task.enqueue()
    assert [one.state for one in harness.drain(raises=False)] == [State.RETRYABLE]
    assert job.refresh().state is State.RETRYABLE
    harness.clock.advance(0.001)
    assert [one.job.result() for one in harness.drain()] == [2]


def test_run_all_runs_everything_in_the_order_of_its_time(app: Conveyor, harness: Harness) -> None:
    ran: list[tuple[str, int]] = []

    @app.task(name="t", backoff=Backoff.fixed(3_600, jitter=0), takes_context=True)
    def task(ctx: Context, word: str, fails: int) -> None:
        ran.append((word, ctx.attempt))
        if ctx.attempt <= fails:
            raise ValueError

    before = harness.clock.now
    task.using(run_after=timedelta(minutes=90)).enqueue("later", 0)
    task.enqueue("now", 2)
    done = harness.run_all()
    assert ran == [("now", 1), ("now", 2), ("later", 1), ("now", 3)]
    assert [one.attempt for one in done] == [1, 2, 1, 3]
    assert timedelta(hours=2) <= harness.clock.now - before < timedelta(hours=3)


def test_run_all_ends_with_a_job_that_has_failed_for_good(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t", max_attempts=3)
    def task() -> None:
        raise ValueError

    task.enqueue()
    with pytest.raises(TaskFailed, match="failed in attempt 3 of 3: ValueError"):
        harness.run_all()
    task.enqueue()
    assert [one.attempt for one in harness.run_all(raises=False)] == [1, 2, 3]


def test_run_all_has_a_limit_too(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t")
    def task() -> None:
        raise Snooze(60)

    task.enqueue()
    with pytest.raises(UsageError, match="4 attempts have run"):
        harness.run_all(limit=4)


def test_expired_jobs_end_and_old_ones_go_as_time_passes(app: Conveyor, harness: Harness) -> None:
    @app.task(name="t")
    def task() -> None: ...

    old = task.enqueue()
    harness.drain()
    late = task.using(expires=60).enqueue()
    harness.clock.advance(days=31)
    assert harness.drain() == []
    assert (late.refresh().state, late.refresh().cancelled) == (State.CANCELLED, "expired")
    assert [job.id for job in app.jobs.list()] == [late.id] != [old.id]


def test_the_time_of_a_harness_can_be_set(app: Conveyor) -> None:
    @app.task(name="t")
    def task() -> None: ...

    start = datetime(2030, 1, 1, tzinfo=UTC)
    with Harness(app, now=start) as harness:
        job = task.using(run_after=start + timedelta(hours=1)).enqueue()
        assert job.refresh().enqueued_at - start < timedelta(milliseconds=1)
        assert harness.drain() == []
        harness.clock.move_to(start + timedelta(hours=1))
        assert len(harness.drain()) == 1


# ---------------------------------------------------------------- async tests


async def test_in_an_event_loop_async_tasks_run_in_that_loop(app: Conveyor) -> None:
    loop, thread = asyncio.get_running_loop(), threading.get_ident()
    mark: ContextVar[str] = ContextVar("mark", default="unset")
    mark.set("the test's")

    @app.task(name="in the loop")
    async def in_the_loop() -> str:
        assert asyncio.get_running_loop() is loop
        return mark.get()

    @app.task(name="beside it")
    def beside_it() -> None:
        assert threading.get_ident() != thread

    async with Harness(app) as harness:
        await in_the_loop.aenqueue()
        await beside_it.aenqueue()
        ran = await harness.adrain()
        assert [one.task for one in ran] == ["in the loop", "beside it"]
        assert await ran[0].job.aresult() == "unset"
        await in_the_loop.using(run_after=3_600).aenqueue()
        assert await harness.adrain() == []
        assert len(await harness.arun_all()) == 1


async def test_a_thread_that_outlives_its_timeout_is_given_up(app: Conveyor) -> None:
    go_on = threading.Event()

    @app.task(name="stuck", timeout=0.01)
    def stuck() -> None:
        go_on.wait(30)

    async with Harness(app) as harness:
        try:
            await stuck.aenqueue()
            with pytest.raises(TaskFailed, match=r"in attempt 1 of 5, .*longer than its timeout of 0\.01 s"):
                await harness.adrain()
            await stuck.aenqueue()
            with pytest.raises(ConveyorError, match="nobody can end but by ending the process"):
                await harness.adrain(raises=False)
        finally:
            go_on.set()


async def test_failures_come_out_of_an_async_drain_too(app: Conveyor) -> None:
    @app.task(name="bad")
    async def bad() -> None:
        raise ValueError("one")

    async with Harness(app) as harness:
        await bad.aenqueue()
        with pytest.raises(TaskFailed, match="one"):
            await harness.adrain()
        assert [one.attempt for one in await harness.arun_all(raises=False)] == [2, 3, 4, 5]
