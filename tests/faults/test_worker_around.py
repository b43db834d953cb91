"""What an app puts around its jobs, with a worker at work: lifespan, middleware, context variables."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import pytest

from conveyor import Context, Conveyor, State, current
from conveyor.worker.runner import Settings
from tests.support.shop import ended, working

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


@pytest.fixture
def log() -> list[str]:
    return []


def add_tasks(app: Conveyor, log: list[str]) -> None:
    """A task of each colour that says what it was given."""

    @app.task(name="plain", takes_context=True)
    def plain(ctx: Context, number: int) -> int:
        log.append(f"plain {number} {ctx.state}")
        return number

    @app.task(name="awaited", takes_context=True)
    async def awaited(ctx: Context, number: int) -> int:
        log.append(f"awaited {number} {ctx.state}")
        return number


# ---------------------------------------------------------------- lifespan


@pytest.mark.parametrize("plain", [True, False])
async def test_the_lifespan_is_entered_once_before_the_first_job_and_left_after_the_last(
    url: str, log: list[str], plain: bool
) -> None:
    @contextmanager
    def lifespan(app: Conveyor) -> Generator[str]:
        log.append("entered")
        yield "state"
        log.append("left")

    @asynccontextmanager
    async def alifespan(app: Conveyor) -> AsyncGenerator[str]:
        log.append("entered")
        yield "state"
        log.append("left")

    app = Conveyor(url, lifespan=lifespan if plain else alifespan)
    add_tasks(app, log)
    jobs = [await app.tasks[name].aenqueue(1) for name in ("plain", "awaited")]
    async with working(app):
        for job in jobs:
            await ended(job)
    assert (log[0], sorted(log[1:-1]), log[-1]) == ("entered", ["awaited 1 state", "plain 1 state"], "left")
    app.close()


async def test_without_a_lifespan_the_state_is_there_to_be_filled(app: Conveyor) -> None:
    @app.task(name="fill", takes_context=True)
    async def fill(ctx: Context) -> None:
        ctx.state.name = "filled"

    @app.task(name="look", takes_context=True)
    def look(ctx: Context) -> str:
        assert isinstance(ctx.state, SimpleNamespace)
        return str(ctx.state.name)

    async with working(app):
        await ended(await fill.aenqueue())
        assert (await ended(await look.aenqueue())).result == b'"filled"'


@pytest.mark.parametrize("when", ["entering", "making"])
async def test_a_lifespan_that_fails_keeps_the_worker_from_working(url: str, log: list[str], when: str) -> None:
    @asynccontextmanager
    async def entering(app: Conveyor) -> AsyncGenerator[None]:
        raise ValueError("no database")
        yield

    def making(app: Conveyor) -> "asynccontextmanager[None]":  # type: ignore[type-arg]  # it gives nothing at all
        raise ValueError("no database")

    app = Conveyor(url, lifespan=entering if when == "entering" else making)
    add_tasks(app, log)
    job = await app.tasks["awaited"].aenqueue(1)
    with pytest.raises(ValueError, match="no database"):
        await app.worker(Settings(queues={"default": 1})).run()
    assert ((await job.arefresh()).state, log) == (State.READY, [])
    assert await asyncio.to_thread(app.jobs.runners) == []
    await app.aclose()
    app.close()


async def test_a_lifespan_that_fails_at_its_end_ends_the_worker_with_that_and_its_jobs_are_done(
    url: str, log: list[str]
) -> None:
    @asynccontextmanager
    async def lifespan(app: Conveyor) -> AsyncGenerator[str]:
        yield "state"
        raise ValueError("cannot close")

    app = Conveyor(url, lifespan=lifespan)
    add_tasks(app, log)
    job = await app.tasks["awaited"].aenqueue(1)
    with pytest.raises(ValueError, match="cannot close"):
        await app.worker(Settings(queues={"default": 1}, burst=True)).run()
    assert (await job.arefresh()).state is State.SUCCEEDED
    await app.aclose()
    app.close()


# -------------------------------------------------------------- middleware


def plain_wrap(name: str, log: list[str]) -> Callable[[Context, Callable[[], object]], object]:
    def wrap(ctx: Context, call: Callable[[], object]) -> object:
        log.append(f"{name} in")
        try:
            return call()
        finally:
            log.append(f"{name} out")

    return wrap


def async_wrap(name: str, log: list[str]) -> Callable[[Context, Callable[[], Awaitable[object]]], Awaitable[object]]:
    async def wrap(ctx: Context, call: Callable[[], Awaitable[object]]) -> object:
        log.append(f"{name} in")
        try:
            return await call()
        finally:
            log.append(f"{name} out")

    return wrap


@pytest.mark.parametrize("name", ["plain", "awaited"])
async def test_the_first_middleware_is_the_outermost_and_each_colour_has_its_own(
    app: Conveyor, log: list[str], name: str
) -> None:
    for wrap in (plain_wrap("p1", log), async_wrap("a1", log), plain_wrap("p2", log), async_wrap("a2", log)):
        app.middleware(wrap)
    add_tasks(app, log)
    async with working(app):
        await ended(await app.tasks[name].aenqueue(1))
    one, two = ("p1", "p2") if name == "plain" else ("a1", "a2")
    assert [line.removesuffix(" namespace()") for line in log] == [
        f"{one} in",
        f"{two} in",
        f"{name} 1",
        f"{two} out",
        f"{one} out",
    ]


@pytest.mark.parametrize("name", ["plain", "awaited"])
async def test_middleware_may_give_another_result_and_call_nothing(app: Conveyor, log: list[str], name: str) -> None:
    @app.middleware
    def wrap(ctx: Context, call: Callable[[], object]) -> object:
        return 7

    @app.middleware
    async def awrap(ctx: Context, call: Callable[[], Awaitable[object]]) -> object:
        return 7

    add_tasks(app, log)
    async with working(app):
        info = await ended(await app.tasks[name].aenqueue(1))
    assert (info.state, info.result, log) == (State.SUCCEEDED, b"7", [])


@pytest.mark.parametrize("name", ["plain", "awaited"])
async def test_what_middleware_raises_is_the_attempts_failure(app: Conveyor, log: list[str], name: str) -> None:
    @app.middleware
    def wrap(ctx: Context, call: Callable[[], object]) -> object:
        raise ValueError("not you")

    @app.middleware
    async def awrap(ctx: Context, call: Callable[[], Awaitable[object]]) -> object:
        raise ValueError("not you")

    add_tasks(app, log)
    async with working(app):
        info = await ended(await app.tasks[name].using(max_attempts=1).aenqueue(1))
    assert info.state is State.FAILED
    assert info.error is not None
    assert (info.error.message, log) == ("not you", [])


# ------------------------------------------------------- context variables


@pytest.mark.parametrize("plain", [True, False])
async def test_what_middleware_sets_the_task_sees_and_the_next_job_does_not(app: Conveyor, plain: bool) -> None:
    seen: list[str] = []

    @app.middleware
    def wrap(ctx: Context, call: Callable[[], object]) -> object:
        seen.append(f"before {VARIABLE.get()}")
        VARIABLE.set(ctx.job.id)
        return call()

    @app.middleware
    async def awrap(ctx: Context, call: Callable[[], Awaitable[object]]) -> object:
        seen.append(f"before {VARIABLE.get()}")
        VARIABLE.set(ctx.job.id)
        return await call()

    def look() -> None:
        seen.append(f"in {VARIABLE.get() == current().job.id}")
        VARIABLE.set("the task's")

    async def alook() -> None:
        look()

    task = app.task(name="look")(look if plain else alook)
    async with working(app, slots=1):
        for _ in range(3):
            await ended(await task.aenqueue())
    assert seen == ["before nothing", "in True"] * 3
    assert VARIABLE.get() == "nothing"


async def test_jobs_that_start_when_another_ends_see_nothing_of_it(app: Conveyor) -> None:
    """With one slot and all jobs claimed at once, each is started from the end of the one before."""
    seen: list[str] = []

    @app.task(name="look")
    async def look() -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set("mine")

    jobs = await app.aenqueue_many(look.bind() for _ in range(50))
    async with working(app, slots=1):
        for job in jobs:
            await ended(job)
    assert seen == ["nothing"] * 50
