"""``harness.worker()``, and waiting for what it does."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest

from conveyor import Backoff, Context, Conveyor, ConveyorError, Ended, State, UsageError
from conveyor.testing import Harness, TaskFailed
from conveyor.testing.log import Happened, Log
from conveyor.worker.runner import Runner, Settings

app = Conveyor("sqlite:////nowhere/at-all.db")
told: list[str] = []


@app.task(name="add")
def add(left: int, right: int = 0) -> int:
    return left + right


@app.task(name="parent", queue="other")
async def parent(number: int) -> None:
    for left in range(number):
        await add.aenqueue(left)


@app.task(name="flaky", takes_context=True, backoff=Backoff.fixed(3_600, jitter=0))
async def flaky(ctx: Context) -> int:
    if ctx.attempt == 1:
        raise ValueError("the first time")
    return ctx.attempt


@app.task(name="stuck")
async def stuck() -> None:
    await asyncio.Event().wait()


@app.on_success
def hook(ended: Ended) -> None:
    told.append(ended.id)


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Harness(app) as opened:
        yield opened


# ---------------------------------------------------------------- in a thread


def test_a_worker_in_the_background_runs_what_is_enqueued(harness: Harness) -> None:
    with harness.worker():
        jobs = [add.enqueue(number) for number in range(20)]
        assert [harness.wait_for(job).state for job in jobs] == [State.SUCCEEDED] * 20
        assert harness.wait_for(jobs[0].id).id == jobs[0].id
        assert jobs[3].result(timeout=0) == 3
    waiting = add.enqueue(1)
    assert waiting.refresh().state is State.READY


def test_a_worker_serves_the_queues_that_have_jobs_or_those_that_it_is_told(harness: Harness) -> None:
    odd, usual = add.using(queue="odd").enqueue(1), add.enqueue(1)
    with harness.worker({"odd": 1}):
        harness.wait_for(odd)
    assert usual.refresh().state is State.READY
    late = add.using(queue="late").enqueue(1)
    with harness.worker(slots=2):
        harness.wait_for(usual)
        harness.wait_for(late)


def test_time_passes_while_a_worker_works_and_can_be_moved(harness: Harness) -> None:
    soon, later = add.using(run_after=0.05).enqueue(1), add.using(run_after=3_600).enqueue(2)
    with harness.worker():
        harness.wait_for(soon)
        assert later.refresh().state is State.SCHEDULED
        harness.clock.advance(hours=1)
        harness.wait_for(later)


def test_one_can_wait_for_any_state(harness: Harness) -> None:
    job = flaky.enqueue()
    with harness.worker():
        assert harness.wait_for(job, "retryable").attempt == 1
        harness.clock.advance(hours=1)
        assert harness.wait_for(job, state=State.SUCCEEDED).attempt == 2
        with pytest.raises(AssertionError, match=r"ended as succeeded, and was to be running"):
            harness.wait_for(job, "running")
        held = stuck.enqueue()
        assert harness.wait_for(held, "running").state is State.RUNNING
        held.cancel("enough")
        with pytest.raises(AssertionError, match=r"ended as cancelled, and was to be succeeded: enough"):
            harness.wait_for(held, "succeeded")


def test_one_can_wait_for_events_whenever_they_happen(harness: Harness) -> None:
    with harness.worker():
        parent.enqueue(5)
        third = harness.wait_until("succeeded", add, count=3)
        assert (third.kind, third.task, third.attempt) == ("succeeded", "add", 1)
        assert third.id in told
        assert harness.wait_until("enqueued", add, count=5).task == "add"
        assert harness.wait_until("started").task == "parent"
        harness.wait_until("succeeded", count=6)
        flaky.enqueue()
        assert harness.wait_until("retryable", flaky).attempt == 1
    assert harness.wait_until("succeeded", add, count=3) == third
    with pytest.raises(UsageError, match="there is no event 'born'; there are enqueued, started, succeeded"):
        harness.wait_until("born")  # type: ignore[arg-type]  # the type checker knows it too


def test_what_does_not_come_is_waited_for_so_long_and_then_explained(harness: Harness) -> None:
    later = add.using(run_after=3_600).enqueue(1)
    with (
        harness.worker(),
        pytest.raises(TimeoutError, match=r"still scheduled after 0\.1 s, .* at its end: scheduled: "),
    ):
        harness.wait_for(later, timeout=0.1)
    with pytest.raises(TimeoutError, match=r"No worker runs here: wait inside of `with harness\.worker\(\):`"):
        harness.wait_for(later, timeout=0)
    add.enqueue(1)
    harness.drain()
    with pytest.raises(
        TimeoutError, match=r"'failed' has not happened to any task 1 times after 0 s\. The latest.*add"
    ):
        harness.wait_until("failed", timeout=0)
    with Harness(app) as other, pytest.raises(TimeoutError, match=r"to add 2 times .*: none\. No worker"):
        other.wait_until("started", add, count=2, timeout=0)


def test_nobody_looks_again_and_again_while_nothing_happens(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    job = add.using(run_after=3_600).enqueue(1)
    looks: list[float] = []
    read = type(job).refresh
    monkeypatch.setattr(type(job), "refresh", lambda self: (looks.append(time.monotonic()), read(self))[1])
    with pytest.raises(TimeoutError):
        harness.wait_for(job, timeout=0.5)
    assert len(looks) <= 5


def test_running_jobs_finish_at_the_end_of_the_block(harness: Harness) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @app.task(name="long")
    def long() -> str:
        begun.set()
        assert go_on.wait(10)
        return "done"

    with harness.worker():
        job = long.enqueue()
        assert begun.wait(10)
        go_on.set()
    assert job.result(timeout=0) == "done"


def test_the_end_is_quick_when_the_block_raises(harness: Harness) -> None:
    job = stuck.enqueue()

    def block() -> None:
        with harness.worker():
            harness.wait_for(job, "running")
            raise ValueError("of the test's")

    with pytest.raises(ValueError, match="of the test's"):
        block()
    assert job.refresh().state is State.READY


def test_what_ends_the_worker_comes_out() -> None:
    @asynccontextmanager
    async def lifespan(app: Conveyor) -> AsyncGenerator[None]:
        raise ValueError("no lifespan today")
        yield

    broken = Conveyor("sqlite:///:memory:", lifespan=lifespan)

    @broken.task(name="t")
    def task() -> None: ...

    with Harness(broken) as harness:
        job = task.enqueue()
        with pytest.raises(ValueError, match="no lifespan today"), harness.worker():
            harness.wait_for(job)
        with pytest.raises(ValueError, match="no lifespan today"), harness.worker():
            pass
        with pytest.raises(ValueError, match="no lifespan today"):
            harness.drain()

        def block() -> None:
            with harness.worker() as working:
                working._thread.join()
                raise LookupError("of the test's")

        with pytest.raises(LookupError) as both:
            block()
        assert both.value.__notes__ == ["meanwhile the worker had ended: ValueError('no lifespan today')"]

        async def looped() -> None:
            async with harness.worker():
                await harness.await_for(job)

        with pytest.raises(ValueError, match="no lifespan today"):
            asyncio.run(looped())


def test_a_worker_that_does_not_end_is_told_of(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr("conveyor.testing.working.PATIENCE", 0.05)
    monkeypatch.setattr(Runner, "stop", lambda _: None)
    runners: list[tuple[asyncio.AbstractEventLoop, Runner]] = []
    run = Runner.run

    async def noted(self: Runner) -> int:
        runners.append((asyncio.get_running_loop(), self))
        try:
            return await run(self)
        finally:
            ended.set()

    monkeypatch.setattr(Runner, "run", noted)
    add.enqueue(1)
    with pytest.raises(ConveyorError, match="the worker has not ended after"), harness.worker():
        harness.wait_until("succeeded")
    monkeypatch.undo()
    loop, runner = runners[0]
    loop.call_soon_threadsafe(runner.stop)
    assert ended.wait(10)


def test_a_drain_and_a_worker_do_not_go_together(harness: Harness) -> None:
    with harness.worker(), pytest.raises(UsageError, match=r"wait_for\(job\) waits for one"):
        harness.drain()

    @app.task(name="starts a worker")
    def starts() -> None:
        with harness.worker():
            pass

    starts.enqueue()
    with pytest.raises(Exception, match=r"drain\(\) runs the jobs"):
        harness.drain()


# ---------------------------------------------------------------- a result that nobody works for


@app.task(name="asks")
def asks() -> int:
    return add.using(queue="other").enqueue(1).result(timeout=0)


@app.task(name="waits for another")
async def waits_for_another() -> int:
    return await (await add.aenqueue(1, 2)).aresult()


def test_a_result_that_nobody_works_for_is_not_waited_for(harness: Harness) -> None:
    job = add.enqueue(1)
    nobody = r"is ready, and nothing runs jobs here: call harness\.drain\(\) first, or wait inside of `with harness\.w"
    for timeout in (None, 60):
        with pytest.raises(UsageError, match=nobody):
            job.result(timeout)
        with pytest.raises(UsageError, match=nobody):
            asyncio.run(job.aresult(timeout))
    with pytest.raises(TimeoutError):
        job.result(timeout=0)
    with pytest.raises(UsageError, match=nobody):
        harness.perform(waits_for_another)
    harness.drain()
    assert job.result() == asyncio.run(job.aresult()) == 1


def test_it_is_waited_for_while_a_worker_runs(harness: Harness) -> None:
    with harness.worker():
        assert add.enqueue(1, 2).result(timeout=10) == 3
        assert waits_for_another.enqueue().result(timeout=10) == 3

    async def own() -> int:
        runner = app.worker(Settings({"default": 1}))
        running = asyncio.create_task(runner.run())
        await add.aenqueue(1)
        await harness.await_until("succeeded", add, count=3)
        try:
            return await (await add.aenqueue(4)).aresult(timeout=10)
        finally:
            runner.stop()
            await running

    assert asyncio.run(own()) == 4


def test_a_task_of_a_drain_may_wait_for_another_job(harness: Harness) -> None:
    asks.enqueue()
    with pytest.raises(TaskFailed) as failed:
        harness.drain()
    assert isinstance(failed.value.__cause__, TimeoutError)


# ---------------------------------------------------------------- in an event loop


async def test_a_worker_in_the_same_event_loop() -> None:
    loop = asyncio.get_running_loop()

    @app.task(name="in the same loop")
    async def in_the_same_loop() -> bool:
        return asyncio.get_running_loop() is loop

    async with Harness(app) as harness:
        with pytest.raises(UsageError, match=r"use `async with harness\.worker\(\):`"), harness.worker():
            pass
        async with harness.worker():
            mine = await in_the_same_loop.aenqueue()
            assert (await harness.await_for(mine)).result == b"true"
            assert (await harness.await_for(mine.id)).result == b"true"
            await parent.aenqueue(2)
            assert (await harness.await_until("succeeded", add, count=2)).kind == "succeeded"
            with pytest.raises(TimeoutError):
                await harness.await_until("failed", timeout=0)
            with pytest.raises(TimeoutError):
                await harness.await_for(await add.using(run_after=3_600).aenqueue(1), timeout=0.05)
        job = await stuck.aenqueue()

        async def block() -> None:
            async with harness.worker():
                await harness.await_for(job, "running")
                raise ValueError("of the test's")

        with pytest.raises(ValueError, match="of the test's"):
            await block()
        assert (await job.arefresh()).state is State.READY


def test_an_async_waiter_is_told_by_another_thread(harness: Harness) -> None:
    job = add.using(run_after=3_600).enqueue(1)

    async def looped() -> State:
        waiting = asyncio.create_task(harness.await_for(job))
        await asyncio.sleep(0)
        harness.clock.advance(hours=1)
        return (await waiting).state

    with harness.worker():
        assert asyncio.run(looped()) is State.SUCCEEDED


# ---------------------------------------------------------------- the log


def test_news_wake_who_waits_and_old_news_do_not_make_anyone_wait() -> None:
    log = Log()
    seen = log.count
    log.note(Happened("started", "t", "1", 1))
    begun = time.monotonic()
    log.wait(seen, 60)
    asyncio.run(log.await_(seen, 60))
    threading.Thread(target=log.ring).start()
    log.wait(log.count - 1, 60)
    assert time.monotonic() - begun < 30
    assert log.events == [Happened("started", "t", "1", 1)]


def test_a_waiter_whose_loop_has_ended_disturbs_nobody() -> None:
    log = Log()
    asyncio.run(log.await_(log.count, 0))
    log.ring()
    assert log.count == 1
