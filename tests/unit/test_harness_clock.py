"""The clock that a test moves."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from conveyor import UsageError
from conveyor.core.clock import stored
from conveyor.testing import MovableClock

START = datetime(2030, 1, 1, tzinfo=UTC)


def clock(start: datetime | None = START) -> MovableClock:
    return MovableClock(start, lambda: None)


def test_it_starts_where_it_is_told_and_shows_that() -> None:
    assert clock().now == START
    assert repr(clock()) == "<clock of a harness at 2030-01-01 00:00:00+00:00>"


def test_without_a_start_it_shows_the_time_of_day() -> None:
    before = datetime.now(UTC)
    assert before <= clock(None).now <= datetime.now(UTC)


def test_it_stands_still_but_for_a_microsecond_at_each_look() -> None:
    still = clock(None)
    first = still.microseconds()
    assert [still.microseconds() - first for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    "move",
    [
        lambda c: c.advance(days=3),
        lambda c: c.advance(timedelta(days=3)),
        lambda c: c.advance(3 * 86_400),
        lambda c: c.advance(86_400, hours=24, minutes=24 * 60 - 1, seconds=60),
        lambda c: c.advance(weeks=3 / 7),
        lambda c: c.move_to(START + timedelta(days=3)),
    ],
)
def test_it_is_moved_forward(move: object) -> None:
    told: list[str] = []
    moved = MovableClock(START, lambda: told.append("moved"))
    assert callable(move)
    move(moved)
    assert moved.now == START + timedelta(days=3)
    assert told == ["moved"]


def test_it_does_not_go_back() -> None:
    with pytest.raises(UsageError, match="goes forward only"):
        clock().advance(-1)
    with pytest.raises(UsageError, match="goes forward only"):
        clock().move_to(START - timedelta(microseconds=1))


@pytest.mark.parametrize("say", [lambda when: clock().move_to(when), clock])
def test_a_time_without_a_zone_is_refused(say: object) -> None:
    assert callable(say)
    with pytest.raises(UsageError, match="has no time zone"):
        say(datetime(2031, 1, 1))  # noqa: DTZ001 - that is what is refused


def test_it_catches_up_with_the_time_of_day_and_keeps_what_it_was_moved_ahead() -> None:
    late = clock(None)
    late.advance(hours=1)
    at_least = time.time_ns() // 1_000 + 3_600_000_000
    late.catch_up()
    assert late.microseconds() >= at_least
    late.move_to(late.now + timedelta(hours=1))
    at_least += 3_600_000_000
    late.catch_up()
    assert late.microseconds() >= at_least


def test_one_with_a_start_is_moved_by_nobody_else() -> None:
    alone = clock()
    alone.catch_up()
    with alone.running():
        assert alone.microseconds() == stored(START) + 1


def test_it_runs_while_it_is_told_to() -> None:
    running = clock(None)
    with running.running():
        before = time.time_ns() // 1_000
        assert running.microseconds() >= before
    first = running.microseconds()
    assert running.microseconds() == first + 1


def test_what_passes_over_is_soon_caught_up_with() -> None:
    """Jobs of one call take a microsecond each; that is no move ahead."""
    passed = clock(None)
    passed.pass_over(10)
    ahead = passed.now
    passed.catch_up()
    assert passed.now - ahead < timedelta(minutes=10)


def test_a_jump_tells_nobody() -> None:
    told: list[str] = []
    jumped = MovableClock(START, lambda: told.append("moved"))
    jumped.jump(5)
    assert jumped.now == START + timedelta(microseconds=5)
    assert not told
