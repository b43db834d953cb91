"""When a job may start: any moment that is one, in any zone, within ten years; the rest is refused in words."""

import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import cast
from zoneinfo import ZoneInfo

import pytest

from conveyor.core.clock import FIRST, LAST, moment
from conveyor.core.errors import PayloadError
from conveyor.core.options import LONGEST, Duration, Options, microseconds, number_in, start
from tests.support.hostile import BERLIN, VALUES, Broken, Level, Rude, Vague, Whole, tried

NOW = time.time_ns() // 1000


def due(when: datetime) -> int:
    return start("run_after", when).due


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type,misc]  # year, month ...


@pytest.mark.parametrize("name", VALUES)
def test_every_value_is_a_time_or_refused_with_its_path(name: str) -> None:
    value = cast(Duration, VALUES[name].make())
    for what, takes in (("run_after", start), ("timeout", microseconds)):
        taken, refusal = tried(lambda what=what, takes=takes: takes(what, value))  # type: ignore[misc]  # bound now
        if refusal is None:
            assert isinstance(taken, int | tuple)
        else:
            assert refusal.startswith(what)
            assert len(refusal) < 500


@pytest.mark.parametrize("name", VALUES)
def test_every_value_is_a_number_or_refused_with_its_path(name: str) -> None:
    value = cast(int, VALUES[name].make())
    taken, refusal = tried(lambda: number_in("priority", value, range(-100, 101)))
    if refusal is None:
        assert type(taken) is int
    else:
        assert refusal.startswith("priority")
        assert len(refusal) < 500


def test_a_number_of_another_class_is_stored_as_a_number() -> None:
    assert type(number_in("priority", Level.LOW, range(5))) is int
    assert type(number_in("priority", Whole(3), range(5))) is int


# --------------------------------------------------------------- summer time


def test_of_the_hour_that_comes_twice_fold_says_which() -> None:
    when = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
    assert due(when) == utc(2024, 10, 27, 0, 30)
    assert due(when.replace(fold=1)) == utc(2024, 10, 27, 1, 30)


def test_a_time_that_never_comes_is_as_late_as_the_hour_that_is_left_out() -> None:
    """By the offset from before the change, as Python has it: half past two is half past three."""
    when = datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN)
    assert due(when) == utc(2024, 3, 31, 1, 30) == due(datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN))
    assert due(when.replace(fold=1)) == utc(2024, 3, 31, 0, 30)


@pytest.mark.parametrize(
    "zone",
    [UTC, BERLIN, timezone(timedelta(hours=14)), timezone(-timedelta(hours=14)), timezone(timedelta(seconds=3208))],
    ids=str,
)
def test_a_moment_is_the_same_in_every_zone(zone: tzinfo) -> None:
    when = datetime(2030, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert due(when.astimezone(zone)) == due(when)


# --------------------------------------------------------------------- ends


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=14))], ids=str)
def test_what_is_long_past_is_at_once_and_the_end_of_time_is_refused(zone: tzinfo) -> None:
    assert due(datetime(1, 1, 1, tzinfo=zone)) == 0
    assert due(datetime(1969, 12, 31, tzinfo=zone)) == 0
    with pytest.raises(PayloadError, match=r"^run_after=9999-12-31T.* is more than 3660 days ahead$"):
        due(datetime(9999, 12, 31, 23, 59, tzinfo=zone))


def test_ten_years_is_the_most() -> None:
    assert due(datetime.now(UTC) + LONGEST - timedelta(minutes=1)) > NOW
    with pytest.raises(PayloadError):
        due(datetime.now(UTC) + LONGEST + timedelta(minutes=1))


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), -1, -1e-9, 1e300, 10**400, 10**5000, timedelta.max, timedelta.min],
    ids=lambda value: repr(value)[:20] if value != 10**5000 else "too long for text",
)
@pytest.mark.parametrize("option", ["run_after", "timeout", "expires", "keep"])
def test_no_wait_is_negative_endless_or_no_number(option: str, value: float) -> None:
    with pytest.raises(PayloadError, match=rf"^{option}=.* must lie between 0 seconds and 3660 days$"):
        Options().changed(**{option: value})  # type: ignore[misc]  # one of several options


@pytest.mark.parametrize(
    "value", ["5", b"5", True, [5], 5j, Decimal(5), Fraction(5), Rude()], ids=lambda v: type(v).__name__
)
@pytest.mark.parametrize("option", ["run_after", "timeout"])
def test_a_wait_is_a_number_of_seconds_or_a_timedelta(option: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{option} must be seconds or a timedelta, not {type(value).__name__}$"):
        Options().changed(**{option: value})  # type: ignore[misc]  # as above


@pytest.mark.parametrize("zone", [None, Vague()], ids=["none", "vague"])
def test_a_moment_without_a_zone_is_refused(zone: tzinfo | None) -> None:
    with pytest.raises(PayloadError, match=r"^run_after=2030-01-01T00:00:00 has no time zone, so nobody knows"):
        due(datetime(2030, 1, 1, tzinfo=zone))


def test_so_is_one_of_a_zone_that_fails() -> None:
    with pytest.raises(PayloadError, match=r"^run_after: its time zone cannot say when it is: it raised ZeroDivisionE"):
        due(datetime(2030, 1, 1, tzinfo=Broken()))


# ------------------------------------------------------------------- stored


def test_a_stored_time_that_is_none_is_the_first_or_the_last() -> None:
    assert moment(2**63 - 1) == LAST
    assert moment(-(2**63)) == FIRST
    assert moment(10**30) == LAST
    assert moment(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_zones_of_the_tests_are_there() -> None:
    assert ZoneInfo("Europe/Berlin").utcoffset(datetime(2024, 7, 1)) == timedelta(hours=2)  # noqa: DTZ001 - a wall clock's
