"""Duties: one failure is logged and backed off, never fatal; only the end of the worker ends them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.worker.duty import ALL_SAID, FIRST_PAUSE, LONGEST_PAUSE, SAID_AGAIN, Trouble, every, kept


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    fake = SimpleNamespace(sleep=made.sleep, get_running_loop=lambda: made)
    monkeypatch.setattr("conveyor.worker.duty.asyncio", fake)
    monkeypatch.setattr("conveyor.worker.duty.jittered", lambda seconds: seconds)
    return made


class EndError(BaseException):
    """Ends what would go on for ever."""


def doing(*ends: BaseException | None) -> Callable[[], Awaitable[None]]:
    """A duty that ends in these ways, one after the other, and then with ``EndError``."""
    left = list(ends)

    async def duty() -> None:
        if not left:
            raise EndError
        if (error := left.pop(0)) is not None:
            raise error

    return duty


async def test_every_does_it_now_and_then_again(clock: Clock) -> None:
    with pytest.raises(EndError):
        await every(5.0, "dust", doing(None, None, None))
    assert clock.sleeps == [5.0] * 3


async def test_every_goes_on_after_a_failure(clock: Clock) -> None:
    with pytest.raises(EndError):
        await every(5.0, "dust", doing(None, ValueError("once"), None))
    assert clock.sleeps == [5.0, FIRST_PAUSE, 5.0]


async def test_kept_ends_when_its_duty_returns(clock: Clock) -> None:
    await kept("dust", doing(ValueError(), None))
    assert clock.sleeps == [FIRST_PAUSE]


async def test_pauses_grow_up_to_a_bound(clock: Clock) -> None:
    await kept("dust", doing(*[ValueError()] * 12, None))
    assert clock.sleeps[:3] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]
    assert clock.sleeps[-4:] == [LONGEST_PAUSE] * 4


async def test_after_a_quiet_minute_the_pauses_are_short_again(clock: Clock) -> None:
    trouble = Trouble("it")
    for _ in range(10):
        await trouble.pause(ValueError())
    clock.now += 61
    await trouble.pause(ValueError())
    assert clock.sleeps[-1] == FIRST_PAUSE


async def test_a_failure_each_quarter_of_a_minute_is_no_quiet_minute(clock: Clock) -> None:
    trouble = Trouble("it")
    for _ in range(10):
        await trouble.pause(ValueError())
        clock.now += 15
    assert clock.sleeps[-1] == LONGEST_PAUSE


async def test_an_outage_does_not_fill_the_log(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble("it")
    begun = clock.now
    while clock.now < begun + 600:
        await trouble.pause(StoreUnavailable("gone"))
    assert 600 / SAID_AGAIN <= len(caplog.records) < 600 / SAID_AGAIN + ALL_SAID
    assert [record.getMessage().startswith("it: gone; again in") for record in caplog.records[:4]] == [True] * 3 + [
        False
    ]
    assert "it: gone (7 more times since); again in 2.0 s" in caplog.text


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("error", "shown"),
    [(ValueError("a bug"), True), (StoreUnavailable("gone"), False), (OutcomeUnknown("lost"), False)],
    ids=repr,
)
async def test_a_failure_is_logged_and_only_a_bug_with_its_traceback(
    error: Exception, shown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "conveyor.worker"):
        await kept("dust", doing(error, None))
    (record,) = caplog.records
    assert str(error) in record.getMessage()
    assert bool(record.exc_info) is shown


class Sweeper:
    """Something with a duty that a log must name."""

    def __init__(self) -> None:
        self.done = False

    async def sweep(self) -> None:
        if self.done:
            raise EndError
        self.done = True
        raise ValueError("dusty")


@pytest.mark.usefixtures("clock")
async def test_the_log_names_the_duty_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EndError):
        await every(5.0, "dust", Sweeper().sweep)
    assert "dust" in caplog.text.partition("Traceback")[0]


async def test_only_a_cancellation_ends_a_duty_that_goes_on_for_ever() -> None:
    begun = asyncio.Event()

    async def duty() -> None:
        begun.set()
        await asyncio.Event().wait()

    for keeping in (kept("dust", duty), every(60.0, "dust", duty)):
        begun.clear()
        task = asyncio.create_task(keeping)
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_cancellation_ends_it_though_an_error_takes_its_place() -> None:
    begun, rounds = asyncio.Event(), iter(range(2))

    async def duty() -> None:
        if next(rounds):
            return
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection fell silent")

    task = asyncio.create_task(kept("duty", duty))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert next(rounds) == 1  # it has not begun anew


async def test_a_cancellation_ends_it_also_during_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = asyncio.Event()
    monkeypatch.setattr("conveyor.worker.duty.jittered", lambda _: paused.set() or 60.0)
    task = asyncio.create_task(kept("dust", doing(ValueError())))
    await paused.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
