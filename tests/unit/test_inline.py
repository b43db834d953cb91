"""Jobs that run where they are enqueued: ``CONVEYOR_INLINE=1``, ``harness.inline()`` and ``harness.perform``."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta

import aiosqlite
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from conveyor import (
    Cancel,
    Context,
    Conveyor,
    ConveyorError,
    Fail,
    JobFailed,
    JobNotFound,
    NotInTransaction,
    PayloadError,
    Retry,
    Snooze,
    State,
    StoreUnavailable,
    UsageError,
    current,
)
from conveyor.job import Job
from conveyor.testing import Harness
from conveyor.worker import inline

app = Conveyor("sqlite:////nowhere/at-all.db")


@app.task(name="add")
def add(left: int, right: int = 0) -> int:
    return left + right


@app.task(name="aadd")
async def aadd(left: int, right: int = 0) -> int:
    await asyncio.sleep(0)
    return left + right


@app.task(name="note", transactional=True)
def note(number: int) -> int:
    current().connection.execute("INSERT INTO notes VALUES (?)", (number,))
    return number


@app.task(name="anote", transactional=True)
async def anote(number: int) -> int:
    current().connection.execute("INSERT INTO notes VALUES (?)", (number,))
    await asyncio.sleep(0)
    return number


@app.task(name="notes", transactional=True)
def notes(upto: int) -> None:
    current().connection.execute("INSERT INTO notes VALUES (?)", (0,))
    for number in range(1, upto + 1):
        note.enqueue(number)


@app.task(name="raises")
def raises(kind: str) -> None:
    raise {"retry": Retry(), "snooze": Snooze(60), "cancel": Cancel("c"), "fail": Fail("f"), "other": ValueError("v")}[
        kind
    ]


@app.task(name="araises")
async def araises(kind: str) -> None:
    raises(kind)


@app.task(name="seen", takes_context=True)
def seen(ctx: Context, *words: str) -> list[object]:
    info = ctx.job.refresh()
    return [ctx.attempt, ctx.max_attempts, ctx.meta, [*ctx.tags], ctx.queue, str(info.state), info.attempt, [*words]]


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Harness(app) as opened:
        with contextlib.closing(sqlite3.connect(opened.path)) as own:
            own.execute("CREATE TABLE notes (x)")
        yield opened


@pytest.fixture
def own(harness: Harness) -> Iterator[sqlite3.Connection]:
    """A connection of the test's own."""
    with contextlib.closing(sqlite3.connect(harness.path)) as connection:
        yield connection


def noted(harness: Harness) -> list[int]:
    with contextlib.closing(sqlite3.connect(harness.path)) as look:
        return [x for (x,) in look.execute("SELECT x FROM notes ORDER BY x")]


# ---------------------------------------------------------------- enqueue


def test_the_environment_says_so_too(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, stored in (("1", 0), ("0", 1), ("", 2)):
        monkeypatch.setenv("CONVEYOR_INLINE", value)
        add.enqueue(1)
        assert len(harness.enqueued()) == stored


def test_a_job_has_run_when_enqueue_returns(harness: Harness) -> None:
    with harness.inline():
        for task in (add, aadd):
            job = task.enqueue(1, right=2)
            assert (job.state, job.attempt, job.created) == (State.SUCCEEDED, 1, True)
            assert job.result() == 3
        many = app.enqueue_many([add.bind(1), aadd.bind(2)])
        assert [job.result() for job in many] == [1, 2]
    assert harness.enqueued() == []
    add.enqueue(1)
    assert len(harness.enqueued()) == 1


async def test_a_job_has_run_when_aenqueue_returns(harness: Harness) -> None:
    with harness.inline():
        for task in (add, aadd):
            assert await (await task.aenqueue(1, right=2)).aresult() == 3
        assert [await job.aresult() for job in await app.aenqueue_many([add.bind(1), aadd.bind(2)])] == [1, 2]
        assert aadd.enqueue(4).result() == 4  # in a thread, for a loop runs here
    assert harness.enqueued() == []


def test_blocks_may_stand_in_each_other(harness: Harness) -> None:
    with harness.inline():
        with harness.inline():
            add.enqueue(1)
        add.enqueue(1)
    assert harness.enqueued() == []


def test_what_a_task_raises_comes_out_of_enqueue(harness: Harness) -> None:
    with harness.inline():
        for kind, error in (("other", ValueError), ("retry", Retry), ("fail", Fail)):
            with pytest.raises(error):
                raises.enqueue(kind)
            with pytest.raises(error):
                araises.enqueue(kind)
        with pytest.raises(PayloadError):
            add.enqueue(float("nan"))


def test_what_it_says_to_its_worker_is_in_the_handle(harness: Harness) -> None:
    with harness.inline():
        snoozed, cancelled = raises.enqueue("snooze"), raises.enqueue("cancel")
    assert (snoozed.state, cancelled.state) == (State.SCHEDULED, State.CANCELLED)
    with pytest.raises(JobFailed, match="is cancelled: c"):
        cancelled.result()
    with pytest.raises(TimeoutError):
        snoozed.result(timeout=0)


def test_a_handle_knows_of_its_own_job_and_asks_the_store_for_others(harness: Harness) -> None:
    stored = add.enqueue(1)
    others: list[Job[int]] = []

    @app.task(name="looks")
    def looks(other: str) -> str:
        others.append(stored)
        job = current().job
        assert job.refresh().state is State.RUNNING
        assert job.cancel() is State.RUNNING
        return str(app.jobs.get(other).state)

    with harness.inline():
        job = looks.enqueue(stored.id)
    assert job.result() == "ready"
    assert job.refresh().attempts == ()
    assert job.cancel() is State.SUCCEEDED
    with pytest.raises(ConveyorError, match="ran inline"):
        job.retry()
    job.delete()
    with pytest.raises(JobNotFound):
        app.jobs.get(job.id)
    other = Job[object](others[0]._id, "add", job._desk, lambda result: result)
    assert other.retry() is State.READY
    assert other.cancel("no") is State.CANCELLED
    other.delete()
    assert harness.enqueued() == []


async def test_a_handle_does_the_same_in_async_code(harness: Harness) -> None:
    stored = await add.aenqueue(1)
    with harness.inline():
        job = await aadd.aenqueue(1)
    assert (await job.arefresh()).state is State.SUCCEEDED
    assert await job.acancel() is State.SUCCEEDED
    with pytest.raises(ConveyorError, match="ran inline"):
        await job.aretry()
    await job.adelete()
    other = Job[object](stored._id, "add", job._desk, lambda result: result)
    assert (await other.arefresh()).state is State.READY
    assert await other.aretry() is State.READY
    assert await other.acancel("no") is State.CANCELLED
    await other.adelete()
    assert harness.enqueued() == []


def test_the_lifespan_is_entered_for_each_call() -> None:
    begun: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Conveyor) -> AsyncGenerator[str]:
        begun.append("begin")
        yield "state"
        begun.append("end")

    app = Conveyor("sqlite:///:memory:", lifespan=lifespan)

    @app.task(name="plain", takes_context=True)
    def plain(ctx: Context) -> object:
        return ctx.state

    @app.task(name="async", takes_context=True)
    async def asynchronous(ctx: Context) -> object:
        return ctx.state

    with Harness(app) as harness:
        assert harness.perform(plain) == harness.perform(asynchronous) == "state"
        assert begun == ["begin", "end"] * 2

        async def looped() -> object:
            return await harness.aperform(plain), harness.perform(plain)

        assert asyncio.run(looped()) == ("state", "state")


# ---------------------------------------------------------------- transactions


def test_a_transaction_of_its_own_is_committed(harness: Harness) -> None:
    with harness.inline():
        assert [note.enqueue(1).result(), anote.enqueue(2).result()] == [1, 2]
        notes.enqueue(3)
    assert noted(harness) == [0, 1, 1, 2, 2, 3]


def test_in_a_block_it_is_the_callers_transaction(harness: Harness, own: sqlite3.Connection) -> None:
    """Which holds the write lock: to wait for another would be to wait for ever."""
    with harness.inline():
        for end, left in ((own.rollback, []), (own.commit, [1, 2, 7])):
            own.execute("INSERT INTO notes VALUES (7)")
            with app.within(own):
                assert note.enqueue(1).result() == 1
                assert anote.enqueue(2).result() == 2
            assert own.in_transaction
            end()
            assert noted(harness) == left


def test_nested_jobs_join_the_outer_ones_transaction(harness: Harness, own: sqlite3.Connection) -> None:
    with harness.inline(), app.within(own):
        notes.enqueue(2)
        assert noted(harness) == []
    own.commit()
    assert noted(harness) == [0, 1, 2]


async def test_in_an_event_loop_the_callers_transaction_is_joined_in_its_own_thread(harness: Harness) -> None:
    with contextlib.closing(sqlite3.connect(harness.path)) as own:
        with harness.inline(), app.within(own):
            own.execute("INSERT INTO notes VALUES (7)")
            await note.aenqueue(1)
            await anote.aenqueue(2)
            note.enqueue(3)
        own.commit()
    assert noted(harness) == [1, 2, 3, 7]


def test_a_transaction_that_cannot_be_joined_is_not_waited_for(
    harness: Harness, own: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what holds it up; in a block of SQLAlchemy's, too, which lends another kind of connection."""
    monkeypatch.setattr(inline, "LOCK_WAIT", 0.05)
    monkeypatch.setattr(inline._Inside, "lock_wait", 0.05)
    begun = time.monotonic()
    with harness.inline():
        own.execute("INSERT INTO notes VALUES (7)")
        for task in (note, anote):
            with pytest.raises(StoreUnavailable, match="a transaction of the caller's may hold the lock"):
                task.enqueue(1)
        own.rollback()
        engine = create_engine(harness.url)
        with Session(engine) as session, app.within(session):
            session.connection().exec_driver_sql("INSERT INTO notes VALUES (7)")
            assert add.enqueue(1).result() == 1
            with pytest.raises(StoreUnavailable, match="a transaction of the caller's may hold the lock"):
                note.enqueue(1)
        engine.dispose()
    assert time.monotonic() - begun < 8  # and not the ten seconds that a worker waits
    assert noted(harness) == []


async def test_an_awaited_connection_lends_itself_to_nothing_that_blocks(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "LOCK_WAIT", 0.05)
    async with aiosqlite.connect(harness.path) as own:
        await own.execute("INSERT INTO notes VALUES (7)")
        with harness.inline(), app.within(own):
            assert await (await add.aenqueue(1)).aresult() == 1
            with pytest.raises(StoreUnavailable, match="may hold the lock"):
                await note.aenqueue(1)
        await own.rollback()


def test_what_could_not_be_enqueued_is_not_run(harness: Harness, own: sqlite3.Connection) -> None:
    own.isolation_level = None
    with harness.inline():
        for calling in (lambda: note.enqueue(1), lambda: add.enqueue(1), lambda: app.enqueue_many([add.bind(1)])):
            with app.within(own), pytest.raises(NotInTransaction):
                calling()
        with pytest.raises(NotInTransaction):
            asyncio.run(add.using(within=own).aenqueue(1))
        with pytest.raises(NotInTransaction):
            asyncio.run(app.aenqueue_many([add.using(within=own).bind(1)]))
    assert noted(harness) == []


def test_a_transaction_on_a_connection_of_the_tasks_own_is_its_own(harness: Harness) -> None:
    path = harness.path

    @app.task(name="by hand")
    def by_hand(fails: bool) -> str:
        with contextlib.closing(sqlite3.connect(path)) as own:
            with current().transaction(using=own) as transaction:
                transaction.connection.execute("INSERT INTO notes VALUES (1)")
                transaction.complete("done")
                if fails:
                    raise ValueError("taken back")
            return "too late"

    with harness.inline():
        assert by_hand.enqueue(False).result() == "done"
        with pytest.raises(ValueError, match="taken back"):
            by_hand.enqueue(True)
    assert noted(harness) == [1]


# ---------------------------------------------------------------- perform


def test_perform_gives_what_the_task_returns(harness: Harness) -> None:
    assert harness.perform(add, 1, right=2) == 3
    assert harness.perform(aadd, 1) == 1
    assert harness.perform(note, 5) == 5
    assert harness.perform(anote, 6) == 6
    assert noted(harness) == [5, 6]
    assert harness.enqueued() == []


def test_perform_makes_a_context_of_the_options(harness: Harness) -> None:
    task = seen.using(meta={"a": 1}, tags=["x"], queue="mail", max_attempts=3)
    assert harness.perform(task, "w") == [1, 3, {"a": 1}, ["x"], "mail", "running", 1, ["w"]]
    assert harness.performing(attempt=7).perform(task)[:2] == [7, 7]  # type: ignore[index]  # a list
    with pytest.raises(PayloadError, match="attempt=0"):
        harness.performing(attempt=0)


@pytest.mark.parametrize(
    ("kind", "error"), [("retry", Retry), ("snooze", Snooze), ("cancel", Cancel), ("fail", Fail), ("other", ValueError)]
)
def test_perform_raises_what_the_task_raises(harness: Harness, kind: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        harness.perform(raises, kind)
    with pytest.raises(error):
        harness.perform(araises, kind)


def test_perform_checks_arguments_and_result_as_enqueue_and_a_worker_do(harness: Harness) -> None:
    @app.task(name="odd")
    def odd(value: datetime) -> object:
        assert value.tzinfo is not None
        return object()

    with pytest.raises(TypeError, match="missing a required argument"):
        harness.perform(add)
    with pytest.raises(PayloadError, match="time zone"):
        harness.perform(odd, datetime(2030, 1, 1))  # noqa: DTZ001 - that is what is refused
    with pytest.raises(PayloadError, match="result: "):
        harness.perform(odd, datetime(2030, 1, 1, tzinfo=UTC))


def test_a_result_that_a_transaction_cannot_store_is_refused_as_it_is(harness: Harness) -> None:
    @app.task(name="unfit", transactional=True)
    def unfit() -> object:
        return object()

    with pytest.raises(PayloadError, match="result: "):
        harness.perform(unfit)


def test_what_a_performed_task_enqueues_is_stored(harness: Harness) -> None:
    @app.task(name="parent")
    async def parent() -> None:
        await add.using(run_after=timedelta(days=1)).aenqueue(1)

    harness.perform(parent)
    harness.assert_enqueued(add.using(run_after=timedelta(days=1)).bind(1))


def test_a_plain_task_is_performed_here(harness: Harness) -> None:
    @app.task(name="where")
    def where() -> int:
        return threading.get_ident()

    assert harness.perform(where) == threading.get_ident()


async def test_perform_in_an_event_loop(harness: Harness) -> None:
    loop = asyncio.get_running_loop()

    @app.task(name="in the loop")
    async def in_the_loop() -> bool:
        return asyncio.get_running_loop() is loop

    assert await harness.aperform(in_the_loop)
    assert await harness.aperform(add, 1, right=1) == 2
    assert await harness.performing(attempt=2).aperform(seen) != []
    assert harness.perform(add, 1) == 1
    with pytest.raises(UsageError, match=r"use `await harness.aperform\(\.\.\.\)`"):
        harness.perform(in_the_loop)
    with pytest.raises(ValueError, match="v"):
        await harness.aperform(araises, "other")


def test_perform_inside_of_a_block_does_not_wait_for_its_lock(harness: Harness, own: sqlite3.Connection) -> None:
    own.execute("INSERT INTO notes VALUES (7)")
    with app.within(own):
        harness.perform(note, 1)
    own.rollback()
    assert noted(harness) == []
