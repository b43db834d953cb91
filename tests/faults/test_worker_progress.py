"""How far a job has come, with a worker at work: seen while it runs, and the last word written with its end."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from conveyor import Backoff, Cancel, Conveyor, Fail, Retry, Snooze, State, current
from conveyor.core.model import JobInfo, Progress
from tests.support.shop import PATIENCE, ended, seen, working

NEVER = 3600.0


def at(value: float, message: str = "") -> Callable[[JobInfo], bool]:
    """Whether a job has come so far."""
    return lambda info: info.progress == Progress(value, message)


@pytest.mark.parametrize("plain", [True, False])
async def test_progress_is_seen_while_the_job_runs(app: Conveyor, plain: bool) -> None:
    steps = [threading.Event(), threading.Event()]

    def work() -> None:
        for place, step in enumerate(steps):
            current().progress(place / 4, f"step {place}")
            assert step.wait(PATIENCE)

    async def awork() -> None:
        for place, step in enumerate(steps):
            current().progress(place / 4, f"step {place}")
            assert await asyncio.to_thread(step.wait, PATIENCE)

    task = app.task(name="work")(work if plain else awork)
    async with working(app):
        job = await task.aenqueue()
        for place, step in enumerate(steps):
            assert (await seen(job, at(place / 4, f"step {place}"))).state is State.RUNNING
            step.set()
        info = await ended(job)
    assert info.progress == Progress(0.25, "step 1")


ENDS: dict[str, tuple[BaseException | None, State]] = {
    "success": (None, State.SUCCEEDED),
    "fail": (Fail("no"), State.FAILED),
    "cancel": (Cancel("no"), State.CANCELLED),
    "retry": (Retry(NEVER), State.RETRYABLE),
    "snooze": (Snooze(NEVER), State.SCHEDULED),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("plain", [True, False])
async def test_the_last_word_is_written_with_the_end(app: Conveyor, name: str, plain: bool) -> None:
    error, state = ENDS[name]

    def work() -> None:
        current().progress(0.25)
        current().progress(0.75, "nearly")
        if error is not None:
            raise error

    async def awork() -> None:
        work()

    task = app.task(name="work")(work if plain else awork)
    async with working(app, report=NEVER):
        info = await seen(await task.aenqueue(), lambda info: info.state is state)
    assert info.progress == Progress(0.75, "nearly")


@pytest.mark.parametrize("plain", [True, False])
async def test_the_last_word_before_a_cancellation_is_written(app: Conveyor, plain: bool) -> None:
    started = threading.Event()

    def work() -> None:
        while not current().cancelled:
            started.set()
            threading.Event().wait(0.001)
        current().progress(0.5, "cut off")
        current().checkpoint()

    async def awork() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            current().progress(0.5, "cut off")

    task = app.task(name="work")(work if plain else awork)
    async with working(app, report=NEVER):
        job = await task.aenqueue()
        assert await asyncio.to_thread(started.wait, PATIENCE)
        await job.acancel("enough")
        info = await ended(job)
    assert (info.state, info.progress) == (State.CANCELLED, Progress(0.5, "cut off"))


@pytest.mark.parametrize("url", ["sqlite-file", "postgres"], indirect=True)
@pytest.mark.parametrize("plain", [True, False])
async def test_a_transactional_job_writes_its_last_word_with_its_completion(app: Conveyor, plain: bool) -> None:
    def work() -> None:
        current().progress(0.9, "written")

    async def awork() -> None:
        work()

    task = app.task(name="work", transactional=True)(work if plain else awork)
    async with working(app, report=NEVER):
        info = await ended(await task.aenqueue())
    assert (info.state, info.progress) == (State.SUCCEEDED, Progress(0.9, "written"))


@pytest.mark.parametrize("plain", [True, False])
async def test_a_storm_of_progress_is_one_write(app: Conveyor, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = app.store.operations
    reports: list[int] = []
    report = operations.report
    monkeypatch.setattr(operations, "report", lambda given: (reports.append(len(given)), report(given))[1])

    def work() -> None:
        for step in range(100_000):
            current().progress(step / 100_000, "on my way")

    async def awork() -> None:
        work()

    task = app.task(name="work")(work if plain else awork)
    async with working(app, report=NEVER):
        info = await ended(await task.aenqueue())
    assert (info.state, info.progress, reports) == (State.SUCCEEDED, Progress(0.99999, "on my way"), [1])


async def test_progress_of_an_earlier_attempt_stays_until_the_next_says_something(app: Conveyor) -> None:
    @app.task(name="work", backoff=Backoff.fixed(0))
    async def work() -> None:
        if current().attempt == 1:
            current().progress(0.5, "first try")
            raise ValueError("no")

    async with working(app):
        info = await ended(await work.aenqueue())
    assert (info.attempt, info.progress) == (2, Progress(0.5, "first try"))
