"""What is put around jobs: middleware, lifespan, hooks; in one process, on a store in memory."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from datetime import timedelta

import pytest

from conveyor import Backoff, Cancel, Context, Conveyor, Ended, Fail, Snooze, State, current
from conveyor.core.errors import ConveyorError
from conveyor.core.model import JobFilter
from conveyor.hooks import NO_HOOKS, HookRegistry, Hooks, hook_list
from conveyor.worker.runner import Settings
from tests.support.jobs import Hand
from tests.support.waiting import auntil

WAIT = 5
FAST = Backoff.fixed(0)


def work(app: Conveyor) -> None:
    assert app.run_worker(burst=True) == 0


# --------------------------------------------------------------- middleware


def test_middleware_goes_around_tasks_of_its_colour_the_first_one_outermost(app: Conveyor) -> None:
    seen: list[str] = []

    @app.middleware
    def outer(ctx: Context, call: Callable[[], object]) -> object:
        assert current() is ctx
        seen.append(f"outer {ctx.job.task}")
        return call()

    @app.middleware
    def inner(ctx: Context, call: Callable[[], object]) -> object:
        seen.append("inner")
        return (call(), "wrapped")[0]

    @app.middleware
    async def around(ctx: Context, call: Callable[[], Awaitable[object]]) -> object:
        seen.append(f"around {ctx.job.task}")
        return await call()

    async def double(number: int) -> int:
        return number * 2

    plain = app.task(name="plain")(lambda number: number + 1).enqueue(1)
    awaited = app.task(name="async")(double).enqueue(2)
    work(app)
    assert (plain.result(timeout=WAIT), awaited.result(timeout=WAIT)) == (2, 4)
    assert sorted(seen) == ["around async", "inner", "outer plain"]
    assert seen.index("outer plain") < seen.index("inner")


def test_middleware_may_change_the_result_and_what_is_raised(app: Conveyor) -> None:
    @app.middleware
    def wrap(_: Context, call: Callable[[], object]) -> object:
        try:
            return [call()]
        except LookupError as error:
            raise Cancel("nothing there") from error

    @app.task(name="look")
    def look(found: bool) -> str:
        if not found:
            raise KeyError
        return "it"

    good, bad = look.enqueue(True), look.enqueue(False)
    work(app)
    assert good.result(timeout=WAIT) == ["it"]
    assert (bad.refresh().state, bad.refresh().cancelled) == (State.CANCELLED, "nothing there")


def test_a_failing_middleware_is_a_failing_attempt(app: Conveyor) -> None:
    @app.middleware
    async def wrap(_: Context, __: Callable[[], Awaitable[object]]) -> object:
        raise RuntimeError("no database")

    async def never() -> None:
        raise AssertionError

    job = app.task(name="never", max_attempts=1)(never).enqueue()
    work(app)
    assert str(job.refresh().error) == "RuntimeError: no database"


def test_what_is_no_function_is_no_middleware(app: Conveyor) -> None:
    with pytest.raises(TypeError, match="middleware takes a function"):
        app.middleware(5)  # type: ignore[type-var]  # what the test is about


# ------------------------------------------------------------------ lifespan


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_lifespan_is_entered_once_and_left_after_the_last_job(asynchronous: bool) -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def plain(app: Conveyor) -> Generator[dict[str, int]]:
        seen.append(f"enter {len(app.tasks)}")
        yield {"number": 7}
        seen.append("leave")

    @contextlib.asynccontextmanager
    async def awaited(app: Conveyor) -> AsyncGenerator[dict[str, int]]:
        with plain(app) as state:
            yield state

    app = Conveyor("sqlite:///:memory:", lifespan=awaited if asynchronous else plain)
    assert seen == []

    @app.task(name="look", takes_context=True)
    def look(ctx: Context) -> int:
        seen.append("job")
        number: int = ctx.state["number"]
        return number

    jobs = [look.enqueue() for _ in range(2)]
    work(app)
    assert [job.result(timeout=WAIT) for job in jobs] == [7, 7]
    assert seen == ["enter 1", "job", "job", "leave"]
    app.close()


def test_without_a_lifespan_there_is_an_empty_state(app: Conveyor) -> None:
    @app.task(name="count", takes_context=True)
    def number(ctx: Context) -> int:
        ctx.state.seen = getattr(ctx.state, "seen", 0) + 1
        seen: int = ctx.state.seen
        return seen

    jobs = [number.enqueue() for _ in range(3)]
    assert app.run_worker({"default": 1}, burst=True) == 0
    assert [job.result(timeout=WAIT) for job in jobs] == [1, 2, 3]


def test_a_lifespan_that_fails_lets_nothing_start() -> None:
    @contextlib.asynccontextmanager
    async def broken(_: Conveyor) -> AsyncGenerator[None]:
        raise RuntimeError("no settings")
        yield

    app = Conveyor("sqlite:///:memory:", lifespan=broken)
    job = app.task(name="t")(lambda: None).enqueue()
    with pytest.raises(RuntimeError, match="no settings"):
        app.run_worker(burst=True)
    assert job.refresh().attempt == 0
    assert app.jobs.runners() == []
    app.close()


def test_what_is_no_context_manager_is_no_lifespan() -> None:
    app = Conveyor("sqlite:///:memory:", lifespan=lambda _: 5)  # type: ignore[arg-type,return-value]  # what the test is about
    with pytest.raises(ConveyorError, match=r"lifespan gave int, .*contextlib\.asynccontextmanager"):
        app.run_worker(burst=True)


# -------------------------------------------------------------------- hooks


class Book:
    """What hooks were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Ended]] = []

    def __call__(self, name: str) -> Callable[[Ended], None]:
        return lambda ended: self.told.append((name, ended))

    @property
    def lines(self) -> list[tuple[str, str, State]]:
        return sorted((name, ended.task, ended.state) for name, ended in self.told)


@pytest.fixture
def book(app: Conveyor) -> Book:
    """Hooks of the app on everything."""
    made = Book()
    for when in ("on_success", "on_failure", "on_retry", "on_finish"):
        getattr(app, when)(made(when))
    return made


def test_hooks_are_told_of_what_they_asked_for(app: Conveyor, book: Book) -> None:
    attempts: list[int] = []

    @app.task(name="flaky", max_attempts=2, backoff=FAST)
    def flaky() -> None:
        attempts.append(1)
        raise ValueError("no")

    @app.task(name="verdict")
    def verdict(error: str) -> None:
        kinds: dict[str, BaseException] = {"cancel": Cancel("enough"), "fail": Fail("never"), "snooze": Snooze(3600)}
        raise kinds[error]

    app.task(name="good")(lambda: 42).enqueue()
    flaky.enqueue()
    for name in ("cancel", "fail", "snooze"):
        verdict.enqueue(name)
    work(app)
    assert book.lines == sorted(
        [
            ("on_success", "good", State.SUCCEEDED),
            ("on_finish", "good", State.SUCCEEDED),
            ("on_retry", "flaky", State.RETRYABLE),
            ("on_failure", "flaky", State.FAILED),
            ("on_finish", "flaky", State.FAILED),
            ("on_finish", "verdict", State.CANCELLED),
            ("on_failure", "verdict", State.FAILED),
            ("on_finish", "verdict", State.FAILED),
        ]
    )
    ends = {name: ended for name, ended in book.told if ended.task == "flaky"}
    assert (ends["on_retry"].attempt, ends["on_failure"].attempt, ends["on_failure"].max_attempts) == (1, 2, 2)
    assert str(ends["on_failure"].error) == "ValueError: no"
    (reason,) = (ended.reason for _, ended in book.told if ended.state is State.CANCELLED)
    assert reason == "enough"


def test_a_hook_is_told_what_there_is_to_know(app: Conveyor, book: Book) -> None:
    task = app.task(name="good", queue="mail", tags=["a"])(lambda: [1, None])
    job = task.using(meta={"order": 7}).enqueue()
    work(app)
    ended = next(ended for name, ended in book.told if name == "on_success")
    assert ended == Ended(
        id=job.id,
        task="good",
        queue="mail",
        state=State.SUCCEEDED,
        attempt=1,
        max_attempts=5,
        run_time=ended.run_time,
        error=None,
        reason=None,
        result=b"[1,null]",
        tags=("a",),
        meta={"order": 7},
    )
    assert timedelta(0) <= ended.run_time < timedelta(seconds=WAIT)


def test_hooks_of_a_task_come_before_those_of_the_app_and_may_be_named(app: Conveyor) -> None:
    seen: list[str] = []

    @app.hook(name="audit")
    def audit(_: Ended) -> None:
        seen.append("audit")

    assert app.hook(told) is told
    assert app._around.registry.find(f"{__name__}.told") is told

    @app.on_success
    def every(_: Ended) -> None:
        seen.append("app")

    app.task(name="t", on_success=["audit", lambda _: seen.append("own")])(lambda: None).enqueue()
    work(app)
    assert seen == ["audit", "own", "app"]


def test_a_worker_does_not_begin_with_a_hook_that_nobody_knows(app: Conveyor) -> None:
    app.task(name="t", on_finish="nobody")(lambda: None)
    with pytest.raises(
        ConveyorError, match=r"no hook is registered as 'nobody'; register it with @app\.hook\. Known: none"
    ):
        app.run_worker(burst=True)


def test_async_hooks_are_awaited_and_failing_ones_hold_back_nobody(
    app: Conveyor, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def awaited(ended: Ended) -> None:
        await asyncio.sleep(0)
        seen.append(ended.task)

    def broken(_: Ended) -> None:
        raise LookupError("of the hook's")

    job = app.task(name="t", on_success=[broken, awaited])(lambda: 1).enqueue()
    work(app)
    assert seen == ["t"]
    assert job.result(timeout=WAIT) == 1
    assert [record.exc_info and record.exc_info[0] for record in caplog.records if "hook" in record.message] == [
        LookupError
    ]


def test_plain_hooks_run_in_threads_and_do_not_hold_up_the_loop(app: Conveyor) -> None:
    let_go, seen = threading.Event(), list[str]()

    def slow(_: Ended) -> None:
        assert let_go.wait(WAIT)
        seen.append(threading.current_thread().name)

    async def second() -> None:
        let_go.set()

    app.task(name="first", on_finish=slow)(lambda: None).enqueue()
    app.task(name="second")(second).using(priority=-1).enqueue()
    assert app.run_worker({"default": 1}, burst=True) == 0
    assert [name.startswith("conveyor-hook") for name in seen] == [True]


async def test_a_hook_is_told_of_the_jobs_of_a_dead_worker(app: Conveyor, book: Book) -> None:
    task = app.task(name="t", max_attempts=1)(lambda: None)
    await task.aenqueue()
    dead = Hand(app.store)
    assert len(dead.claim(1, ["t"])) == 1
    dead.die()
    async with asyncio.timeout(WAIT):
        runner = app.worker(Settings({"default": 1}, rescue=0.01))
        working = asyncio.create_task(runner.run())
        await auntil(lambda: len(book.told) == 2)
        runner.stop()
        assert await working == 0
    assert book.lines == [("on_failure", "t", State.FAILED), ("on_finish", "t", State.FAILED)]


def test_a_job_that_was_asked_to_stop_and_fails_is_told_of_as_cancelled(app: Conveyor, book: Book) -> None:
    @app.task(name="stubborn", takes_context=True, backoff=FAST)
    def stubborn(ctx: Context) -> None:
        app.store.run(app.store.control.ask(JobFilter(), "stop", 1, None))  # unheard, unlike job.cancel()
        raise ValueError(ctx.attempt)

    job = stubborn.enqueue()
    work(app)
    assert job.refresh().state is State.CANCELLED
    assert [line for line in book.lines if line[0] != "on_retry"] == [("on_finish", "stubborn", State.CANCELLED)]


# -------------------------------------------------------- hooks, by themselves


def told(_: Ended) -> None: ...


def test_an_option_names_one_hook_or_several() -> None:
    assert hook_list("on_success", None) == ()
    assert hook_list("on_success", told) == (told,)
    assert hook_list("on_success", "audit") == ("audit",)
    assert hook_list("on_success", [told, "audit"]) == (told, "audit")
    for wrong in (5, [told, 5]):
        with pytest.raises(
            TypeError, match=r"^on_success must be a function, or the name of a registered hook, not 5$"
        ):
            hook_list("on_success", wrong)  # type: ignore[arg-type]  # what the test is about


def test_who_is_told_depends_on_the_state() -> None:
    hooks = Hooks(("s",), ("f",), ("r",), ("e",))
    assert {state: hooks.for_state(state) for state in State} == {
        State.SUCCEEDED: ("s", "e"),
        State.FAILED: ("f", "e"),
        State.QUARANTINED: ("f", "e"),
        State.CANCELLED: ("e",),
        State.RETRYABLE: ("r",),
        **dict.fromkeys((State.READY, State.SCHEDULED, State.RUNNING, State.BLOCKED), ()),
    }
    assert bool(hooks) is not bool(NO_HOOKS)
    assert hooks.joined(Hooks(("t",))) == Hooks(("s", "t"), ("f",), ("r",), ("e",))


def test_a_name_is_registered_once_and_nothing_else_is_ever_looked_up() -> None:
    registry = HookRegistry()
    registry.register("audit", told)
    registry.register("audit", told)
    with pytest.raises(ConveyorError, match="a hook named 'audit' is registered already"):
        registry.register("audit", print)
    assert (registry.find("audit"), registry.find(print)) == (told, print)
    with pytest.raises(ConveyorError, match=r"no hook is registered as 'os\.system'.* Known: audit"):
        registry.find("os.system")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
