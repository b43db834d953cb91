"""What may be said about a job, and what is refused, with the words of the refusal."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core.backoff import Backoff
from conveyor.core.clock import NOW, Start
from conveyor.core.errors import PayloadError
from conveyor.core.extras import Extras, decoded
from conveyor.core.options import ATTEMPTS, DEFAULT_KEEP, FOR_EVER, LONGEST, Options, microseconds
from conveyor.core.text import checked_name
from conveyor.core.unique import Unique

NAN, INF = float("nan"), float("inf")
TOO_LONG = LONGEST + timedelta(microseconds=1)


def test_the_defaults_are_those_of_the_documentation() -> None:
    plain = Options()
    assert (plain.queue, plain.priority, plain.max_attempts) == ("default", 0, 5)
    assert (plain.timeout, plain.start) == (3_600_000_000, Start(0, 0))
    assert (plain.unique, plain.extras, plain.stored_extras) == (None, Extras(), None)
    assert (plain.extras.expires, plain.extras.keep, plain.extras.store_result) == (None, None, True)


def test_a_change_leaves_the_rest_and_the_original_alone() -> None:
    before = Options().changed(queue="mail", priority=3)
    after = before.changed(priority=9)
    assert (before.priority, after.priority, after.queue) == (3, 9, "mail")


def test_no_change_is_no_change() -> None:
    assert Options().changed() == Options()


# ------------------------------------------------------------ durations


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (1, 1_000_000),
        (0.5, 500_000),
        (1.5e-6, 2),
        (timedelta(milliseconds=2), 2_000),
        (timedelta(microseconds=1), 1),
        (LONGEST, 3660 * 86_400 * 1_000_000),
        (LONGEST.total_seconds(), 3660 * 86_400 * 1_000_000),
    ],
)
def test_seconds_and_timedeltas_become_microseconds(value: timedelta | float, expected: int) -> None:
    assert microseconds("timeout", value) == expected


@settings(max_examples=30)
@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_a_timedelta_loses_nothing(value: timedelta) -> None:
    assert timedelta(microseconds=microseconds("timeout", value)) == value


@pytest.mark.parametrize("option", ["timeout", "run_after", "expires", "keep"])
@pytest.mark.parametrize(
    "value",
    [NAN, INF, -INF, -1, -1e-9, 1e300, 10**400, timedelta(microseconds=-1), TOO_LONG, timedelta.max, timedelta.min],
    ids=lambda value: str(value)[:20],
)
def test_a_duration_must_lie_between_zero_and_ten_years(option: str, value: float) -> None:
    with pytest.raises(PayloadError, match=rf"^{option}=.* must lie between 0 seconds and 3660 days$"):
        Options().changed(**{option: value})


@pytest.mark.parametrize("option", ["timeout", "run_after", "expires", "keep"])
@pytest.mark.parametrize(
    ("value", "kind"), [(True, "bool"), ("5", "str"), (b"5", "bytes"), ([5], "list"), (5j, "complex")]
)
def test_a_duration_must_be_a_number(option: str, value: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"^{option} must be seconds or a timedelta, not {kind}$"):
        Options().changed(**{option: value})


@pytest.mark.parametrize("option", ["timeout", "expires"])
@pytest.mark.parametrize("value", [0, 0.0, timedelta(0), 1e-9])
def test_a_limit_must_leave_some_time(option: str, value: timedelta | float) -> None:
    with pytest.raises(PayloadError, match=f"^{option}=.* leaves no time at all; use None for no limit$"):
        Options().changed(**{option: value})


def test_no_timeout_is_none() -> None:
    assert Options().changed(timeout=None).timeout is None


# ------------------------------------------------------ the rarer options


def test_rare_options_are_stored_as_one_text_and_none_as_nothing() -> None:
    changed = Options().changed(
        expires=60,
        keep=timedelta(days=1),
        tags=["a", "b", "a"],
        meta={"n": [1, None]},
        store_result=False,
        backoff=Backoff.fixed(3),
        unique=Unique("k", until="start"),
    )
    extras = decoded(changed.stored_extras)
    assert extras == changed.extras
    assert (extras.expires, extras.keep, extras.store_result) == (60_000_000, 86_400_000_000, False)
    assert (extras.tag_list, extras.meta_dict) == (("a", "b"), {"n": [1, None]})
    assert (extras.unique, extras.until, extras.backoff) == ("k", "start", Backoff.fixed(3))
    assert Options().changed(queue="mail", priority=3).stored_extras is None


def test_a_rare_option_can_be_taken_back() -> None:
    before = Options().changed(unique=Unique("k", until="start"), expires=60, tags=["a"])
    after = before.changed(unique=None, expires=None, tags=[])
    assert after == Options()
    assert before.unique == Unique("k", until="start")


@pytest.mark.parametrize(
    ("value", "kept"), [(None, FOR_EVER), (0, 0), (DEFAULT_KEEP, None), (timedelta(days=31), 31 * 86_400_000_000)]
)
def test_how_long_the_ended_job_stays(value: timedelta | None, kept: int | None) -> None:
    assert Options().changed(keep=value).extras.keep == kept


@pytest.mark.parametrize("value", [None, 0, 1, "yes"])
def test_whether_results_are_stored_is_a_truth_value(value: object) -> None:
    with pytest.raises(TypeError, match=r"^store_result must be True or False, not "):
        Options().changed(store_result=value)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize("value", [None, 5, lambda _: 5])
def test_the_backoff_of_one_job_is_a_rule_that_can_be_stored(value: object) -> None:
    with pytest.raises(TypeError, match=r"^backoff must be a Backoff, such as Backoff\.fixed\(10\), not "):
        Options().changed(backoff=value)  # type: ignore[arg-type]  # what the test is about


# ------------------------------------------------------------ run_after


def test_run_after_a_duration_is_counted_from_the_stores_now() -> None:
    changed = Options().changed(run_after=timedelta(minutes=5))
    assert changed.start == Start(0, 300_000_000)


def test_run_after_a_moment_is_that_moment_in_any_zone() -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=14)))
    assert Options().changed(run_after=noon) == Options().changed(run_after=elsewhere)
    assert Options().changed(run_after=noon).start == Start(int(noon.timestamp()) * 1_000_000, 0)


def test_the_later_of_two_changes_holds() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert Options().changed(run_after=5).changed(run_after=at).start.delay == 0
    assert Options().changed(run_after=at).changed(run_after=5).start.due == 0
    assert Options().changed(run_after=at).changed(run_after=None) == Options()


@pytest.mark.parametrize(
    "past", [datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))]
)
def test_a_moment_long_ago_is_at_once(past: datetime) -> None:
    assert Options().changed(run_after=past).start == NOW


class Vague(tzinfo):
    """A time zone that does not know its offset: what bears it is naive all the same."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


@pytest.mark.parametrize("zone", [None, Vague()])
def test_a_moment_without_a_time_zone_is_refused(zone: tzinfo | None) -> None:
    with pytest.raises(PayloadError, match=r"run_after=2030-01-01T00:00:00 has no time zone.*datetime\.now\(UTC\)"):
        Options().changed(run_after=datetime(2030, 1, 1, tzinfo=zone))


@pytest.mark.parametrize("moment", [datetime.max.replace(tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)])
def test_a_moment_more_than_ten_years_ahead_is_refused(moment: datetime) -> None:
    with pytest.raises(PayloadError, match="run_after="):
        Options().changed(run_after=moment)


# ------------------------------------------------- priority and attempts


@pytest.mark.parametrize("value", [-100, 0, 100])
def test_priorities_go_from_minus_100_to_100(value: int) -> None:
    assert Options().changed(priority=value).priority == value


@pytest.mark.parametrize("value", [-101, 101, 10**30])
def test_no_priority_lies_outside(value: int) -> None:
    with pytest.raises(PayloadError, match=f"^priority={value} must lie between -100 and 100$"):
        Options().changed(priority=value)


@pytest.mark.parametrize("value", [1, ATTEMPTS[-1]])
def test_attempts_go_from_1_to_1000(value: int) -> None:
    assert Options().changed(max_attempts=value).max_attempts == value


@pytest.mark.parametrize("value", [0, -1, 1001])
def test_there_is_at_least_one_attempt_and_an_end_to_them(value: int) -> None:
    with pytest.raises(PayloadError, match=f"^max_attempts={value} must lie between 1 and 1000$"):
        Options().changed(max_attempts=value)


@pytest.mark.parametrize("option", ["priority", "max_attempts"])
@pytest.mark.parametrize(
    ("value", "kind"), [(True, "bool"), (1.0, "float"), (NAN, "float"), ("1", "str"), (None, "NoneType")]
)
def test_a_count_must_be_a_whole_number(option: str, value: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"^{option} must be a whole number, not {kind}$"):
        Options().changed(**{option: value})


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["a", "x" * 200, "tâche.Ω.😀", "a b", "'\"%s{}"])
def test_a_name_is_1_to_200_printable_characters(name: str) -> None:
    assert checked_name("queue", name) == name
    assert Options().changed(queue=name).queue == name


@pytest.mark.parametrize("name", ["", "x" * 201, "x" * 10**6])
def test_no_name_is_empty_or_longer(name: str) -> None:
    with pytest.raises(PayloadError, match=f"^queue must have 1 to 200 characters, not {len(name)}$"):
        Options().changed(queue=name)


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\r", "\t", "\ud800", "a\u202eb", "\x7f", "\u2028", "\ufffe"])
def test_no_name_holds_what_cannot_be_printed(name: str) -> None:
    with pytest.raises(PayloadError, match=r"^queue='.*' holds characters that cannot be printed$") as caught:
        Options().changed(queue=name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [None, 1, b"mail", ["mail"]])
def test_a_name_is_text(name: object) -> None:
    with pytest.raises(TypeError, match=f"^queue must be a str, not {type(name).__name__}$"):
        Options().changed(queue=name)


def test_an_option_that_does_not_exist_is_refused_and_named() -> None:
    with pytest.raises(TypeError, match="prioritty"):
        Options().changed(prioritty=9)
