"""What goes wrong in, around and after a transaction that completes its job."""

import asyncio
import contextlib
import math
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest

from conveyor import AttemptFenced, Context, Conveyor, JobFailed, State, WrongStore, current
from conveyor.core.lifecycle import Event
from conveyor.core.model import Completion
from conveyor.drivers.lend import lend
from conveyor.plan import run
from conveyor.store.sqlite import opened
from conveyor.worker.attempt import Interruption
from conveyor.worker.runner import Settings
from tests.contract.test_completion import Make, Work, bench, only, site, work
from tests.support.bench import Bench
from tests.support.carriers import Colour, Kind
from tests.support.ground import Site
from tests.support.inside import FEW, OWN, Inside, Way, make_task
from tests.support.jobs import Hand, enqueue, new_job, see
from tests.support.postgres import waiting
from tests.support.waiting import until

__all__ = ["bench", "site", "work"]

EACH = only(*FEW)
BLOCKS = only(*(way for way in FEW if not way.declared))
DECLARED = only(*(way for way in OWN if way.declared))
POSTGRES = only(*(way for way in FEW if way.kind == "postgresql"))
ASYNC_BLOCKS = only(*(way for way in FEW if way.colour == "async" and not way.declared))
BY_STATEMENT = only(
    *(way for way in FEW if "session" not in way.id and "connection" not in way.id and "django" not in way.id)
)


def refused(done: Work) -> str:
    """What the last attempt failed of."""
    error = done.job.refresh().attempts[-1].error
    assert error is not None
    return f"{error.type}: {error.message}"


# ---------------------------------------------------------------- the task's own mistakes


@DECLARED
def test_a_result_that_cannot_be_stored_takes_all_back_and_is_not_tried_again(site: Site, work: Make) -> None:
    def body(inside: Inside) -> float:
        inside.write(1)
        return math.nan

    done = work(body)
    assert done.perform().event is Event.FAIL
    assert done.left() == (State.FAILED, [], [])
    assert "PayloadError" in refused(done)


@only(*(way for way in OWN if not way.declared))
def test_a_block_that_is_never_left_is_taken_back(site: Site, work: Make) -> None:
    def body(inside: Inside) -> None:
        tx = inside.ctx.transaction()
        inside.do(tx.__enter__, tx.__aenter__)
        inside.write(1)

    done = work(body)
    assert done.perform().event is Event.RETRY
    assert "returned inside of its ctx.transaction() block" in refused(done)
    assert done.left() == (State.RETRYABLE, [], [])


@only(*(way for way in FEW if way.carrier or way.kind == "postgresql"))
def test_an_error_that_a_deferred_constraint_raises_at_the_commit_is_the_attempts(site: Site, work: Make) -> None:
    """When a commit fails nobody knows; it is found out, and then it is an error as any other."""

    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.user().write("INSERT INTO child VALUES (99)")
            inside.enqueue(site.task, 1)

    done = work(body)
    assert done.perform().event is Event.RETRY
    assert "foreign key" in refused(done).lower()
    assert done.left() == (State.RETRYABLE, [], [])
    assert done.job.attempt == 1


@BY_STATEMENT
def test_a_task_that_commits_by_itself_inside_is_told_so_and_has_committed(site: Site, work: Make) -> None:
    """What it wrote before cannot be taken back any more; that is in the documentation."""

    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)
            inside.user().write("COMMIT")

    done = work(body)
    assert done.perform().event is Event.RETRY
    assert "has none any more, inside of the transaction that was begun for the attempt" in refused(done)
    assert done.left() == (State.RETRYABLE, [1], [])


@only(*(way for way in FEW if way.carrier and way.colour == "async" and not way.declared))
def test_a_plain_with_over_a_connection_that_is_awaited_says_what_to_write(site: Site, work: Make) -> None:
    def body(inside: Inside) -> None:
        assert inside.held is not None
        with inside.ctx.transaction(inside.held.connection):
            raise AssertionError("it began")

    done = work(body)
    assert done.perform().event is Event.RETRY
    assert "is awaited; use `async with ctx.transaction(using=...)`" in refused(done)


def test_a_plain_with_works_in_an_async_task_too_and_holds_up_its_loop(clean: Callable[[Kind], str]) -> None:
    site = Site(clean("postgresql"))

    def body(inside: Inside) -> None:
        with inside.ctx.transaction():
            inside.write(1)

    worker = Bench(site.app)
    done = Work(site, worker, Way("plain-with-in-async", "postgresql", "async"), body)
    assert done.perform().stands
    assert done.left() == (State.SUCCEEDED, [1], [])
    worker.close()
    site.close()


# ---------------------------------------------------------------- another store


@BLOCKS
def test_another_store_is_refused_and_its_connection_left_as_it_was(
    site: Site, work: Make, way: Way, elsewhere_of: Callable[[Kind], str]
) -> None:
    away = elsewhere_of(way.kind)

    def body(inside: Inside) -> None:
        assert way.carrier is not None
        with way.carrier.open(away) as held:
            moved = Inside(way, inside.app, inside.ctx, held)
            with pytest.raises(WrongStore, match="is connected to the store"), moved.transaction():
                raise AssertionError("it began")
            held.begin()
            moved.write(7)
            held.commit()

    if way.carrier is not None:
        done = work(body)
        assert not done.perform().itself
        with contextlib.closing(Site(away)) as there:
            assert there.own() == [7]
    assert (site.own(), site.stored()) == ([], [])


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_store_in_memory_says_what_it_cannot(colour: Colour) -> None:
    site = Site("sqlite:///:memory:")

    def body(inside: Inside) -> None:
        with inside.transaction():
            raise AssertionError("it began")

    for declared in (True, False):
        made = make_task(site.app, Way("memory", "sqlite", colour, None, declared), body, max_attempts=1)
        worker = Bench(site.app)
        job = made.enqueue()
        assert worker.perform().event is Event.FAIL
        with pytest.raises(JobFailed, match="needs a file"):
            job.result(timeout=1)
        worker.close()
        site.app = Conveyor("sqlite:///:memory:")
    site.close()


# ---------------------------------------------------------------- others that write to the job meanwhile


@only(*(way for way in FEW if way.carrier and way.kind == "postgresql" and "postgres-asyncpg" not in way.id))
def test_a_wish_to_cancel_that_a_strict_transaction_cannot_see_takes_all_back(
    clean: Callable[[Kind], str], way: Way
) -> None:
    site = Site(clean("postgresql"))
    worker = Bench(site.app)

    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)
            assert worker.attempt.untouchable
            site.app.jobs.cancel(inside.ctx.job.id)

    done = Work(site, worker, replace(way, isolation="REPEATABLE READ"), body)
    assert not done.perform().itself
    assert done.left() == (State.CANCELLED, [], [])
    worker.close()
    site.close()


@EACH
def test_progress_is_not_written_where_that_would_spoil_the_transaction(work: Make, bench: Bench, way: Way) -> None:
    def body(inside: Inside) -> None:
        with inside.transaction():
            assert bench.attempt.untouchable is (way.kind == "sqlite")

    assert work(body).perform().stands


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("wrong", ["token", "runner", "id"])
def test_a_completion_with_something_wrong_ends_nothing(clean: Callable[[Kind], str], kind: Kind, wrong: str) -> None:
    site = Site(clean(kind))
    store, hand = site.app.store, Hand(site.app.store)
    enqueue(store, new_job())
    job = hand.take_one()
    done = Completion(job.id, job.token, hand.id, b"1", None)
    bad = {"token": job.token - 1, "runner": b"r" * 16, "id": b"j" * 16}[wrong]
    with contextlib.closing(connected(site.url)) as connection:
        complete = partial(run, carry=lend(connection).carry)  # type: ignore[arg-type]  # it blocks
        assert not complete(store.operations.complete(done._replace(**{wrong: bad})))
        connection.commit()
        assert see(store, job.id).state is State.RUNNING
        assert complete(store.operations.complete(done))
        connection.commit()
    assert see(store, job.id).state is State.SUCCEEDED
    hand.die()
    site.close()


def connected(url: str) -> Any:
    return sqlite3.connect(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else psycopg.connect(url)


@pytest.mark.parametrize("change", ["progress = 'x'", "cancelled = 'x'"])
def test_a_row_that_is_rewritten_at_that_moment_is_completed_all_the_same(
    clean: Callable[[Kind], str], change: str
) -> None:
    """PostgreSQL: the version that the completion's snapshot shows is gone once it gets the row."""
    site = Site(clean("postgresql"))
    hand = Hand(site.app.store)
    enqueue(site.app.store, new_job())
    job, ended = hand.take_one(), []

    def complete() -> None:
        with psycopg.connect(site.url) as connection:
            done = Completion(job.id, job.token, hand.id, b"1", None)
            ended.append(run(site.app.store.operations.complete(done), lend(connection).carry))  # type: ignore[arg-type]  # it blocks

    with psycopg.connect(site.url) as other:
        other.execute(f"UPDATE conveyor_job SET {change}".encode())
        thread = threading.Thread(target=complete)
        thread.start()
        until(lambda: waiting(site.url) > 0)
    thread.join()
    assert ended == [True]
    assert see(site.app.store, job.id).state is State.SUCCEEDED
    hand.die()
    site.close()


# ---------------------------------------------------------------- a lost database


@POSTGRES
def test_a_connection_that_breaks_inside_of_it_spends_no_attempt(site: Site, work: Make) -> None:
    broken: list[int] = []

    def body(inside: Inside) -> int:
        with contextlib.ExitStack() as stack:
            stack.enter_context(inside.transaction(result=1))
            inside.write(1)
            inside.enqueue(site.task, 2)
            if not broken:
                ((pid,),) = inside.user().read("SELECT pg_backend_pid()")
                broken.append(1)
                site.execute(f"SELECT pg_terminate_backend({pid}, 10000)")
                inside.write(3)
        return 1

    done = work(body, max_attempts=1)
    ended = done.perform()
    assert (ended.event, ended.itself) == (Event.RELEASE, False)
    assert done.left()[1:] == ([], [])
    site.execute("UPDATE conveyor_job SET run_after = 0")
    assert done.perform().itself
    assert done.left() == (State.SUCCEEDED, [1], [2])
    assert done.job.attempt == 1
    assert len(done.job.refresh().attempts) == 1


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_async_task_may_hand_it_to_a_thread(clean: Callable[[Kind], str], kind: Kind) -> None:
    site = Site(clean(kind))
    worker = Bench(site.app)

    def there(ctx: Context) -> None:
        with ctx.transaction() as tx:
            tx.connection.execute("INSERT INTO own VALUES (1)")
            site.task.enqueue(2)
            tx.complete(42)

    @site.app.task(name="work", takes_context=True)
    async def work(ctx: Context) -> None:
        await asyncio.to_thread(there, ctx)

    job = work.enqueue()
    assert worker.perform().itself
    assert (job.refresh().state, site.own(), site.stored()) == (State.SUCCEEDED, [1], [2])
    worker.close()
    site.close()


def test_a_thread_that_goes_on_after_its_attempt_has_ended_takes_all_back(clean: Callable[[Kind], str]) -> None:
    site = Site(clean("postgresql"))
    worker = Bench(site.app)
    settled, raised = threading.Event(), list[BaseException]()

    def there(ctx: Context, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with ctx.transaction() as tx:
                tx.connection.execute("INSERT INTO own VALUES (1)")
                site.task.enqueue(2)
                loop.call_soon_threadsafe(worker.attempt.interrupt, Interruption.TIMEOUT)
                settled.wait(30)
        except AttemptFenced as error:
            raised.append(error)

    @site.app.task(name="work", takes_context=True)
    async def work(ctx: Context) -> None:
        threads.append(thread := threading.Thread(target=there, args=[ctx, asyncio.get_running_loop()]))
        thread.start()
        await asyncio.Event().wait()

    threads: list[threading.Thread] = []
    job = work.enqueue()
    assert worker.perform().event is Event.RETRY
    settled.set()
    threads[0].join()
    assert len(raised) == 1
    assert (job.refresh().state, site.own(), site.stored()) == (State.RETRYABLE, [], [])
    worker.close()
    site.close()


# ---------------------------------------------------------------- SQLite's one lock


class Writer:
    """Somebody who holds the write lock for a while; it is for a ``perform`` to begin with."""

    def __init__(self, site: Site, then: Callable[[], None] = lambda: None) -> None:
        self._path = site.url.removeprefix("sqlite:///")
        self._then = then

    def __call__(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        self._then()
        self._timer = threading.Timer(0.3, connection.close)
        self._timer.start()


SQLITE_OWN = only(*(way for way in OWN if way.kind == "sqlite"))


@SQLITE_OWN
def test_one_of_ours_waits_for_the_write_lock_as_long_as_it_takes(
    site: Site, work: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)

    done = work(body)
    monkeypatch.setattr(opened, "BUSY_TIMEOUT", 10)
    assert done.perform(Writer(site)).itself
    assert done.left() == (State.SUCCEEDED, [1], [])


@SQLITE_OWN
def test_one_that_waits_for_the_write_lock_can_be_ended(
    site: Site, work: Make, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)

    def ended() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, lambda: bench.attempt.interrupt(Interruption.SHUTDOWN))

    done = work(body)
    monkeypatch.setattr(opened, "BUSY_TIMEOUT", 10)
    assert done.perform(Writer(site, ended)).event is Event.RELEASE
    assert done.left() == (State.READY, [], [])


# ---------------------------------------------------------------- by a whole worker


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_worker_runs_it_its_child_and_its_hooks_once(clean: Callable[[Kind], str], kind: Kind) -> None:
    app, told = Conveyor(clean(kind)), list[tuple[str, State, bytes | None]]()

    @app.task(name="child", transactional=True)
    async def child(n: int) -> int:
        return n + 1

    @app.task(name="parent", transactional=True)
    def parent(n: int) -> int:
        current().connection.execute(f"INSERT INTO own VALUES ({n})")
        child.enqueue(n)
        return n

    app.on_finish(lambda ended: told.append((ended.task, ended.state, ended.result)))
    jobs = await app.aenqueue_many([parent.bind(n) for n in range(3)])
    assert await app.worker(Settings({"default": 4}, burst=True)).run() == 0
    assert [await job.aresult(timeout=1) for job in jobs] == [0, 1, 2]
    ends = [("child", State.SUCCEEDED, str(n + 1).encode()) for n in range(3)]
    assert sorted(told) == ends + [("parent", State.SUCCEEDED, str(n).encode()) for n in range(3)]
    await app.aclose()
    app.close()
