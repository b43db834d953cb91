"""What is stored and logged of an attempt bears none of the values that its task's ``redact`` names."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from conveyor import Cancel, Conveyor, JobInfo, Snooze, current
from conveyor.core.redact import HIDDEN
from conveyor.worker.attempt import Attempt

CARD = "4111222233334444"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Conveyor]:
    made = Conveyor(f"sqlite:///{tmp_path}/app.db")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def secretly(app: Conveyor, caplog: pytest.LogCaptureFixture) -> JobInfo:
    """Run the task ``pay``; what is left of it, in which the card stands nowhere, nor in the log."""
    job = app.tasks["pay"].enqueue(CARD)
    assert app.run_worker(burst=True) == 0
    info = job.refresh()
    assert CARD not in repr((info.cancelled, info.progress, info.error, info.attempts))
    assert CARD not in caplog.text
    return info


def test_the_reason_of_a_cancellation(app: Conveyor, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(name="pay", redact=["card"])
    async def pay(card: str) -> None:
        raise Cancel(f"card {card} is refused")

    assert secretly(app, caplog).cancelled == f"card {HIDDEN} is refused"
    assert f"cancelled: card {HIDDEN} is refused" in caplog.text


def test_a_reason_that_is_no_text(app: Conveyor, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(name="pay", redact=["card"])
    def pay(card: str) -> None:
        raise Cancel(["x" * 60, card])  # type: ignore[arg-type]  # what the test is about

    assert HIDDEN[:9] in str(secretly(app, caplog).cancelled)


def test_the_reason_of_a_snooze(app: Conveyor, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(name="pay", redact=["card"])
    def pay(card: str) -> None:
        raise Snooze(3600, f"card {card} is busy")

    secretly(app, caplog)
    assert f"snoozed: card {HIDDEN} is busy" in caplog.text


@pytest.mark.parametrize("transactional", [False, True])
def test_progress(app: Conveyor, caplog: pytest.LogCaptureFixture, transactional: bool) -> None:
    @app.task(name="pay", redact=["card"], transactional=transactional)
    def pay(card: str) -> None:
        current().progress(0.5, f"card {card} with token=hunter2")

    progress = secretly(app, caplog).progress
    assert progress is not None
    assert progress.message == f"card {HIDDEN} with token={HIDDEN}"


def test_what_is_raised_too_late(app: Conveyor, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(name="pay", redact=["card"])
    async def pay(card: str) -> None:
        async with current().transaction():
            pass
        raise ValueError(f"card {card} comes late")

    secretly(app, caplog)
    assert f"which changes nothing: ValueError: card {HIDDEN} comes late" in caplog.text


@pytest.mark.parametrize("option", ["retry_on", "backoff"])
def test_what_the_policy_raises(app: Conveyor, caplog: pytest.LogCaptureFixture, option: str) -> None:
    def broken(_: object) -> bool:
        raise RuntimeError("of the user's")

    @app.task(name="pay", redact=["card"], **{option: broken})  # type: ignore[arg-type]  # one of the two
    async def pay(card: str) -> None:
        raise ValueError(f"card {card} is refused")

    secretly(app, caplog)
    assert f"{option} raised" in caplog.text
    assert "RuntimeError: of the user's" in caplog.text
    assert "in broken" in caplog.text  # where to look


def test_a_fault_of_ours(app: Conveyor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    @app.task(name="pay", redact=["card"], max_attempts=1)
    async def pay(card: str) -> None:
        raise ValueError(f"card {card} is refused")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Attempt, "_raised", broken)
    secretly(app, caplog)
    assert "the worker failed at ending an attempt: ZeroDivisionError: ours" in caplog.text


@dataclass
class Locked:
    """Can be read until it is locked."""

    number: str
    locked: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.locked:
            raise SystemExit(f"{self.number} is locked")


def test_arguments_that_cannot_be_read_hide_everything(
    app: Conveyor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(name="pay", redact=["card"], max_attempts=1)
    async def pay(card: Locked) -> None: ...

    job = pay.enqueue(Locked(CARD))
    monkeypatch.setattr(Locked, "locked", True)
    assert app.run_worker(burst=True) == 0
    info = job.refresh()
    assert info.error is not None
    assert info.error.message == HIDDEN
    assert CARD not in caplog.text
    assert "its arguments cannot be read" in caplog.text
