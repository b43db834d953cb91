"""Cancelling what runs, with a worker at work: promptly, whatever the task makes of it, and with one end."""

import asyncio
import threading

import pytest

from conveyor import Backoff, Conveyor, Ended, Snooze, State, current
from conveyor.core.model import JobFilter
from conveyor.worker import attempt, watch
from tests.support.shop import PATIENCE, ended, in_state, working

NEVER = 3600.0
WHY = "changed my mind"


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wish that is heard was heard by a ring."""
    monkeypatch.setattr(watch, "LOOK", NEVER)


class Marks:
    """What tasks have come to; may be set from any thread."""

    def __init__(self) -> None:
        self.started, self.told, self.go = threading.Event(), threading.Event(), threading.Event()
        self.calls: list[str] = []


async def set_(event: threading.Event) -> None:
    """Wait for *event*."""
    assert await asyncio.to_thread(event.wait, PATIENCE)


# ----------------------------------------------------------------- promptly


@pytest.mark.direct
@pytest.mark.usefixtures("no_poll")
async def test_an_async_task_is_cancelled_as_soon_as_it_is_asked(app: Conveyor) -> None:
    marks = Marks()

    @app.task(name="wait")
    async def wait() -> None:
        marks.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            marks.calls.append(f"cancelled {current().cancelled}")
            raise

    async with working(app):
        job = await wait.aenqueue()
        await set_(marks.started)
        assert await job.acancel(WHY) in {State.RUNNING, State.CANCELLED}  # it may have heard of it by now
        info = await ended(job)
    assert marks.calls == ["cancelled True"]
    assert (info.state, info.cancelled, info.attempt, info.attempts) == (State.CANCELLED, WHY, 1, ())
    assert (info.result, info.error) == (None, None)


@pytest.mark.direct
@pytest.mark.usefixtures("no_poll")
async def test_a_plain_task_ends_at_its_next_checkpoint(app: Conveyor) -> None:
    marks = Marks()

    @app.task(name="loop")
    def loop() -> None:
        marks.started.set()
        while not marks.go.wait(0.001):
            current().checkpoint()

    async with working(app):
        job = await loop.aenqueue()
        await set_(marks.started)
        await job.acancel(WHY)
        info = await ended(job)
        marks.go.set()
    assert (info.state, info.cancelled, info.attempts) == (State.CANCELLED, WHY, ())


@pytest.mark.direct
@pytest.mark.usefixtures("no_poll")
async def test_a_plain_task_that_looks_and_returns_has_ended_by_itself(app: Conveyor) -> None:
    marks = Marks()

    @app.task(name="loop")
    def loop() -> str:
        marks.started.set()
        while not current().cancelled:
            marks.go.wait(0.001)
        return "half of it"

    async with working(app):
        job = await loop.aenqueue()
        await set_(marks.started)
        await job.acancel(WHY)
        info = await ended(job)
    assert (info.state, info.result, info.cancelled) == (State.SUCCEEDED, b'"half of it"', None)


async def test_a_wish_whose_ring_was_lost_is_found_by_looking(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch.Watch, "ring", lambda _: None)
    monkeypatch.setattr(watch, "LOOK", 0.02)
    marks = Marks()

    @app.task(name="wait")
    async def wait() -> None:
        marks.started.set()
        await asyncio.Event().wait()

    async with working(app):
        job = await wait.aenqueue()
        await set_(marks.started)
        await job.acancel(WHY)
        assert (await ended(job)).state is State.CANCELLED


async def test_a_job_that_waits_for_its_slot_ends_without_one(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.worker.slots.HORIZON", 50.0)  # so that more is claimed than can start
    marks = Marks()

    @app.task(name="quick")
    async def quick() -> None:
        """Makes the worker take the next ones for as quick."""

    @app.task(name="hold")
    async def hold() -> None:
        marks.started.set()
        await asyncio.Event().wait()

    async with working(app, slots=1):
        for job in await app.aenqueue_many(quick.bind() for _ in range(40)):
            await ended(job)
        first, *others = await app.aenqueue_many(hold.bind() for _ in range(5))
        await set_(marks.started)
        late = others[-1]
        await in_state(late, State.RUNNING)
        await late.acancel(WHY)
        info = await ended(late)
        assert (await first.arefresh()).state is State.RUNNING
    assert (info.state, info.attempt, info.cancelled) == (State.CANCELLED, 0, WHY)


# --------------------------------------------------------- at the same time


@pytest.mark.parametrize("attempts", [1, 5])
async def test_a_task_that_fails_after_it_was_asked_is_not_tried_again(app: Conveyor, attempts: int) -> None:
    """A plain one asks for itself, and fails before its worker can have heard of it, or just then."""

    @app.task(name="fail", max_attempts=attempts, backoff=Backoff.fixed(0))
    def fail() -> None:
        current().job.cancel(WHY)
        raise ValueError("no")

    async with working(app):
        info = await ended(await fail.aenqueue())
    expected = {State.CANCELLED} if attempts > 1 else {State.CANCELLED, State.FAILED}
    assert info.state in expected
    assert info.attempt == 1


async def test_a_task_that_returns_after_it_was_asked_has_succeeded(app: Conveyor) -> None:
    @app.task(name="done")
    def done() -> int:
        assert current().job.cancel(WHY) is State.RUNNING
        return 7

    async with working(app):
        info = await ended(await done.aenqueue())
    assert (info.state, info.result, info.cancelled) == (State.SUCCEEDED, b"7", None)


async def test_a_task_that_snoozes_after_it_was_asked_is_not_run_again(app: Conveyor) -> None:
    @app.task(name="snooze")
    def snooze() -> None:
        current().job.cancel(WHY)
        raise Snooze(0)

    async with working(app):
        info = await ended(await snooze.aenqueue())
    assert (info.state, info.cancelled) == (State.CANCELLED, WHY)


@pytest.mark.parametrize("first", ["cancel", "timeout"])
async def test_a_task_that_is_over_its_time_and_cancelled_is_cancelled(app: Conveyor, first: str) -> None:
    marks = Marks()

    @app.task(name="late", timeout=0.05 if first == "timeout" else NEVER, backoff=Backoff.fixed(0))
    async def late() -> None:
        try:
            if first == "cancel":
                await current().job.acancel(WHY)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if first == "timeout":
                await current().job.acancel(WHY)
            running = attempt_of(current().token)
            running.deadline = 0.0
            marks.calls.append("cancelled")
            raise

    async with working(app) as runner:

        def attempt_of(token: int) -> attempt.Attempt:
            return next(one for one in runner._executor.attempts.values() if one.job.token == token)

        info = await ended(await late.aenqueue())
    assert (info.state, info.cancelled, marks.calls) == (State.CANCELLED, WHY, ["cancelled"])
    assert info.attempt == 1


@pytest.mark.parametrize("swallows", [1, 3])
async def test_a_task_that_swallows_its_cancellation_is_cancelled_again(
    app: Conveyor, monkeypatch: pytest.MonkeyPatch, swallows: int
) -> None:
    monkeypatch.setattr(attempt, "CLEAN_UP", 0.02)
    monkeypatch.setattr(watch, "LOOK", 0.02)
    marks = Marks()

    @app.task(name="cling")
    async def cling() -> None:
        marks.started.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                marks.calls.append("cancelled")
                if len(marks.calls) > swallows:
                    raise

    async with working(app):
        job = await cling.aenqueue()
        await set_(marks.started)
        await job.acancel(WHY)
        info = await ended(job)
    assert (info.state, len(marks.calls)) == (State.CANCELLED, swallows + 1)


@pytest.mark.direct
@pytest.mark.usefixtures("no_poll")
async def test_a_task_that_raises_something_else_at_its_cancellation_is_cancelled_and_that_is_kept(
    app: Conveyor,
) -> None:
    marks = Marks()

    @app.task(name="rude")
    async def rude() -> None:
        marks.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("not like this")

    async with working(app):
        job = await rude.aenqueue()
        await set_(marks.started)
        await job.acancel(WHY)
        info = await ended(job)
    assert (info.state, info.cancelled) == (State.CANCELLED, WHY)
    assert [(one.event, one.error and one.error.message) for one in info.attempts] == [("cancel", "not like this")]


# ------------------------------------------------------------ winding down


@pytest.mark.direct
@pytest.mark.usefixtures("no_poll")
async def test_a_job_may_be_cancelled_while_its_worker_winds_down(app: Conveyor) -> None:
    marks = Marks()

    @app.task(name="wait")
    async def wait() -> None:
        marks.started.set()
        await asyncio.Event().wait()

    async with working(app, grace=NEVER) as runner:
        job = await wait.aenqueue()
        await set_(marks.started)
        runner.stop()
        await job.acancel(WHY)
        info = await ended(job)
    assert (info.state, info.cancelled) == (State.CANCELLED, WHY)


async def test_a_job_that_is_released_after_it_was_asked_ends_and_is_not_run_again(app: Conveyor) -> None:
    """Its worker stops without having heard of the wish; the store remembers it."""
    marks, told = Marks(), list[State]()

    @app.task(name="wait")
    async def wait() -> None:
        marks.started.set()
        await asyncio.Event().wait()

    @app.on_finish
    def finished(end: Ended) -> None:
        told.append(end.state)

    async with working(app) as runner:
        job = await wait.aenqueue()
        await set_(marks.started)
        runner._watch._executor = None  # type: ignore[assignment]  # it hears nothing any more
        store = app.store
        await store.arun(store.control.ask(JobFilter(queue="default"), WHY, 10, None))
    info = await job.arefresh()
    assert (info.state, info.cancelled, told) == (State.CANCELLED, WHY, [State.CANCELLED])
    await app.aclose()
