"""Hooks, with a worker at work: told once, of the end that is in the store, whatever they themselves do."""

import asyncio
import contextvars
import threading
from collections.abc import Callable

import pytest

from conveyor import Backoff, Conveyor, ConveyorError, Ended, Retry, State, current
from conveyor.core import ids
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.worker.runner import Settings
from conveyor.worker.upkeep import Upkeep
from tests.support.jobs import Hand
from tests.support.shop import PATIENCE, ended, seen, working
from tests.support.waiting import until

AT_ONCE = Backoff.fixed(0)
Told = list[tuple[str, State]]


@pytest.fixture
def told(app: Conveyor) -> Told:
    """Who was told of what, by hooks of both colours."""
    heard: Told = []

    def listener(name: str) -> Callable[[Ended], object]:
        def plain(end: Ended) -> None:
            heard.append((name, end.state))

        async def awaited(end: Ended) -> None:
            heard.append((name, end.state))

        return awaited if name in {"success", "retry"} else plain

    app.on_success(listener("success"))
    app.on_failure(listener("failure"))
    app.on_retry(listener("retry"))
    app.on_finish(listener("finish"))
    return heard


# ----------------------------------------------------------- the right end


def fails(times: int) -> Callable[[], None]:
    def work() -> None:
        if current().attempt <= times:
            raise ValueError("no")

    return work


RETRIED, SUCCEEDED = ("retry", State.RETRYABLE), [("success", State.SUCCEEDED), ("finish", State.SUCCEEDED)]
FAILED = [("failure", State.FAILED), ("finish", State.FAILED)]
CANCELLED = [("finish", State.CANCELLED)]


@pytest.mark.parametrize(
    ("failures", "attempts", "expected"),
    [
        (0, 5, SUCCEEDED),
        (1, 5, [RETRIED, *SUCCEEDED]),
        (2, 2, [RETRIED, *FAILED]),
        (1, 1, FAILED),
    ],
)
async def test_each_end_is_told_to_those_whom_it_concerns(
    app: Conveyor, told: Told, failures: int, attempts: int, expected: Told
) -> None:
    task = app.task(name="work", max_attempts=attempts, backoff=AT_ONCE)(fails(failures))
    async with working(app):
        await ended(await task.aenqueue())
    assert told == expected


async def test_a_failed_attempt_that_becomes_a_cancellation_is_told_as_one(app: Conveyor, told: Told) -> None:
    @app.task(name="work", backoff=AT_ONCE)
    def work() -> None:
        current().job.cancel("enough")
        raise Retry(0)

    async with working(app):
        await ended(await work.aenqueue())
    assert told == CANCELLED


async def test_a_success_that_was_to_be_cancelled_is_told_as_a_success(app: Conveyor, told: Told) -> None:
    @app.task(name="work")
    def work() -> None:
        current().job.cancel("enough")

    async with working(app):
        await ended(await work.aenqueue())
    assert told == SUCCEEDED


async def test_a_job_that_has_expired_when_it_is_claimed_is_told_as_cancelled(
    app: Conveyor, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Upkeep, "_expire", lambda _: asyncio.sleep(0))  # which would end it unheard
    reasons: list[str | None] = []
    app.on_finish(lambda end: reasons.append(end.reason))

    @app.task(name="work", expires=0.000001)
    async def work() -> None:
        raise AssertionError("it was started")

    job = await work.aenqueue()
    async with working(app):
        info = await ended(job)
    assert (info.state, info.cancelled, info.attempt) == (State.CANCELLED, "expired", 0)
    assert (told, reasons) == (CANCELLED, ["expired"])


@pytest.mark.parametrize(
    ("attempts", "crashes", "asked", "expected"),
    [
        (5, 0, False, [("retry", State.RETRYABLE)]),
        (1, 0, False, FAILED),
        (5, 2, False, [("failure", State.QUARANTINED), ("finish", State.QUARANTINED)]),
        (5, 0, True, CANCELLED),
    ],
)
async def test_what_a_rescuer_makes_of_the_jobs_of_the_dead_is_told(
    app: Conveyor, told: Told, attempts: int, crashes: int, asked: bool, expected: Told
) -> None:
    @app.task(name="work", max_attempts=attempts)
    async def work() -> None:
        """Runs elsewhere."""

    job = await work.aenqueue()
    control, operations = app.store.control, app.store.operations
    for death in range(crashes + 1):
        await asyncio.to_thread(taken_and_left, app.store)
        if death < crashes:
            await app.store.arun(operations.rescue(10))
    if asked:
        await app.store.arun(control.ask(JobFilter(ids=(ids.parse(job.id),)), "enough", 1, None))
    await app.store.arun(control.pause("default"))
    async with working(app):
        await seen(job, lambda info: info.state is not State.RUNNING)
        async with asyncio.timeout(PATIENCE):
            while told != expected:  # noqa: ASYNC110 - hooks are told after the store
                await asyncio.sleep(0.001)
    assert told == expected


def taken_and_left(store: Store) -> None:
    """Somebody takes the one job there is, and dies."""
    hand = Hand(store)
    until(lambda: bool(hand.claim(1, ["work"])))
    hand.die()


# --------------------------------------------------- whatever a hook does


THROWN = (ValueError, SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit, asyncio.CancelledError)


@pytest.mark.parametrize("kind", THROWN)
@pytest.mark.parametrize("plain", [True, False])
async def test_whatever_a_hook_raises_the_next_is_told_and_the_worker_goes_on(
    app: Conveyor, kind: type[BaseException], plain: bool
) -> None:
    heard: list[str] = []

    def raises(end: Ended) -> None:
        raise kind

    async def araises(end: Ended) -> None:
        raise kind

    app.on_finish(raises if plain else araises)
    app.on_finish(lambda end: heard.append(end.id))

    @app.task(name="work")
    async def work() -> None:
        """Does nothing."""

    async with working(app):
        jobs = await app.aenqueue_many(work.bind() for _ in range(30))
        for job in jobs:
            await ended(job)
    assert sorted(heard) == sorted(job.id for job in jobs)


@pytest.mark.parametrize("plain", [True, False])
async def test_slow_hooks_hold_up_neither_jobs_nor_for_long_the_end_of_their_worker(
    app: Conveyor, plain: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("conveyor.worker.runner.FLUSH", 0.2)
    go, heard = threading.Event(), list[str]()

    def slow(end: Ended) -> None:
        heard.append(end.id)
        go.wait(PATIENCE)

    async def aslow(end: Ended) -> None:
        heard.append(end.id)
        await asyncio.Event().wait()

    app.on_finish(slow if plain else aslow)

    @app.task(name="work")
    async def work() -> None:
        """Does nothing."""

    async with working(app):
        for job in await app.aenqueue_many(work.bind() for _ in range(30)):
            await ended(job)
        async with asyncio.timeout(PATIENCE):
            while len(heard) < 20:  # noqa: ASYNC110 - so many run at a time
                await asyncio.sleep(0.001)
    go.set()
    assert "hooks were still running, and were cut off" in caplog.text


async def test_a_hook_of_an_unknown_name_keeps_a_worker_from_starting(app: Conveyor) -> None:
    app.hook(name="audit")(list[Ended]().append)

    @app.task(name="work", on_failure="missing")
    async def work() -> None:
        """Does nothing."""

    with pytest.raises(ConveyorError, match=r"no hook is registered as 'missing'.*Known: audit"):
        app.worker(Settings(queues={"default": 1}))


async def test_a_named_hook_is_told_of_its_own_task_alone_and_before_the_apps(app: Conveyor) -> None:
    heard: list[tuple[str, str]] = []

    @app.hook(name="audit")
    async def audit(end: Ended) -> None:
        heard.append(("audit", end.task))

    app.on_success(lambda end: heard.append(("app", end.task)))

    @app.task(name="audited", on_success=["audit"])
    async def audited() -> None:
        """Does nothing."""

    @app.task(name="other")
    async def other() -> None:
        """Does nothing."""

    async with working(app):
        await ended(await other.aenqueue())
        await ended(await audited.aenqueue())
    assert heard == [("app", "other"), ("audit", "audited"), ("app", "audited")]


async def test_a_hook_is_told_all_there_is_to_know(app: Conveyor) -> None:
    ends: list[Ended] = []
    app.on_finish(ends.append)

    @app.task(name="work", tags=["a", "b"], max_attempts=1)
    def work(number: int) -> int:
        if not number:
            raise ValueError("zero")
        return number

    async with working(app):
        jobs = [await work.using(meta={"who": "me"}).aenqueue(number) for number in (7, 0)]
        for job in jobs:
            await ended(job)
    first, second = sorted(ends, key=lambda end: end.state, reverse=True)
    assert (first.id, first.task, first.queue, first.state) == (jobs[0].id, "work", "default", State.SUCCEEDED)
    assert (first.attempt, first.max_attempts, first.result, first.error) == (1, 1, b"7", None)
    assert (first.tags, first.meta) == (("a", "b"), {"who": "me"})
    assert (second.id, second.result) == (jobs[1].id, None)
    assert second.error is not None
    assert (second.error.type, second.error.message) == ("ValueError", "zero")


async def test_a_result_that_is_not_stored_is_not_told_either(app: Conveyor) -> None:
    results: list[bytes | None] = []
    app.on_success(lambda end: results.append(end.result))

    @app.task(name="work", store_result=False)
    async def work() -> str:
        return "secret"

    async with working(app):
        info = await ended(await work.aenqueue())
    assert (info.result, results) == (None, [None])


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


@pytest.mark.parametrize("url", ["sqlite-file", "postgres"], indirect=True)
@pytest.mark.parametrize("transactional", [True, False])
async def test_a_hook_sees_nothing_of_the_attempts_context(app: Conveyor, transactional: bool) -> None:
    seen_: list[str] = []

    @app.on_success
    async def look(end: Ended) -> None:
        seen_.append(VARIABLE.get())
        with pytest.raises(LookupError):
            current()

    @app.task(name="work", transactional=transactional)
    async def work() -> None:
        VARIABLE.set("the attempt's")

    async with working(app):
        await ended(await work.aenqueue())
    assert seen_ == ["nothing"]
