"""Whatever is written as a rule is refused or comes; and what comes keeps its order, its dump and its newest ticks."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

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

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
WALKED = 60
SOON = 0.05
"""Seconds within which any text is refused or its next tick known."""

settings.register_profile("rules", deadline=None, derandomize="CI" in os.environ, database=None)
ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Europe/Bucharest", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", None]
)
MOMENTS = st.datetimes(datetime(1995, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)).map(stored)  # noqa: DTZ001 - hypothesis adds the zone


def field(low: int, high: int, *special: str) -> st.SearchStrategy[str]:
    """What may stand in a field of these numbers."""
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(lambda both: f"{min(both)}-{max(both)}")
    bases = st.one_of(st.just("*"), numbers.map(str), ranges)
    stepped = st.tuples(bases, st.integers(1, high)).map(lambda both: f"{both[0]}/{both[1]}")
    terms = st.one_of(bases, stepped, *([st.sampled_from(special)] if special else []))
    return st.one_of(st.just("*"), st.lists(terms, min_size=1, max_size=3).map(",".join))


SECONDS, MINUTES, HOURS = field(0, 59), field(0, 59), field(0, 23)
DATES = st.tuples(field(1, 31, "L", "LW"), field(1, 12, "jan", "OCT"), field(0, 7, "mon", "5L", "sun#2", "SAT"))
FIVE = st.tuples(MINUTES, HOURS, DATES.map(" ".join)).map(" ".join)
SIX = st.tuples(SECONDS, FIVE).map(" ".join)
CLOCKS = st.times().map(lambda at: at.replace(microsecond=0))
DAYS = st.one_of(st.integers(1, 28), st.just("last"))


def made(expression: str, zone: str | None, *, seconds: bool) -> Rule:
    """The rule, or one that comes where that never does."""
    try:
        return cron_with_seconds(expression, zone) if seconds else cron(expression, zone)
    except ValueError as error:
        if "never comes" not in str(error):
            raise
    return cron("0 0 * * *", zone)


CRONS = st.one_of(
    st.builds(made, FIVE, ZONES, seconds=st.just(value=False)),
    st.builds(made, SIX, ZONES, seconds=st.just(value=True)),
)
RULES = st.one_of(
    CRONS,
    st.builds(daily, CLOCKS, ZONES),
    st.builds(
        lambda days, at, tz: weekly(*days, at=at, tz=tz),
        st.lists(st.sampled_from(["mon", "Sunday"]), min_size=1),
        CLOCKS,
        ZONES,
    ),
    st.builds(monthly, DAYS, at=CLOCKS, tz=ZONES),
    st.builds(quarterly, DAYS, at=CLOCKS, tz=ZONES),
    st.builds(yearly, st.integers(1, 12), st.integers(1, 28), at=CLOCKS, tz=ZONES),
    st.builds(every, st.timedeltas(timedelta(seconds=1), timedelta(days=3660)), start=st.none() | MOMENTS.map(moment)),
    st.builds(once, MOMENTS.map(moment)),
)

LETTERS = st.text(st.sampled_from("0123456789*,-/# @LWlwmonfrijan?"), max_size=40)
LOOSE = st.lists(st.one_of(LETTERS, MINUTES, st.just("*"), st.integers().map(str)), min_size=4, max_size=7)
TEXTS = st.one_of(st.text(), st.text(max_size=200), LETTERS, LOOSE.map(" ".join), FIVE, SIX)


def spent(text: str, zone: str | None, start: int) -> float:
    """Processor seconds until *text* is refused or its next tick known."""
    begun, refusal, tick = time.thread_time(), "", None
    try:
        tick = (cron_with_seconds if len(text.split()) == 6 else cron)(text, zone).after(start)
    except ValueError as error:
        refusal = str(error)
    took = time.thread_time() - begun
    assert refusal.isprintable()
    assert len(refusal) < 1000
    assert tick is None or tick > start
    return took


@settings(settings.get_profile("rules"), max_examples=300)
@given(TEXTS, ZONES, MOMENTS)
def test_any_text_is_refused_or_comes_soon(text: str, zone: str | None, start: int) -> None:
    # A pause of the interpreter may hit one try, not five.
    assert any(spent(text, zone, start) < SOON for _ in range(5))


@settings(settings.get_profile("rules"), max_examples=200)
@given(RULES, MOMENTS)
def test_ticks_are_later_and_later_whoever_asks_and_from_where(rule: Rule, start: int) -> None:
    ticks = upcoming(rule, start, 6)
    assert all(earlier < later for earlier, later in pairwise([start, *ticks]))
    for earlier, later in pairwise([start, *ticks]):
        for between in (earlier, (earlier + later) // 2, later - 1):
            assert rule.after(between) == later


@settings(settings.get_profile("rules"), max_examples=200)
@given(RULES)
def test_a_rule_is_what_its_dump_is_read_as(rule: Rule) -> None:
    dumped = json.dumps(rule.dump())
    again = read(json.loads(dumped))
    assert again == rule
    assert again.text == rule.text
    assert json.dumps(again.dump()) == dumped


@settings(settings.get_profile("rules"), max_examples=100)
@given(RULES, MOMENTS, st.integers(0, 400 * DAY), st.integers(0, 40))
def test_the_newest_ticks_are_the_end_of_all_of_them(rule: Rule, start: int, span: int, most: int) -> None:
    ticks = upcoming(rule, start, WALKED)
    until = start + span
    if len(ticks) == WALKED and ticks[-1] <= until:
        until = ticks[-1] - 1  # more would have to be walked through
    within = [tick for tick in ticks if tick <= until]
    assert newest(rule, start, until, most) == (within[-most:] if most else [])
    assert latest(rule, start, until) == (within[-1] if within else None)
