"""The rules of schedules beside an oracle that goes through every minute, around each change of the clocks."""

import time
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest

from conveyor.schedule import Rule, cron, cron_with_seconds, upcoming
from tests.support.oracle import MARGIN, Key, Window, changes, due_to_the_second, key, minute_of, offset, walls

MINUTE = 60_000_000
PROBES = (-1, 0, 25, 55)
"""Minutes from the change: what comes next is asked from there as well, as by a process that has just begun."""
HARD_ZONES = (
    *("Africa/Casablanca", "America/New_York", "America/Sao_Paulo", "Antarctica/Troll", "Asia/Gaza"),
    *("Australia/Lord_Howe", "Europe/Bucharest", "Pacific/Apia", "Pacific/Chatham", "Pacific/Fakaofo"),
)

FIXED = (
    *("0 0", "30 0", "45 0", "0 1", "15 1", "30 1", "45 1", "59 1", "0 2", "1 2", "15 2", "30 2", "45 2", "59 2"),
    *("0 3", "5 3", "30 3", "0 4", "0 12", "30 23", "59 23"),
    *("0,30 1-3", "15,45 0,1,2,3", "0-5 2", "10-20 1", "0,59 0-23", "30 0-23", "0 1,2,3", "0,30 2", "0,20,40 0-4"),
    *("7,37 1-2", "0-59 2", "30 22-23", "0 0,12", "5,10,15 2,3"),
)
ELAPSED = (
    *("* *", "*/5 *", "*/15 *", "*/30 *", "0 *", "30 *", "59 *", "15,45 *", "0-3 *", "* 2", "* 1-2", "*/5 1"),
    *("*/10 2", "*/15 2,3", "*/20 0-3", "5/10 1-4", "10-50/20 *", "0 */2", "30 */3", "0 */6", "15 1/2", "0 1-23/2"),
    *("45 0-6/3", "*/30 1,2,3", "0,30 */1", "*/59 *", "3/13 1-3", "0 */5", "*/7 0,23", "0,30,*/45 3"),
)
TIMES = ("30 1", "30 2", "0 3", "0 0", "15,45 1-3", "*/30 1-3", "0 */4", "30 23", "10/25 0-2", "0 2")
DATES = (
    *("1 * *", "L * *", "LW * *", "* * 0", "* * 7", "* * 1-5", "* * sun", "* * sat,sun", "* * 5L", "* * 0L", "* * 7L"),
    *("* * sun#1", "* * sun#2", "* * 0#5", "* 3,10,11 *", "* 3 0L", "29-31 * *", "*/2 * *", "1-7 * 0", "8-14 3 *"),
    *("1 1 *", "25-31 3,10 0", "* 10 */7", "1,15 * 1", "31 12 *", "29 2 *", "15/5 * *", "* jan-jun mon-fri"),
)
TIMELY = tuple(f"{clock} * * *" for clock in FIXED + ELAPSED)
"""Without a date: where the clocks are set by the same amount at the same time of day, they are due alike."""
DATED = tuple(f"{TIMES[(at + turn) % len(TIMES)]} {date}" for at, date in enumerate(DATES) for turn in range(0, 10, 2))


def differences(zone: str, middle: int, read: list[int], expressions: Iterable[str]) -> Iterator[str]:
    """What *expressions* are due at around *middle*, where the oracle says otherwise."""
    window = Window(read)
    for expression in expressions:
        expected = [middle - MARGIN + minute for minute in window.due(expression)]
        rule = made(expression, zone)
        found = due(rule, middle - MARGIN, middle + MARGIN)
        if strange := sorted(set(found) ^ set(expected)):
            yield f"{expression} in {zone} around minute {middle}: {strange[:5]}, missing or too many"
        for start in (middle + minute for minute in PROBES):
            later = next((minute for minute in expected if minute > start), None)
            if later is not None and rule.after(start * MINUTE) != later * MINUTE:
                yield f"{expression} in {zone} after minute {start}: not {later}"


SECONDS = ("0 30 0-4", "15,45 5,20 1,2", "*/20 30 *", "7 */10 0-3", "0 0 1-3/2", "59 59 23,0,1,2", "30-40 0,30 0-3,23")
TO_THE_SECOND = {
    "America/New_York": "2026-03-08T07:00:00",
    "Australia/Lord_Howe": "2027-04-03T15:00:00",
    "Antarctica/Troll": "2026-10-25T01:00:00",
    "Africa/Monrovia": "1972-01-07T00:44:30",
    "Europe/Amsterdam": "1937-06-30T23:40:28",
}
"""A change of the clocks in each; the last two had offsets with seconds."""


@lru_cache(maxsize=500)
def made(expression: str, zone: str) -> Rule:
    """Made once for all changes of a zone."""
    return cron(expression, zone)


def due(rule: Rule, first: int, end: int) -> list[int]:
    """The minutes of [*first*, *end*) at which *rule* is due."""
    found, moment = [], first * MINUTE - 1
    while (tick := rule.after(moment)) is not None and tick < end * MINUTE:
        assert tick > moment
        assert tick % MINUTE == 0
        found.append(tick // MINUTE)
        moment = tick
    return found


@pytest.mark.parametrize("zone", HARD_ZONES)
def test_rules_and_oracle_agree_in_hard_zones(zone: str) -> None:
    tz = ZoneInfo(zone)
    expressions = (*TIMELY[1::3], *DATED[::4])
    middles = list(changes(tz, minute_of(2010), minute_of(2012)))
    found = [text for at in middles for text in differences(zone, at, walls(tz, at), expressions)]
    assert len(middles) + (zone == "Pacific/Fakaofo") >= 2
    assert not found


@pytest.mark.parametrize("expression", SECONDS)
@pytest.mark.parametrize(("zone", "at"), TO_THE_SECOND.items(), ids=TO_THE_SECOND)
def test_rules_and_oracle_agree_to_the_second(zone: str, at: str, expression: str) -> None:
    change = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp())
    expected = due_to_the_second(f"{expression} * * *", ZoneInfo(zone), change - 4000, change + 8000)
    rule = cron_with_seconds(f"{expression} * * *", zone)
    found = [tick // 1_000_000 for tick in upcoming(rule, (change - 4000) * 1_000_000 - 1, len(expected) + 1)]
    assert found[: len(expected)] == expected
    assert found[-1] >= change + 8000


@dataclass
class Tally:
    """What has been compared so far. Windows that look the same are compared once."""

    zones: int = 0
    changes: int = 0
    compared: int = 0
    found: list[str] = field(default_factory=list)
    looks: set[tuple[int, ...]] = field(default_factory=set)
    timely: set[Key] = field(default_factory=set)
    dated: set[Key] = field(default_factory=set)

    def compare(self, zone: str, first: int, last: int) -> None:
        """Go through the changes of one zone."""
        tz = ZoneInfo(zone)
        self.zones += 1
        for middle in changes(tz, first, last):
            self.changes += 1
            look = (middle, *(offset(tz, middle + minute) for minute in (-MARGIN, -1, 0, MARGIN)))
            if look in self.looks:
                continue
            self.looks.add(look)
            read = walls(tz, middle)
            of_day, full = key(read, dated=False), key(read, dated=True)
            meant = (() if of_day in self.timely else TIMELY) + (() if full in self.dated else DATED)
            self.timely.add(of_day)
            self.dated.add(full)
            self.compared += len(meant)
            if meant:
                self.found += differences(zone, middle, read, meant)

    def __str__(self) -> str:
        expressions = len(TIMELY) + len(DATED)
        return (
            f"{self.zones} zones, {self.changes:,} changes, {len(self.dated):,} distinct windows "
            f"({len(self.timely):,} but for the date), {expressions} expressions, {self.compared:,} comparisons "
            f"that stand for {self.changes * expressions:,}, {len(self.found)} mismatches"
        )


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_rules_and_oracle_agree_in_all_zones(capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config) -> None:
    """Each change of the clocks of each zone from 2000 to 2037."""
    begun, tally, zones = time.monotonic(), Tally(), sorted(zoneinfo.available_timezones())
    for zone in zones:
        tally.compare(zone, minute_of(2000), minute_of(2038))
        if tally.zones % 25 == 0 or tally.zones == len(zones):
            with capsys.disabled():
                minutes = (time.monotonic() - begun) / 60
                pytestconfig.get_terminal_writer().line(f"{tally}, {minutes:.1f} minutes", flush=True)
    assert len(zones) > 400
    assert not tally.found[:20]
