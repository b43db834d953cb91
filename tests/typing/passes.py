"""Calls that mypy --strict and pyright must let pass, with their types; ``test_typing`` makes them, too."""

from datetime import UTC, datetime, timedelta
from typing import assert_type

from conveyor import Backoff, Context, Conveyor, Job
from conveyor.task import Call

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
