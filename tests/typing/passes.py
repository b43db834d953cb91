"""Calls that mypy --strict and pyright must let pass, with their types; ``test_typing`` makes them, too."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_type

import conveyor
from conveyor import Backoff, Context, Conveyor, Ended, Job, JobInfo, State, Unique
from conveyor.client.changes import Affected
from conveyor.core.model import FailureGroup, QueueInfo
from conveyor.task import Call
from conveyor.testing import Harness

app = Conveyor("sqlite:///:memory:")


@app.task
def add(left: int, right: int = 0) -> int:
    return left + right


@app.task
async def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@app.task(queue="mail", priority=9, max_attempts=1, timeout=timedelta(minutes=1), backoff=Backoff.fixed(3))
def send(to: str, *parts: str, **headers: str) -> None:
    del to, parts, headers


@app.task(name="typing.fetch", timeout=None, takes_context=False)
async def fetch(url: str) -> dict[str, int]:
    return {url: 1}


@app.task(takes_context=True)
def count(ctx: Context, upto: int) -> list[int]:
    return [*range(upto + ctx.attempt)]


@app.task(takes_context=True, max_attempts=1)
async def watch(ctx: Context, *, quiet: bool) -> bool:
    return quiet and ctx.cancelled


@conveyor.task
def loose(number: int) -> float:
    return number / 2


@conveyor.task(queue="mail", unique=True)
async def loose_too(number: int) -> str:
    return str(number)


def audit(ended: Ended) -> None:
    del ended


app.hook(audit, name="tests.audit")


@app.task(
    retry_on=(OSError, ValueError),
    backoff=lambda attempt: timedelta(seconds=attempt),
    expires=60,
    keep=None,
    store_result=False,
    tags=["a"],
    redact=["secret"],
    unique=Unique("k", until="start", on_conflict="replace"),
    on_failure=audit,
    on_finish=["tests.audit", audit],
)
def careful(secret: str) -> None:
    del secret


@app.task(retry_on=lambda error: "again" in str(error), unique=True)
async def picky() -> int:
    return 1


@app.middleware
def wrap(ctx: Context, call: Callable[[], object]) -> object:
    del ctx
    return call()


@app.middleware
async def awrap(ctx: Context, call: Callable[[], Awaitable[object]]) -> object:
    del ctx
    return await call()


@app.on_success
def succeeded(ended: Ended) -> None:
    assert_type(ended.state, State)


@app.task
def eats_nothing(queue: str, priority: str, unique: str, *, run_after: str, timeout: str, name: str) -> str:
    return queue + priority + unique + run_after + timeout + name


def called_directly() -> None:
    """A task called is its function called."""
    assert_type(add(1, right=2), int)
    assert_type(eats_nothing("q", "p", "u", run_after="r", timeout="t", name="n"), str)
    send("ada", "one", "two", subject="three")


async def awaited_directly() -> None:
    assert_type(await greet("ada", loud=True), str)
    assert_type(await fetch(url="here"), dict[str, int])


def enqueued() -> None:
    """A job's result is what the function returns; of a coroutine function, what its coroutine returns."""
    assert_type(add.enqueue(1), Job[int])
    assert_type(add.enqueue(left=1, right=2), Job[int])
    assert_type(greet.enqueue("ada", loud=True), Job[str])
    assert_type(send.enqueue("ada", "one", subject="two"), Job[None])
    assert_type(fetch.enqueue("here"), Job[dict[str, int]])


async def enqueued_in_async_code() -> None:
    assert_type(await add.aenqueue(1, 2), Job[int])
    assert_type(await greet.aenqueue("ada", loud=True), Job[str])
    assert_type(await count.aenqueue(3), Job[list[int]])
    assert_type(await watch.using(queue="slow").aenqueue(quiet=True), Job[bool])


def enqueued_with_context() -> None:
    """The worker fills the context; nobody passes it."""
    assert_type(count.enqueue(3), Job[list[int]])
    assert_type(watch.enqueue(quiet=False), Job[bool])


def enqueued_with_options() -> None:
    assert_type(add.using(queue="q", priority=9, run_after=3, max_attempts=2).enqueue(1), Job[int])
    assert_type(greet.using(run_after=timedelta(minutes=5), timeout=None).enqueue("ada"), Job[str])
    assert_type(add.using(run_after=datetime.now(UTC)).using(timeout=1.5).enqueue(1), Job[int])


def adopted() -> None:
    if "tests.typing.passes.loose" not in app.tasks:
        app.adopt(loose, loose_too)
    assert_type(loose.enqueue(4), Job[float])
    assert_type(loose_too.using(unique=None).enqueue(4), Job[str])
    assert_type(loose(4), float)


def enqueued_with_rarer_options() -> None:
    unique = Unique("x", on_conflict="existing")
    assert_type(add.using(unique=unique, expires=timedelta(hours=1), keep=None).enqueue(1), Job[int])
    assert_type(add.using(unique="x", tags=("a", "b"), meta={"order": 7}).enqueue(1).created, bool)
    assert_type(greet.using(store_result=False, backoff=Backoff.fixed(1), within=None).enqueue("ada"), Job[str])


def enqueued_within_a_transaction() -> None:
    """Only for its types: that the connection leads elsewhere is said when the first job is enqueued."""
    with app.within(sqlite3.connect(":memory:")):
        assert_type(add.bind(1), Call[int])


def changed() -> None:
    job = add.using(run_after=60).enqueue(1)
    assert_type(job.cancel("enough"), State)
    assert_type(job.retry(), State)
    assert_type(app.jobs.cancel(job.id, reason="enough"), Affected)
    assert_type(app.jobs.retry(state=["failed", State.CANCELLED], tag="a"), Affected)
    assert_type(app.jobs.prune(timedelta(days=7)), Affected)
    assert_type(app.jobs.delete(job.id), Affected)
    assert_type(app.jobs.failures(task="x"), Sequence[FailureGroup])
    assert_type(app.jobs.list(queue="q", enqueued_after=datetime.now(UTC)), Sequence[JobInfo])
    assert_type(app.queues.list(), Sequence[QueueInfo])


async def changed_in_async_code() -> None:
    job = await add.using(run_after=60).aenqueue(1)
    assert_type(await job.acancel(), State)
    assert_type(await app.jobs.adelete(everything=True, dry_run=True), Affected)


def enqueued_in_bulk() -> None:
    calls = [add.bind(1), add.using(priority=1).bind(left=2, right=3)]
    assert_type(calls, list[Call[int]])
    assert_type(app.enqueue_many(calls), list[Job[int]])
    assert_type(app.enqueue_many(greet.bind(name) for name in ("ada", "grace")), list[Job[str]])
    assert_type(app.enqueue_many([count.bind(1)]), list[Job[list[int]]])


async def enqueued_in_bulk_in_async_code() -> None:
    assert_type(await app.aenqueue_many([greet.bind("ada")]), list[Job[str]])


def nothing_is_eaten() -> None:
    """Options travel beside the arguments, so an argument may have an option's name."""
    bound = eats_nothing.using(queue="mail", priority=3, run_after=1, timeout=2).bind(
        queue="q", priority="p", unique="u", run_after="r", timeout="t", name="n"
    )
    assert_type(bound, Call[str])
    (job,) = app.enqueue_many([bound])
    assert job.refresh().queue == "mail"
    assert job.refresh().payload == b'[["q","p","u"],{"name":"n","run_after":"r","timeout":"t"}]'


def result() -> str:
    """Only for its type: nobody works here."""
    return greet.enqueue("ada").result(timeout=0.01)


async def aresult() -> int:
    job = await add.aenqueue(1)
    return await job.aresult(timeout=timedelta(milliseconds=10))


def tested() -> None:
    """The test kit knows the types of tasks, too."""
    with Harness(app) as harness:
        assert_type(harness.perform(add, 1, right=2), int)
        assert_type(harness.perform(greet, "ada", loud=True), str)
        assert_type(harness.perform(count.using(meta={"from": "a test"}), 3), list[int])
        assert_type(harness.performing(attempt=2).perform(add, 1), int)
        add.using(queue="q").enqueue(1)
        assert_type(harness.assert_enqueued(add, args=(1,), queue="q", count=1), Job[int])
        assert_type(harness.assert_enqueued(add.using(queue="q").bind(1)), Job[int])
        harness.assert_not_enqueued(greet)
        harness.assert_not_enqueued(where=lambda call: call.info.priority > 0)
        harness.assert_idempotent(add.bind(1), observe=lambda: harness.enqueued(add))
        (ran,) = harness.drain()
        assert_type(ran.job, Job[object])


async def tested_in_async_code() -> None:
    async with Harness(app) as harness, harness.worker():
        assert_type(await harness.aperform(greet, "ada"), str)
        job = await add.aenqueue(1)
        assert (await harness.await_for(job, "succeeded", timeout=20)).result == b"1"
        assert (await harness.await_until("succeeded", add)).task == add.name
