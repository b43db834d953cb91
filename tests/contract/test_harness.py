"""The test kit on every store: what it can do wherever the jobs are."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from conveyor import Backoff, Context, Conveyor, State, Unique, UsageError, current
from conveyor.testing import Harness, TaskFailed

app = Conveyor("sqlite:////nowhere/at-all.db")


@app.task(name="add")
def add(left: int, right: int = 0) -> int:
    return left + right


@app.task(name="twice", queue="other", backoff=Backoff.fixed(3_600, jitter=0), takes_context=True)
async def twice(ctx: Context) -> int:
    await add.using(unique=Unique("a")).aenqueue(ctx.attempt)
    if ctx.attempt == 1:
        raise ValueError("the first time")
    return ctx.attempt


@app.task(name="enqueues twice")
def enqueues_twice(number: int) -> None:
    add.enqueue(number)


@app.task(name="completes", transactional=True)
def completes() -> str:
    add.enqueue(1)
    modules = (kind.__module__ for kind in type(current().connection).__mro__)
    return next(module for module in modules if module in {"sqlite3", "psycopg"})


@pytest.fixture
def harness(url: str) -> Iterator[Harness]:
    with Harness(app, url) as opened:
        yield opened


def test_all_that_is_due_runs_one_at_a_time_in_order(harness: Harness) -> None:
    app.enqueue_many(add.bind(number) for number in range(30))
    add.using(priority=5, queue="default").enqueue(99)
    add.using(run_after=3_600).enqueue(100)
    ran = [one.job.result() for one in harness.drain()]
    assert ran == [99, *range(30)]
    assert harness.drain() == []
    assert [one.job.result() for one in harness.run_all()] == [100]


def test_failures_end_a_drain_and_run_all_goes_on_to_the_next_attempt(harness: Harness) -> None:
    twice.enqueue()
    with pytest.raises(TaskFailed, match="twice failed in attempt 1 of 5, and would be tried again: ValueError"):
        harness.drain()
    harness.assert_enqueued(twice, state="retryable")
    later = [add.using(run_after=delay).enqueue(delay) for delay in (7_200, 1_800)]
    assert [(one.task, one.attempt) for one in harness.run_all()] == [
        ("add", 1),
        ("add", 1),
        ("twice", 2),
        ("add", 1),
        ("add", 1),
    ]
    assert [job.refresh().state for job in later] == [State.SUCCEEDED] * 2


def test_what_is_enqueued_is_found(harness: Harness) -> None:
    job = add.using(queue="mail", tags=["x"], run_after=60).enqueue(1, right=2)
    add.enqueue(3)
    assert harness.assert_enqueued(add.using(queue="mail", run_after=60).bind(1, 2), tags=["x"]).id == job.id
    harness.assert_not_enqueued(add, args=(1, 3))
    with pytest.raises(AssertionError, match=r"add\(1, 2\), in queue 'mail', scheduled for 0:01:00"):
        harness.assert_enqueued(add, args=(4,))


def test_calls_are_performed_with_nothing_stored(harness: Harness) -> None:
    assert harness.perform(add, 1, right=2) == 3
    with harness.inline():
        assert add.enqueue(1).result() == 1
    assert harness.enqueued() == []


def test_transactional_tasks_work_where_the_store_has_connections_to_give(harness: Harness) -> None:
    if ":memory:" in harness.url:
        with pytest.raises(UsageError, match="a transaction needs a file"):
            harness.perform(completes)
        return
    assert harness.perform(completes) in {"sqlite3", "psycopg"}
    completes.enqueue()
    assert [one.task for one in harness.drain()] == ["add", "completes", "add"]


def test_a_worker_in_the_background(harness: Harness) -> None:
    with harness.worker():
        job = add.enqueue(1)
        assert harness.wait_for(job).result == b"1"
        twice.enqueue()
        assert harness.wait_until("retryable", twice).attempt == 1


async def test_all_of_it_in_an_event_loop(url: str) -> None:
    async with Harness(app, url) as harness:
        await add.aenqueue(1)
        assert [await one.job.aresult() for one in await harness.adrain()] == [1]
        await add.using(run_after=60).aenqueue(2)
        assert len(await harness.arun_all()) == 1
        assert await harness.aperform(add, 5) == 5
        async with harness.worker():
            job = await add.aenqueue(3)
            assert (await harness.await_for(job)).state is State.SUCCEEDED
            await harness.await_until("succeeded", add, count=3)


def test_idempotence_is_proved_and_disproved(harness: Harness) -> None:
    add.enqueue(0)
    assert harness.assert_idempotent(add.bind(1)) >= 1
    with pytest.raises(AssertionError, match="enqueues twice is not idempotent"):
        harness.assert_idempotent(enqueues_twice.bind(1))
    assert [str(job.text) for job in harness.enqueued()] == ["add(0)"]


async def test_idempotence_in_an_event_loop(url: str) -> None:
    async with Harness(app, url) as harness:
        with pytest.raises(AssertionError, match="enqueues twice is not idempotent"):
            await harness.aassert_idempotent(enqueues_twice.bind(1))
        assert harness.enqueued() == []


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_the_clock_of_a_server_cannot_be_moved(harness: Harness, url: str) -> None:
    with pytest.raises(UsageError, match=r"run_all\(\) runs what is scheduled or retryable without waiting"):
        harness.clock.advance(days=1)
    with pytest.raises(UsageError, match="now= sets the clock of a store on SQLite"):
        Harness(app, url, now=datetime(2030, 1, 1, tzinfo=UTC)).__enter__()
    with pytest.raises(UsageError, match="is no SQLite file"):
        harness.path.exists()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_the_tables_of_an_empty_database_are_made(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as own:
        own.execute("DROP SCHEMA public CASCADE")
        own.execute("CREATE SCHEMA public")
    with Harness(app, url) as harness:
        add.enqueue(1)
        assert len(harness.drain()) == 1
    with Harness(app, url) as harness:
        assert len(harness.enqueued()) == 1  # what is in a store that was named stays there


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_more_scheduled_jobs_than_fit_on_a_page_are_run_in_order(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.testing.drains.PAGE", 2)
    for delay in (50, 20, 40, 10, 30):
        add.using(run_after=delay * 60).enqueue(delay)
    assert [one.job.result() for one in harness.run_all()] == [10, 20, 30, 40, 50]
