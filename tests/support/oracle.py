"""When a cron rule is due around a change of the clocks, by brute force and from the written rule alone.

This knows neither cronsim nor the schedules. It writes down what the clock on the wall reads at each minute of UTC, and
also the minutes that the clock jumps over, and holds each of these *slots* as one bit of long numbers: one number per
value of a field. So an expression over a window of two days is a handful of ``&`` and ``|``.
"""

import calendar
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

HOUR, DAY = 60, 24 * 60
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MARGIN = 26 * HOUR
"""Of each window, before and after the change."""

WHOLE: dict[timedelta, int] = {}
"""Offsets in minutes."""

Key = tuple[tuple[int, ...], ...]
Value = TypeVar("Value")


def minute_of(year: int) -> int:
    """The first minute of a year, in minutes of UTC since 1970."""
    return (datetime(year, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(minutes=1)


def offset(zone: ZoneInfo, minute: int) -> int:
    """In minutes."""
    found = datetime.fromtimestamp(60 * minute, zone).utcoffset()
    assert found is not None
    if found not in WHOLE:
        whole, rest = divmod(found, timedelta(minutes=1))
        assert not rest, f"{zone} is not whole minutes from UTC at {minute}"
        WHOLE[found] = whole
    return WHOLE[found]


def changes(zone: ZoneInfo, first: int, last: int, step: int = DAY) -> Iterator[int]:
    """The minutes from *first* to *last* at which the clocks of *zone* are set; never twice within *step*."""
    known = offset(zone, first)
    for minute in range(first + step, last, step):
        if (seen := offset(zone, minute)) != known:
            before, after = minute - step, minute
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (before, middle) if offset(zone, middle) == seen else (middle, after)
            yield after
            known = seen


def walls(zone: ZoneInfo, middle: int) -> list[int]:
    """What the clock reads at each minute of the window around *middle*, in minutes since 1970."""
    return [minute + offset(zone, minute) for minute in range(middle - MARGIN, middle + MARGIN)]


def key(read: list[int], *, dated: bool) -> Key:
    """Two windows with the same key are due at the same minutes; not *dated*, for what asks for no date.

    Besides the time of day it is month, day, weekday and the length of the month that an expression can ask for.
    """
    jumps = [place for place, wall in enumerate(read) if place == 0 or wall != read[place - 1] + 1]
    ends = [place - 1 for place in jumps[1:]] + [len(read) - 1]
    return tuple((place, read[place] % DAY, *(_facts(read[place] // DAY) if dated else ())) for place in jumps + ends)


@lru_cache(maxsize=1000)
def _facts(number: int) -> tuple[int, ...]:
    day = date(1970, 1, 1) + timedelta(days=number)
    return day.month, day.day, day.isoweekday(), calendar.monthrange(day.year, day.month)[1]


class Window:
    """The slots of a window, given what the clock reads at each of its minutes."""

    def __init__(self, read: list[int]) -> None:
        self.minute_of_slot: list[int] = []
        self.real = self.repeated = 0
        self.gaps: list[tuple[int, int]] = []
        slots: list[int] = []
        seen: set[int] = set()
        for minute, wall in enumerate(read):
            skipped = range(read[minute - 1] + 1, wall) if minute else range(0)
            if skipped:
                self.gaps.append((((1 << len(skipped)) - 1) << len(slots), 1 << (len(slots) + len(skipped))))
            slots += [*skipped, wall]
            self.minute_of_slot += [minute] * (len(skipped) + 1)
            self.real |= 1 << (len(slots) - 1)
            if wall in seen:
                self.repeated |= 1 << (len(slots) - 1)
            seen.add(wall)
        self._note(slots)

    def _note(self, slots: list[int]) -> None:
        """One number for each value of each field."""
        self.minutes: dict[int, int] = defaultdict(int)
        self.hours: dict[int, int] = defaultdict(int)
        self.months: dict[int, int] = defaultdict(int)
        self.days: dict[int | str, int] = defaultdict(int)
        self.weekdays: dict[int | str, int] = defaultdict(int)
        by_day: dict[int, int] = defaultdict(int)
        for slot, wall in enumerate(slots):
            self.minutes[wall % HOUR] |= 1 << slot
            self.hours[wall // HOUR % 24] |= 1 << slot
            by_day[wall // DAY] |= 1 << slot
        for number, bits in by_day.items():
            day = date(1970, 1, 1) + timedelta(days=number)
            length = calendar.monthrange(day.year, day.month)[1]
            weekday = day.isoweekday() % 7
            self.months[day.month] |= bits
            self.days[day.day] |= bits
            self.weekdays[weekday] |= bits
            self.weekdays[f"{weekday}#{(day.day - 1) // 7 + 1}"] |= bits
            if day.day > length - 7:
                self.weekdays[f"{weekday}L"] |= bits
            if day.day == length:
                self.days["L"] |= bits
            working = [at for at in range(1, length + 1) if date(day.year, day.month, at).isoweekday() < 6]
            if day.day == working[-1]:
                self.days["LW"] |= bits

    def due(self, expression: str) -> list[int]:
        """The minutes of the window at which *expression* is due."""
        minute, hour, day, month, weekday = expression.split()
        days = _any(self.days, _day_terms(day))
        weekdays = _any(self.weekdays, _weekday_terms(weekday))
        both = day.startswith("*") or weekday.startswith("*")
        match = _any(self.minutes, _numbers(minute, 0, 59, [])) & _any(self.hours, _numbers(hour, 0, 23, []))
        match &= _any(self.months, _numbers(month, 1, 12, MONTHS)) & (days & weekdays if both else days | weekdays)
        if any(sign in minute + hour for sign in "*/"):
            bits = match & self.real
        else:
            bits = match & self.real & ~self.repeated
            for skipped, landing in self.gaps:
                if match & skipped:
                    bits |= landing
        found = []
        while bits:
            lowest = bits & -bits
            found.append(self.minute_of_slot[lowest.bit_length() - 1])
            bits ^= lowest
        return found


def due_to_the_second(expression: str, zone: ZoneInfo, start: int, end: int) -> list[int]:
    """The same for six fields, of which the last three are stars: the seconds of [*start*, *end*)."""
    second, minute, hour = expression.split()[:3]
    times = [_numbers(second, 0, 59, []), _numbers(minute, 0, 59, []), _numbers(hour, 0, 23, [])]
    elapsed = any(sign in second + minute + hour for sign in "*/")
    found, read = [], -1
    for moment in range(start, end):
        passed = datetime.fromtimestamp(moment, zone).utcoffset()
        assert passed is not None
        wall = moment + passed // timedelta(seconds=1)
        meant = range(wall, wall + 1) if elapsed or moment == start else range(read + 1, wall + 1)
        if any(at % 60 in times[0] and at // 60 % 60 in times[1] and at // 3600 % 24 in times[2] for at in meant):
            found.append(moment)
        read = wall if moment == start else max(read, wall)
    return found


def _any(bits: dict[Value, int], values: set[Value]) -> int:
    found = 0
    for value in values:
        found |= bits.get(value, 0)
    return found


def _numbers(field: str, low: int, high: int, names: list[str]) -> set[int]:
    """The numbers that a field of numbers and names lists."""
    found: set[int] = set()
    for term in field.split(","):
        base, _, step = term.partition("/")
        first, _, last = base.partition("-")
        if base == "*":
            start, end = low, high
        else:
            start = _number(first, low, names)
            end = _number(last, low, names) if last else (high if step else start)
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def _number(text: str, low: int, names: list[str]) -> int:
    return names.index(text) + low if text in names else int(text)


def _day_terms(field: str) -> set[int | str]:
    found: set[int | str] = set()
    for term in field.split(","):
        found |= {term} if term in {"L", "LW"} else _numbers(term, 1, 31, [])
    return found


def _weekday_terms(field: str) -> set[int | str]:
    found: set[int | str] = set()
    for term in field.split(","):
        if term.endswith("L"):
            found.add(f"{int(term[:-1]) % 7}L")
        elif "#" in term:
            weekday, _, nth = term.partition("#")
            found.add(f"{_number(weekday, 0, WEEKDAYS) % 7}#{nth}")
        else:
            found |= {number % 7 for number in _numbers(term, 0, 7, WEEKDAYS)}
    return found
