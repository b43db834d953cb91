"""Whatever a task raises, its job ends, the others end too, and nothing secret is kept of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from conveyor import Backoff, Cancel, Conveyor, Fail, Job, Retry, Snooze, State
from conveyor.core.redact import HIDDEN
from conveyor.worker.attempt import Attempt
from tests.support.hostile import ERRORS, Rude


@pytest.fixture
def app() -> Conveyor:
    return Conveyor("sqlite:///:memory:")


def ended(app: Conveyor, *jobs: Job[Any]) -> None:
    assert app.run_worker(burst=True) == 0
    for job in jobs:
        job.refresh()


class Unmade(Cancel):
    """Its author did not call our ``__init__``."""

    def __init__(self) -> None:
        pass


class UnmadeFail(Fail):
    def __init__(self) -> None:
        pass


class UnmadeRetry(Retry):
    def __init__(self) -> None:
        pass


class Broken(Cancel):
    @property
    def reason(self) -> str:  # type: ignore[override]  # what the test is about
        raise ZeroDivisionError

    def __init__(self) -> None:
        pass


class Exits(Retry):
    """One of its properties ends the program."""

    @property
    def start(self) -> None:  # type: ignore[override]  # what the test is about
        raise SystemExit

    @start.setter
    def start(self, _: object) -> None:
        pass


class Misled(Snooze):
    def __init__(self) -> None:
        self.start = "soon"  # type: ignore[assignment]  # what the test is about


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (Unmade, State.CANCELLED),
        (UnmadeFail, State.FAILED),
        (UnmadeRetry, State.FAILED),
        (Broken, State.FAILED),
        (Misled, State.FAILED),
        (Exits, State.FAILED),
    ],
)
def test_a_verdict_of_the_users_own_making_ends_its_job(app: Conveyor, kind: type[Exception], state: State) -> None:
    @app.task(name="end", max_attempts=1)
    async def end() -> None:
        raise kind

    job = end.enqueue()
    ended(app, job)
    assert job.state is state


@pytest.mark.parametrize("name", ["closed", "disguised", "hidden", "says-last", "exit", "interrupt", "stop-iteration"])
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_an_error_that_cannot_be_asked_anything_ends_its_job_and_no_other(app: Conveyor, name: str, where: str) -> None:
    async def fail_in_loop() -> None:
        error = ERRORS[name]()
        raise error

    def fail_in_thread() -> None:
        error = ERRORS[name]()
        raise error

    fail = app.task(name="fail", max_attempts=1)(fail_in_loop if where == "loop" else fail_in_thread)
    good = app.task(name="good")(lambda: 1)
    jobs = fail.enqueue(), good.enqueue()
    ended(app, *jobs)
    assert [job.state for job in jobs] == [State.FAILED, State.SUCCEEDED]


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_fault_of_ours_at_the_end_of_an_attempt_ends_its_job_too(
    app: Conveyor, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def in_loop() -> int:
        return 1

    def in_thread() -> int:
        return 1

    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    task = app.task(name="count", max_attempts=1)(in_loop if where == "loop" else in_thread)
    monkeypatch.setattr(Attempt, "_returned", broken)
    job = task.enqueue()
    ended(app, job)
    assert job.state is State.FAILED
    assert "the worker failed at ending an attempt" in caplog.text


def test_the_values_of_redacted_parameters_are_not_in_a_stored_error(app: Conveyor) -> None:
    @app.task(name="pay", max_attempts=1, redact=["card", "rest"])
    async def pay(amount: int, card: dict[str, str], *rest: str) -> None:
        raise LookupError(f"no {card['number']} for {amount} or {rest}, password=hunter2")

    job = pay.enqueue(100, {"number": "4111-1111"}, "deep-secret")
    ended(app, job)
    error = job.info.error if job.info else None
    assert error is not None
    assert error.message == f"no {HIDDEN} for 100 or ('{HIDDEN}',), password={HIDDEN}"
    assert "4111" not in error.traceback
    assert "hunter2" not in error.traceback


def test_a_reason_is_kept_as_text_whatever_it_is(app: Conveyor) -> None:
    reasons = ["nothing to do", "a\0b", "\ud800", "x" * 10_000, 5, Rude(), ValueError("token=hunter2"), None]

    @app.task(name="end")
    async def end(number: int) -> None:
        raise Cancel(reasons[number])  # type: ignore[arg-type]  # what the test is about

    jobs = [end.enqueue(number) for number in range(len(reasons))]
    ended(app, *jobs)
    assert [job.info.cancelled if job.info else None for job in jobs] == [
        "nothing to do",
        r"a\x00b",
        r"\ud800",
        "x" * 500 + "…",
        "5",
        "a Rude",
        f"token={HIDDEN}",
        "cancelled by its task",
    ]


# ------------------------------------------- what would end the program, raised around a task and not by it

ENDS = pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])


def raising(end: type[BaseException]) -> Callable[[object], bool]:
    def function(_: object) -> bool:
        raise end

    return function


def fails_in(where: str) -> Callable[[], object]:
    async def in_loop() -> None:
        raise ValueError

    def in_thread() -> None:
        raise ValueError

    return in_loop if where == "loop" else in_thread


@ENDS
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_predicate_does_not_end_the_worker(app: Conveyor, where: str, end: type[BaseException]) -> None:
    fail = app.task(name="fail", max_attempts=2, backoff=Backoff.fixed(0), retry_on=raising(end))(fails_in(where))
    jobs = fail.enqueue(), app.task(name="good")(lambda: 1).enqueue()
    ended(app, *jobs)
    assert [(job.state, job.attempt) for job in jobs] == [(State.FAILED, 2), (State.SUCCEEDED, 1)]


@ENDS
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_nor_does_a_backoff(app: Conveyor, where: str, end: type[BaseException]) -> None:
    fail = app.task(name="fail", backoff=cast(Any, raising(end)))(fails_in(where))
    jobs = fail.enqueue(), app.task(name="good")(lambda: 1).enqueue()
    ended(app, *jobs)
    assert [job.state for job in jobs] == [State.RETRYABLE, State.SUCCEEDED]


@dataclass(eq=False)
class Ends:
    """Comparing it ends the program."""

    end: ClassVar[type[BaseException]]
    number: int = 1

    def __eq__(self, _: object) -> bool:
        raise self.end

    __hash__ = object.__hash__


@ENDS
@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_nor_does_a_result(
    tmp_path: Path, where: str, transactional: bool, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ends, "end", end, raising=False)

    async def in_loop() -> Ends:
        return Ends()

    def in_thread() -> Ends:
        return Ends()

    app = Conveyor(f"sqlite:///{tmp_path}/app.db")
    task = app.task(name="end", transactional=transactional)(in_loop if where == "loop" else in_thread)
    jobs = task.enqueue(), app.task(name="good")(lambda: 1).enqueue()
    ended(app, *jobs)
    assert [(job.state, job.attempt) for job in jobs] == [(State.FAILED, 1), (State.SUCCEEDED, 1)]


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_nor_does_a_fault_of_ours(app: Conveyor, end: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attempt, "_raised", lambda *_: raising(end)(None))
    job = app.task(name="fail", max_attempts=1)(fails_in("loop")).enqueue()
    ended(app, job)
    assert job.state is State.FAILED


class Mute:
    def __repr__(self) -> str:
        raise SystemExit


def test_nor_does_a_reason_that_cannot_be_shown(app: Conveyor) -> None:
    @app.task(name="end")
    async def end() -> None:
        raise Cancel(Mute())  # type: ignore[arg-type]  # what the test is about

    job = end.enqueue()
    ended(app, job)
    assert job.info is not None
    assert (job.state, job.info.cancelled) == (State.CANCELLED, "a Mute")
