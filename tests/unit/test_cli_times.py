"""Times and durations as people type them."""

import argparse
from datetime import UTC, datetime, timedelta, timezone

import pytest

from conveyor.cli.times import duration, moment

DURATIONS = {
    "0": timedelta(0),
    "0s": timedelta(0),
    "90s": timedelta(seconds=90),
    "1.5h": timedelta(minutes=90),
    "30m": timedelta(minutes=30),
    "30min": timedelta(minutes=30),
    "12h": timedelta(hours=12),
    "7d": timedelta(days=7),
    "2w": timedelta(weeks=2),
    "1d12h30m": timedelta(days=1, hours=12, minutes=30),
}
NONSENSE = ["", "7", "d", "7 d", "-7d", "7D", "7y", "1e3s", "٣d", "inf", "nan", "7d ", "1.h", "9999999999s"]


@pytest.mark.parametrize(("text", "length"), DURATIONS.items())
def test_durations(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize("text", NONSENSE)
def test_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write it as 90s, 30min"):
        duration(text)


def test_a_duration_that_is_too_long() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="too long"):
        duration("999999999w")


def test_a_duration_back_from_now() -> None:
    before = datetime.now(UTC)
    assert before - timedelta(hours=2) <= moment("2h") <= datetime.now(UTC) - timedelta(hours=2)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2030-01-31T12:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31 12:00:01.5+00:00", datetime(2030, 1, 31, 12, 0, 1, 500_000, tzinfo=UTC)),
        ("2030-01-31T12:00+05:30", datetime(2030, 1, 31, 12, tzinfo=timezone(timedelta(hours=5.5)))),
    ],
)
def test_times(text: str, when: datetime) -> None:
    assert moment(text) == when


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("2030-01-31", "has no time zone; write 2030-01-31T00:00:00Z for UTC"),
        ("2030-01-31T12:00", "has no time zone"),
        ("yesterday", "is no time; write it as 2030-01-31T12:00Z, or how long ago"),
        ("2030-02-30T12:00Z", "is no time"),
        ("9999999w", "before all time"),
        ("999999999w", "too long"),
        ("", "is no time"),
    ],
)
def test_no_time(text: str, hint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=hint):
        moment(text)
