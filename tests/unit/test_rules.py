"""When schedules are due: the words, what they refuse and where, and what a change of the clocks means for each."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import cast
from zoneinfo import ZoneInfo

import pytest

from conveyor.core.clock import moment, stored
from conveyor.schedule import (
    Rule,
    cron,
    cron_with_seconds,
    daily,
    every,
    latest,
    monthly,
    newest,
    once,
    quarterly,
    read,
    upcoming,
    weekly,
    yearly,
)
from conveyor.schedule.rules import LATEST

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
YEAR = 366 * DAY


def utc(text: str) -> int:
    """A moment of UTC, as the rules count."""
    return stored(datetime.fromisoformat(text).replace(tzinfo=UTC))


def due(rule: Rule, start: str, count: int) -> list[str]:
    """The next ticks after *start*, a moment of UTC, to the minute."""
    return [moment(tick).strftime("%Y-%m-%d %H:%M") for tick in upcoming(rule, utc(start), count)]


def local(rule: Rule, start: str, count: int) -> list[str]:
    """The same as the clocks of the rule's zone show it."""
    zone = ZoneInfo(rule.zone or "UTC")
    return [moment(tick).astimezone(zone).strftime("%m-%d %H:%M%z") for tick in upcoming(rule, utc(start), count)]


ALL = {
    'cron "0 2 * * *" in Europe/Bucharest': cron("0 2 * * *", "Europe/Bucharest"),
    'cron "0 2 * * MON-FRI" in UTC': cron(" 0  2 * * mon-fri\t"),
    'cron "0 0 * * *" in UTC': cron("@daily"),
    'cron with seconds "*/10 * * * * *" in UTC': cron_with_seconds("*/10 * * * * *"),
    "every 15 minutes": every(minutes=15),
    "every hour": every(timedelta(hours=1)),
    "every second": every(seconds=1),
    "every 1.5 seconds": every(seconds=1.5),
    "every 90 minutes": every(hours=1, minutes=30),
    "every 2 weeks": every(weeks=2),
    "every day from 2026-12-01T10:00:00+00:00": every(days=1, start=datetime(2026, 12, 1, 10, tzinfo=UTC)),
    "once at 2026-12-01T10:00:00+00:00": once(datetime(2026, 12, 1, 12, tzinfo=ZoneInfo("Europe/Bucharest"))),
    "daily at 02:00 in Europe/Bucharest": daily("02:00", ZoneInfo("Europe/Bucharest")),
    "daily at 02:00:30 in UTC": daily(at=time(2, 0, 30)),
    "weekly on Mon, Thu, Sun at 06:30 in UTC": weekly("sunday", "Thu", "MON", "thursday", at="06:30"),
    "monthly on day 28 at 00:00 in UTC": monthly(28),
    "monthly on the last day at 23:59 in Asia/Tokyo": monthly("last", at="23:59", tz="Asia/Tokyo"),
    "quarterly on day 1 at 00:00 in UTC": quarterly(),
    "quarterly on the last day at 01:00 in UTC": quarterly("last", at="01:00"),
    "yearly on 1 January at 00:00 in UTC": yearly(),
    "yearly on 28 February at 05:00 in UTC": yearly(2, 28, at="05:00"),
}


# ------------------------------------------------------------------ words


@pytest.mark.parametrize("text", ALL)
def test_a_rule_says_what_it_is(text: str) -> None:
    assert ALL[text].text == text


@pytest.mark.parametrize("rule", ALL.values(), ids=ALL)
def test_a_rule_comes_back_from_json_as_it_was(rule: Rule) -> None:
    dumped = json.dumps(rule.dump())
    back = read(json.loads(dumped))
    assert back == rule
    assert hash(back) == hash(rule)
    assert json.dumps(back.dump()) == dumped
    assert json.loads(dumped) == rule.dump()
    assert upcoming(back, utc("2026-11-29"), 3) == upcoming(rule, utc("2026-11-29"), 3)


def test_what_is_written_otherwise_and_says_the_same_is_the_same_rule() -> None:
    assert cron("0 2  * * sun").dump() == cron(" 0 2 * * SUN").dump()
    assert weekly("mon", "thu").dump() == weekly("Thursday", "mon", at=time(0)).dump()
    assert every(minutes=60).dump() == every(hours=1).dump()
    assert once(datetime(2026, 1, 1, tzinfo=UTC)) == once(datetime.fromisoformat("2026-01-01T02:00+02:00"))


@pytest.mark.parametrize(
    ("macro", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
    ],
)
def test_a_macro_is_its_expression(macro: str, expression: str) -> None:
    assert cron(macro) == cron(expression)


def test_a_rule_without_a_zone_takes_the_first_that_it_is_given() -> None:
    rule = daily("02:00")
    assert rule.zone is None
    there = rule.in_zone("Europe/Bucharest")
    assert there == daily("02:00", "Europe/Bucharest")
    assert there.in_zone("Asia/Tokyo") is there
    assert due(rule, "2026-11-29T12:00", 1) == ["2026-11-30 02:00"]
    assert due(there, "2026-11-29T12:00", 1) == ["2026-11-30 00:00"]


@pytest.mark.parametrize("rule", [every(hours=1), once(datetime(2026, 12, 1, tzinfo=UTC))])
def test_elapsed_time_and_one_moment_need_no_zone(rule: Rule) -> None:
    assert rule.zone is None
    assert rule.in_zone("Asia/Tokyo") is rule


def test_weeks_months_quarters_and_years() -> None:
    start = "2027-12-30T12:00"
    assert due(weekly("mon", "fri", at="06:30"), start, 3) == [
        "2027-12-31 06:30",
        "2028-01-03 06:30",
        "2028-01-07 06:30",
    ]
    assert due(monthly("last"), start, 3) == ["2027-12-31 00:00", "2028-01-31 00:00", "2028-02-29 00:00"]
    assert due(monthly(28), start, 2) == ["2028-01-28 00:00", "2028-02-28 00:00"]
    assert due(quarterly(), start, 3) == ["2028-01-01 00:00", "2028-04-01 00:00", "2028-07-01 00:00"]
    assert due(quarterly("last"), start, 2) == ["2028-01-31 00:00", "2028-04-30 00:00"]
    assert due(yearly(12, 31), start, 2) == ["2027-12-31 00:00", "2028-12-31 00:00"]


def test_days_of_month_and_week_are_either_or_but_for_a_star() -> None:
    assert due(cron("0 0 13 * fri"), "2026-11-01", 4) == [
        "2026-11-06 00:00",
        "2026-11-13 00:00",
        "2026-11-20 00:00",
        "2026-11-27 00:00",
    ]
    assert due(cron("0 0 */7 * sun"), "2026-11-01", 2) == ["2026-11-08 00:00", "2026-11-15 00:00"]
    assert due(cron("0 0 L * *"), "2026-11-01", 1) == ["2026-11-30 00:00"]
    assert due(cron("0 0 LW * *"), "2026-10-01", 2) == ["2026-10-30 00:00", "2026-11-30 00:00"]
    assert due(cron("0 0 * * 5L"), "2026-11-01", 1) == ["2026-11-27 00:00"]
    assert due(cron("0 0 * * tue#2"), "2026-11-01", 1) == ["2026-11-10 00:00"]


def test_a_leap_day_that_is_a_sunday_comes_after_28_years_and_after_40() -> None:
    rule = cron("0 0 29 2 */7")
    assert due(rule, "2026-11-29", 4) == [f"{year}-02-29 00:00" for year in (2032, 2060, 2088, 2128)]


def test_seconds_come_to_the_second() -> None:
    rule = cron_with_seconds("*/20 59 23 * * *")
    ticks = upcoming(rule, utc("2026-11-29T23:59:19.999999"), 3)
    assert ticks == [utc("2026-11-29T23:59:20"), utc("2026-11-29T23:59:40"), utc("2026-11-30T23:59:00")]


# ---------------------------------------------------------- elapsed time


def test_elapsed_time_is_in_step_with_1970() -> None:
    assert due(every(minutes=15), "2026-11-29T10:07", 3) == ["2026-11-29 10:15", "2026-11-29 10:30", "2026-11-29 10:45"]
    assert due(every(days=1), "1969-12-30T10:00", 2) == ["1969-12-31 00:00", "1970-01-01 00:00"]


def test_elapsed_time_begins_at_its_start_and_keeps_in_step_with_it() -> None:
    rule = every(days=3, start=datetime(2026, 12, 1, 10, 7, tzinfo=UTC))
    assert due(rule, "2020-01-01", 2) == ["2026-12-01 10:07", "2026-12-04 10:07"]
    assert due(rule, "2026-12-01T10:07", 1) == ["2026-12-04 10:07"]
    assert due(rule, "2027-01-01", 1) == ["2027-01-03 10:07"]


def test_elapsed_time_knows_no_summer() -> None:
    ticks = upcoming(every(hours=5), utc("2026-10-24"), 20)
    assert {later - earlier for earlier, later in pairwise(ticks)} == {5 * HOUR}


def test_once_is_once() -> None:
    rule = once(datetime(2026, 12, 1, 10, tzinfo=UTC))
    at = utc("2026-12-01T10:00")
    assert [rule.after(at - 1), rule.after(at), rule.after(at + 1)] == [at, None, None]


@pytest.mark.parametrize("rule", ALL.values(), ids=ALL)
def test_no_moment_is_too_early_or_too_late_to_ask_about(rule: Rule) -> None:
    first = rule.after(-(10**30))
    assert first is None or first < utc("2026-12-02")
    for late in (LATEST, LATEST - 1, 10**30):
        assert rule.after(late) in {None, LATEST}


# ------------------------------------------------------ where clocks are set


def test_new_york_a_skipped_time_runs_at_the_end_of_the_gap_once() -> None:
    zone = "America/New_York"
    assert local(cron("30 2 * * *", zone), "2026-03-07T12:00", 2) == ["03-08 03:00-0400", "03-09 02:30-0400"]
    assert local(cron("0,15,30 2 * * *", zone), "2026-03-07T12:00", 2) == ["03-08 03:00-0400", "03-09 02:00-0400"]
    assert local(cron("0 2,3 * * *", zone), "2026-03-07T12:00", 2) == ["03-08 03:00-0400", "03-09 02:00-0400"]
    assert local(daily("02:30", zone), "2026-03-07T12:00", 1) == ["03-08 03:00-0400"]


def test_new_york_a_time_that_comes_twice_runs_at_the_first() -> None:
    rule = cron("30 1 * * *", "America/New_York")
    assert local(rule, "2026-10-31T12:00", 2) == ["11-01 01:30-0400", "11-02 01:30-0500"]
    assert local(rule, "2026-11-01T06:10", 1) == ["11-02 01:30-0500"], "asked within the second pass"
    # The second pass begins at 06:00 UTC: what is fixed at 01:00 has been.
    assert local(daily("01:00", "America/New_York"), "2026-11-01T05:59:59", 1) == ["11-02 01:00-0500"]


def test_new_york_elapsed_rules_run_in_both_passes_and_not_in_the_gap() -> None:
    rule = cron("*/30 1-2 * * *", "America/New_York")
    assert local(rule, "2026-03-08T05:59", 3) == ["03-08 01:00-0500", "03-08 01:30-0500", "03-09 01:00-0400"]
    assert local(rule, "2026-11-01T04:59", 6) == [
        "11-01 01:00-0400",
        "11-01 01:30-0400",
        "11-01 01:00-0500",
        "11-01 01:30-0500",
        "11-01 02:00-0500",
        "11-01 02:30-0500",
    ]
    hourly = upcoming(cron("0 * * * *", "America/New_York"), utc("2026-11-01"), 24)
    assert {later - earlier for earlier, later in pairwise(hourly)} == {HOUR}


def test_with_seconds_a_step_of_seconds_makes_a_rule_elapsed() -> None:
    fixed = cron_with_seconds("5 30 1 * * *", "America/New_York")
    assert len(newest(fixed, utc("2026-11-01T04:00"), utc("2026-11-01T12:00"), 9)) == 1
    elapsed = cron_with_seconds("*/30 30 1 * * *", "America/New_York")
    assert len(newest(elapsed, utc("2026-11-01T04:00"), utc("2026-11-01T12:00"), 9)) == 4
    assert newest(elapsed, utc("2026-03-08T06:31"), utc("2026-03-08T12:00"), 9) == []


def test_bucharest_changes_at_three_and_at_four() -> None:
    assert local(daily("03:15", "Europe/Bucharest"), "2026-03-28T12:00", 2) == ["03-29 04:00+0300", "03-30 03:15+0300"]
    assert local(daily("03:15", "Europe/Bucharest"), "2026-10-24T12:00", 2) == ["10-25 03:15+0300", "10-26 03:15+0200"]


def test_lord_howe_sets_its_clocks_by_half_an_hour() -> None:
    zone = "Australia/Lord_Howe"
    assert local(daily("02:15", zone), "2026-10-03T12:00", 2) == ["10-04 02:30+1100", "10-05 02:15+1100"]
    assert local(daily("01:45", zone), "2027-04-03T12:00", 2) == ["04-04 01:45+1100", "04-05 01:45+1030"]
    assert local(cron("*/15 1 * * *", zone), "2027-04-03T13:59", 6) == [
        "04-04 01:00+1100",
        "04-04 01:15+1100",
        "04-04 01:30+1100",
        "04-04 01:45+1100",
        "04-04 01:30+1030",
        "04-04 01:45+1030",
    ]


def test_apia_skipped_a_whole_day() -> None:
    assert local(daily("02:00", "Pacific/Apia"), "2011-12-29", 4) == [
        "12-29 02:00-1000",
        "12-31 00:00+1400",
        "12-31 02:00+1400",
        "01-01 02:00+1400",
    ]
    assert local(cron("0 12 30 12 *", "Pacific/Apia"), "2011-12-01", 1) == ["12-31 00:00+1400"]
    assert local(cron("0 */12 * * *", "Pacific/Apia"), "2011-12-29T11:00", 3) == [
        "12-29 12:00-1000",
        "12-31 00:00+1400",
        "12-31 12:00+1400",
    ]


def test_alaska_had_one_day_twice() -> None:
    # In 1867 it came to America, on the other side of the date line: a day of 24 hours came back.
    rule = daily("12:00", "America/Juneau")
    ticks = upcoming(rule, utc("1867-10-15T22:00"), 5)
    assert [later - earlier for earlier, later in pairwise(ticks)] == [DAY, DAY, 2 * DAY, DAY]


def test_offsets_may_have_seconds() -> None:
    tick = daily("12:00", "Africa/Monrovia").after(utc("1971-06-01"))
    assert tick == utc("1971-06-01T12:44:30")


def test_troll_sets_its_clocks_by_two_hours() -> None:
    zone = "Antarctica/Troll"
    assert local(cron("30 1,2 * * *", zone), "2026-03-28T12:00", 2) == ["03-29 03:00+0200", "03-30 01:30+0200"]
    assert local(cron("30 1,2 * * *", zone), "2026-10-24T12:00", 3) == [
        "10-25 01:30+0200",
        "10-25 02:30+0200",
        "10-26 01:30+0000",
    ]


def test_casablanca_has_its_winter_in_ramadan() -> None:
    # 2026: back at 03:00 on 15 February, forward at 02:00 on 22 March.
    zone = "Africa/Casablanca"
    assert local(daily("02:30", zone), "2026-02-14T12:00", 2) == ["02-15 02:30+0100", "02-16 02:30+0000"]
    assert local(daily("02:30", zone), "2026-03-21T12:00", 2) == ["03-22 03:00+0100", "03-23 02:30+0100"]


def test_chatham_is_three_quarters_of_an_hour_off() -> None:
    zone = "Pacific/Chatham"
    assert local(daily("03:00", zone), "2026-09-25", 2) == ["09-26 03:00+1245", "09-27 03:45+1345"]
    assert local(daily("03:00", zone), "2026-09-26T14:00", 1) == ["09-28 03:00+1345"], "asked at the change itself"
    assert local(daily("03:00", zone), "2027-04-03", 2) == ["04-04 03:00+1345", "04-05 03:00+1245"]


def test_sao_paulo_had_days_that_began_at_one() -> None:
    zone = "America/Sao_Paulo"
    assert local(cron("@daily", zone), "2018-11-03T12:00", 2) == ["11-04 01:00-0200", "11-05 00:00-0200"]
    assert local(cron("0 0 4 11 *", zone), "2018-11-01T12:00", 1) == ["11-04 01:00-0200"]
    assert local(cron("0 * * * *", zone), "2018-11-04T01:30", 2) == ["11-03 23:00-0300", "11-04 01:00-0200"]


# ---------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("0 2 * * mox", 'cron "0 2 * * mox": field 5 (day of week): "mox" is no day (0 to 7, or sun to sat)'),
        ("0 2 * * monday", 'field 5 (day of week): "monday" is no day; write mon'),
        ("60 * * * *", 'field 1 (minute): "60" is no minute (0 to 59)'),
        ("0 24 * * *", 'field 2 (hour): "24" is no hour (0 to 23)'),
        ("0 0 0 * *", 'field 3 (day of month): "0" is no day (1 to 31)'),
        ("0 0 1 13 *", 'field 4 (month): "13" is no month (1 to 12, or jan to dec)'),
        ("0 0 * * 8", 'field 5 (day of week): "8" is no day (0 to 7, or sun to sat)'),
        ("0 22-2 * * *", 'field 2 (hour): "22-2" goes backwards; write 22-23,0-2'),
        ("0 0 * * fri-mon", '"fri-mon" goes backwards; write fri-7,0-mon'),
        ("*/90 * * * *", '"*/90": a step is 1 to 59; every(...) takes any period'),
        ("*/0 * * * *", '"*/0": a step is 1 to 59'),
        ("1,,2 * * * *", "field 1 (minute): something is missing at a comma"),
        ("1- * * * *", '"1-" is no minute, range, step or list (0 to 59)'),
        ("1-2-3 * * * *", '"1-2-3" is no minute, range, step or list'),
        ("0 0 ? * *", 'field 3 (day of month): "?" is no day, range, step or list; write "*"'),
        ("0 0 * * L", "the last Friday is 5L"),
        ("0 0 * * 1#6", "a month has at most five of each day"),
        ("0 0 15W * *", '"15w" is no day'),
        ("* * * *", "4 fields instead of 5 (minute, hour, day of month, month, day of week)"),
        ("", "0 fields instead of 5"),
        ("* * * * * *", "six fields; with seconds, write cron_with_seconds(...)"),
        ("@reboot", 'only these begin with "@": @annually, @daily'),
        ("0 0 31 2 *", "no month has such a day, so it never comes"),
        ("0 0 30,31 2 *", "it never comes"),
        ("0 0 31 4,6,9,11 *", "it never comes"),
        ("0 0 */28 * 1#2", "it never comes"),
        ("٣ * * * *", r"'\u0663' is in no cron expression"),
        ("0 0 * * *\0", r"'\x00' is in no cron expression"),
        ("0\n0 * * *", r"'\n' is in no cron expression"),
        ("*" * 1_000_000, "cron: 1,000,000 characters, and an expression has at most 200"),
        (f"{'9' * 150} * * * *", '9..." is no minute (0 to 59)'),
        (f"*/{'9' * 150} * * * *", "a step is 1 to 59"),
        ("1e3 * * * *", '"1e3" is no minute'),
        ("-1 * * * *", '"-1" is no minute'),
        ("1.5 * * * *", "'.' is in no cron expression"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place(expression: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        cron(expression)
    assert len(str(caught.value)) < 400


def test_with_seconds_the_fields_are_counted_from_the_seconds() -> None:
    with pytest.raises(ValueError, match=r'cron_with_seconds "60 .*field 1 \(second\): "60" is no second'):
        cron_with_seconds("60 * * * * *")
    with pytest.raises(ValueError, match=r"five fields; without seconds, write cron"):
        cron_with_seconds("* * * * *")


@pytest.mark.parametrize("value", [None, 5, b"* * * * *", ["*"] * 5])
def test_an_expression_is_a_text(value: object) -> None:
    with pytest.raises(ValueError, match="cron takes an expression, as cron"):
        cron(cast(str, value))


ZONES = ("", "Mars/Olympus", "/etc/localtime", "../UTC", "Europe/../UTC", "Europe", "zone.tab", "localtime", "x" * 101)


@pytest.mark.parametrize("zone", [*ZONES, "Europe/Bucharest\0", "Europe/Bucureşti", "\ud800", 5, UTC])
def test_a_wrong_zone_is_refused(zone: object) -> None:
    with pytest.raises(ValueError, match=r'daily at 02:00: time zone: .*("Europe/Bucharest"|is known here|which one)'):
        daily("02:00", cast(str, zone))
    with pytest.raises(ValueError, match="time zone"):
        cron("0 2 * * *").in_zone(cast(str, zone))


def test_a_rule_whose_times_the_clocks_skip_each_year_is_refused() -> None:
    with pytest.raises(ValueError, match="in Europe/Bucharest: never comes; the clocks there skip these times"):
        cron("*/30 3 * 3 0L", "Europe/Bucharest")
    assert local(cron("30 3 * 3 0L", "Europe/Bucharest"), "2026-01-01", 1) == ["03-29 04:00+0300"]


def test_a_zone_that_is_gone_leaves_a_rule_that_can_be_shown() -> None:
    rule = read({"rule": "daily", "at": "02:00", "zone": "Europe/Atlantis"})
    assert rule.text == "daily at 02:00 in Europe/Atlantis"
    assert read(rule.dump()) == rule
    with pytest.raises(
        ValueError, match=r'no time zone "Europe/Atlantis" is known here; .* install the package tzdata'
    ):
        rule.after(0)


REFUSED: dict[str, tuple[Callable[[], Rule], str]] = {
    "time": (lambda: daily("24:00"), "daily: at='24:00' is no time of day"),
    "time of one digit": (lambda: daily("2:00"), "is no time of day"),
    "time of 1 MB": (lambda: daily("02:00" + " " * 1_000_000), "is no time of day"),
    "time with fractions": (lambda: daily(time(2, 0, 0, 1)), "is no time of day"),
    "time with a zone": (lambda: daily(time(2, tzinfo=UTC)), "is no time of day"),
    "time as number": (lambda: daily(cast(str, 2)), "at=2 is no time of day"),
    "no day of the week": (weekly, 'weekly needs a day at least, as weekly("mon")'),
    "day of the week": (lambda: weekly("mon", "tues"), "weekly: 'tues' is no day"),
    "number of the week": (lambda: weekly(cast(str, 1)), "weekly: 1 is no day"),
    "31st": (lambda: monthly(31), 'day=31 is no day of each month; not every month has it, and the last day is "last"'),
    "0th": (lambda: monthly(0), 'monthly: day=0 is no day of each month (1 to 28) or "last"'),
    "True": (lambda: monthly(day=True), "day=True is no day"),
    "half a day": (lambda: quarterly(cast(int, 1.5)), "quarterly: day=1.5 is no day"),
    "first": (lambda: quarterly(cast(int, "first")), "day='first' is no day"),
    "29 February": (lambda: yearly(2, 29), "yearly: day=29 is no day of each February (1 to 28); cron("),
    "31 April": (lambda: yearly(4, 31), "day=31 is no day of each April (1 to 30)"),
    "month": (lambda: yearly(13), "month=13 is no month (1 to 12)"),
    "no period": (every, "a period is 1 second to ten years, not '0:00:00'"),
    "short": (lambda: every(seconds=0.999), "a period is 1 second to ten years"),
    "long": (lambda: every(days=3661), "a period is 1 second to ten years"),
    "negative": (lambda: every(minutes=-1), "a period is 1 second to ten years"),
    "infinite": (lambda: every(minutes=float("inf")), "is no period from 1 second to ten years"),
    "not a number": (lambda: every(minutes=float("nan")), "is no period from 1 second to ten years"),
    "huge": (lambda: every(weeks=10**400), "is no period from 1 second to ten years"),
    "text": (lambda: every(minutes=cast(float, "5")), "every: minutes='5' is no number"),
    "bool": (lambda: every(minutes=True), "every: minutes=True is no number"),
    "bare number": (lambda: every(cast(timedelta, 5)), "every takes a timedelta, as every(timedelta(hours=1))"),
    "both": (lambda: every(timedelta(hours=1), minutes=1), "every takes a timedelta or its parts, not both"),
    "naive start": (lambda: every(hours=1, start=datetime(2026, 1, 1)), "every: start takes an aware datetime"),  # noqa: DTZ001 - that is the point
    "naive once": (lambda: once(datetime(2026, 1, 1)), "once takes an aware datetime"),  # noqa: DTZ001 - that is the point
    "once as text": (lambda: once(cast(datetime, "2026-01-01")), "once takes an aware datetime"),
}


@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED)
def test_what_a_word_does_not_take_is_refused(made: tuple[Callable[[], Rule], str]) -> None:
    with pytest.raises(ValueError, match=re.escape(made[1])) as caught:
        made[0]()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "dumped",
    [
        None,
        [],
        "daily",
        {},
        {"rule": "hourly"},
        {"rule": ["daily"], "at": "02:00"},
        {"rule": "daily"},
        {"rule": "daily", "at": "02:00", "day": 1},
        {"rule": "daily", "at": 2},
        {"rule": "daily", "at": "02:00", "zone": 5},
        {"rule": "daily", "at": "02:00", "zone": "../etc"},
        {"rule": "every", "period": 60_000_000, "start": None, "zone": "UTC"},
        {"rule": "every", "period": 0, "start": None},
        {"rule": "every", "period": 10**40, "start": None},
        {"rule": "every", "period": True, "start": None},
        {"rule": "every", "period": 60_000_000, "start": "now"},
        {"rule": "once", "at": 1.5},
        {"rule": "once", "at": 10**30},
        {"rule": "weekly", "days": ["mon"], "at": "02:00"},
        {"rule": "weekly", "days": "", "at": "02:00"},
        {"rule": "weekly", "days": "mon," * 99, "at": "02:00"},
        {"rule": "cron", "expression": "0 0 31 2 *"},
        {"rule": "cron", "expression": {}},
        {"rule": "yearly", "month": None, "day": 1, "at": "00:00"},
    ],
)
def test_nonsense_is_not_read(dumped: object) -> None:
    with pytest.raises(ValueError, match=r"[a-z]{4}"):
        read(dumped)


# ------------------------------------------------------------------ ticks


def test_upcoming_stops_where_the_rule_does() -> None:
    rule = once(datetime(2026, 12, 1, tzinfo=UTC))
    assert upcoming(rule, 0, 5) == [utc("2026-12-01")]
    assert upcoming(rule, utc("2026-12-01"), 5) == []
    assert upcoming(every(seconds=1), 0, 0) == []


def test_the_latest_tick_may_be_at_the_end_and_not_at_the_beginning() -> None:
    rule = every(hours=1)
    assert latest(rule, 0, 20 * HOUR) == 20 * HOUR
    assert latest(rule, 0, 20 * HOUR - 1) == 19 * HOUR
    assert latest(rule, 19 * HOUR, 20 * HOUR - 1) is None
    assert latest(rule, 20 * HOUR, 20 * HOUR) is None
    assert latest(rule, 20 * HOUR, 0) is None


class Counted(Rule):
    """A rule that counts how often it is asked."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.asked = rule, 0

    @property
    def text(self) -> str:
        return self.rule.text

    def after(self, moment: int) -> int | None:
        self.asked += 1
        return self.rule.after(moment)

    def dump(self) -> dict[str, object]:
        return self.rule.dump()


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        (cron_with_seconds("* * * * * *", "Europe/Bucharest"), 20),
        (cron("*/5 * * * *", "Europe/Bucharest"), 60),
        (daily("02:00", "Europe/Bucharest"), 80),
        (cron_with_seconds("* * 3 25 10 *", "Europe/Bucharest"), 120),
    ],
)
def test_the_latest_of_millions_is_found_without_going_through_them(rule: Rule, asked: int) -> None:
    counted, until = Counted(rule), utc("2026-11-29T12:34:56.789")
    found = latest(counted, until - 10 * YEAR, until)
    assert found is not None
    assert found <= until
    following = rule.after(found)
    assert following is not None
    assert following > until
    assert rule.after(found - 1) == found
    assert counted.asked <= asked


def test_the_newest_are_the_last_ones_oldest_first() -> None:
    rule, until = daily("02:00", "America/New_York"), utc("2026-11-29")
    everything = [tick for tick in upcoming(rule, until - YEAR, 400) if tick <= until]
    for most in (1, 2, 8, 9, 100, 365, 366, 500):
        assert newest(rule, until - YEAR, until, most) == everything[-most:]
    assert newest(rule, until - YEAR, until, 0) == []


def test_the_newest_hundred_of_a_rule_of_seconds_over_ten_years() -> None:
    rule, until = cron_with_seconds("* * * * * *", "Europe/Bucharest"), utc("2026-11-29")
    counted = Counted(rule)
    assert newest(counted, until - 10 * YEAR, until, 100) == [until - n * SECOND for n in reversed(range(100))]
    assert counted.asked < 1000
