"""A job of which nothing has run does not end as succeeded: its function returned a coroutine, or a generator."""

import asyncio
import functools
import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

import conveyor
from conveyor import Conveyor, Job, State
from conveyor.core.errors import ConveyorError, PayloadError

ran: list[int] = []


@pytest.fixture(autouse=True)
def _nothing_has_run() -> None:
    ran.clear()


@pytest.fixture
def app(tmp_path: Path) -> Conveyor:
    return Conveyor(f"sqlite:///{tmp_path}/app.db")


async def body() -> None:
    ran.append(1)


def loops() -> Generator[int]:
    ran.append(1)
    yield 1


async def loops_later() -> AsyncGenerator[int]:
    ran.append(1)
    yield 1


def bare(function: Callable[[], object]) -> Callable[[], object]:
    def inner() -> object:
        return function()

    return inner


def named(function: Callable[[], object]) -> Callable[[], object]:
    @functools.wraps(function)
    def inner() -> object:
        return function()

    return inner


def in_loop(function: Callable[[], object]) -> Callable[[], object]:
    async def inner() -> object:
        return function()

    return inner


def failed(app: Conveyor, job: Job[Any]) -> str:
    """The error of a job that has failed for good, of which nothing ran, and of which nobody is warned later."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert app.run_worker(burst=True) == 0
    assert (job.refresh().state, job.attempt, ran) == (State.FAILED, 1, [])
    assert job.info is not None
    assert job.info.error is not None
    assert job.info.error.type.endswith("PayloadError")
    return job.info.error.message


@pytest.mark.parametrize("options", [{}, {"store_result": False}, {"store_result": False, "transactional": True}])
@pytest.mark.parametrize(
    ("function", "what", "remedy"),
    [
        (bare(body), "coroutine", "make the task's function, or the decorator around it, `async def`"),
        (named(body), "coroutine", "a plain function wraps body, which is async; make the wrapper `async def`"),
        (in_loop(body), "coroutine", "await it"),
        (bare(loops), "generator", "loop over it in the task"),
        (in_loop(loops), "generator", "loop over it in the task"),
        (bare(loops_later), "async_generator", "loop over it in the task"),
        (in_loop(lambda: asyncio.get_running_loop().create_future()), "Future", "await it"),
    ],
    ids=["plain", "wraps", "async", "generator", "async-generator", "generator-in-loop", "future"],
)
def test_what_has_yet_to_run_is_no_result(
    app: Conveyor, options: dict[str, Any], function: Callable[[], object], what: str, remedy: str
) -> None:
    task = app.task(name="late", **options)(function)
    message = failed(app, task.enqueue())
    assert message.startswith(f"result: the task late returned a {what}, and not what comes of it: ")
    assert remedy in message


def test_nor_is_what_a_transaction_is_completed_with(app: Conveyor) -> None:
    @app.task(name="late", store_result=False, max_attempts=1)
    async def late() -> None:
        async with conveyor.current().transaction() as transaction:
            transaction.complete(body())

    message = failed(app, late.enqueue())
    assert message == "result: complete() was given a coroutine, and not what comes of it: await it"


def test_what_cannot_be_closed_is_refused_all_the_same(app: Conveyor) -> None:
    def stubborn() -> Generator[int]:
        try:
            yield 1
        finally:
            raise SystemExit

    def begun() -> object:
        generator = stubborn()
        next(generator)
        return generator

    assert "returned a generator" in failed(app, app.task(name="late", store_result=False)(begun).enqueue())


def test_inline_it_is_raised(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVEYOR_INLINE", "1")
    inline = Conveyor("sqlite:///:memory:")
    with pytest.raises(PayloadError, match="the task late returned a coroutine"):
        inline.task(name="late", store_result=False)(bare(body)).enqueue()


class Loops:
    def __call__(self) -> Generator[int]:
        yield 1


@pytest.mark.parametrize("function", [loops, loops_later, functools.partial(loops), Loops()])
def test_a_generator_function_is_no_task(app: Conveyor, function: Callable[[], object]) -> None:
    with pytest.raises(ConveyorError, match="late is a generator function, and a worker would run nothing of it"):
        app.task(name="late")(function)
