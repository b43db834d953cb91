"""The words that make rules: ``cron``, ``every``, ``once``, ``daily`` and its longer kin.

All refuse what they do not understand with a ``ValueError`` that says where, when the rule is made and not when it is
due. Without ``tz`` a rule takes the zone that the schedule names, and else UTC.
"""

import re
from datetime import datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from conveyor.core.clock import MICROSECOND, stored
from conveyor.core.options import LONGEST
from conveyor.core.text import is_a, told
from conveyor.schedule.fields import five, six, wrong
from conveyor.schedule.rules import Every, Once, Rule
from conveyor.schedule.wall import Wall, comes

Zone = str | ZoneInfo | None
Clock = str | time
"""``"02:00"``, ``"02:00:30"`` or a ``datetime.time``."""
Day = int | Literal["last"]
"""1 to 28, or the last of the month."""

_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_COMMON: Final = 28
"""Every month has so many days."""
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


def cron(expression: str, tz: Zone = None) -> Rule:
    """A cron expression of five fields, or one of ``@hourly @daily @weekly @monthly @yearly``."""
    checked = five("cron", expression)
    return _placed(_cron("cron", checked, f"0 {checked}"), tz)


def cron_with_seconds(expression: str, tz: Zone = None) -> Rule:
    """A cron expression of six fields, the first of which are seconds."""
    checked = six("cron_with_seconds", expression)
    return _placed(_cron("cron_with_seconds", checked, checked), tz)


def every(
    period: timedelta | None = None,
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    start: datetime | None = None,
) -> Rule:
    """Each time that a second to ten years have passed, whatever the clocks on the wall do.

    The ticks are at *start* and whole periods after it. Without *start* they are in step with 1970 in UTC, so that
    ``every(minutes=15)`` comes at :00, :15, :30 and :45.
    """
    numbers = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    for name, number in numbers.items():
        if not is_a(number, int, float) or is_a(number, bool):
            raise wrong(f"every: {name}={told(number)} is no number")
    try:
        summed = timedelta(**numbers)
    except (OverflowError, ValueError):
        raise ValueError(f"every: {told(numbers)} is no period from 1 second to ten years") from None
    if period is not None and not is_a(period, timedelta):
        raise wrong(f"every takes a timedelta, as every(timedelta(hours=1)) or every(hours=1), not {told(period)}")
    if period is not None and any(numbers.values()):
        raise ValueError("every takes a timedelta or its parts, not both")
    whole = summed if period is None else period
    if not timedelta(seconds=1) <= whole <= LONGEST:
        raise ValueError(f"every: a period is 1 second to ten years, not {told(str(whole))}")
    return Every(whole // MICROSECOND, None if start is None else _moment("every: start", start))


def once(at: datetime) -> Rule:
    """One time, at an aware ``datetime``."""
    return Once(_moment("once", at))


def daily(at: Clock = "00:00", tz: Zone = None) -> Rule:
    """Each day at a time of day."""
    clock = _clock("daily", at)
    return _placed(_calendar("daily", "daily", clock, "* * *", ()), tz)


def weekly(*days: str, at: Clock = "00:00", tz: Zone = None) -> Rule:
    """Each week on one day or more, as ``weekly("mon", "thu", at="06:30")``."""
    if not days:
        raise ValueError('weekly needs a day at least, as weekly("mon")')
    clock = _clock("weekly", at)
    numbers = sorted({_weekday(day) for day in days}, key=lambda number: (number - 1) % 7)
    names = [_DAYS[number][:3] for number in numbers]
    arguments = (("days", ",".join(names).lower()),)
    field = ",".join(map(str, numbers))
    return _placed(_calendar("weekly", f"weekly on {', '.join(names)}", clock, f"* * {field}", arguments), tz)


def monthly(day: Day = 1, *, at: Clock = "00:00", tz: Zone = None) -> Rule:
    """Each month, on a day that every month has: 1 to 28, or ``"last"``."""
    clock, checked = _clock("monthly", at), _day("monthly", day)
    said = f"monthly on {_day_said(checked)}"
    return _placed(_calendar("monthly", said, clock, f"{_day_field(checked)} * *", (("day", checked),)), tz)


def quarterly(day: Day = 1, *, at: Clock = "00:00", tz: Zone = None) -> Rule:
    """In January, April, July and October, on a day of 1 to 28 or on the ``"last"``."""
    clock, checked = _clock("quarterly", at), _day("quarterly", day)
    said = f"quarterly on {_day_said(checked)}"
    days = f"{_day_field(checked)} 1,4,7,10 *"
    return _placed(_calendar("quarterly", said, clock, days, (("day", checked),)), tz)


def yearly(month: int = 1, day: int = 1, *, at: Clock = "00:00", tz: Zone = None) -> Rule:
    """Each year, on a date that every year has."""
    clock, twelfth = _clock("yearly", at), _whole(month, range(1, 13))
    if twelfth is None:
        raise ValueError(f"yearly: month={told(month)} is no month (1 to 12)")
    name, length = _MONTHS[twelfth - 1], _LENGTHS[twelfth - 1]
    date = _whole(day, range(1, length + 1))
    if date is None:
        hint = '; cron("0 0 29 2 *") comes in leap years, "0 0 L 2 *" on the last day' if length == _COMMON else ""
        raise ValueError(f"yearly: day={told(day)} is no day of each {name} (1 to {length}){hint}")
    arguments = (("month", twelfth), ("day", date))
    return _placed(_calendar("yearly", f"yearly on {date} {name}", clock, f"{date} {twelfth} *", arguments), tz)


# ------------------------------------------------------------ from words to expressions


def _cron(word: str, checked: str, expression: str) -> Wall:
    said = f'{word.replace("_", " ")} "{checked}"'
    if not comes(expression):
        raise ValueError(f"{said}: no month has such a day, so it never comes")
    return Wall(expression, word, said, (("expression", checked),))


def _calendar(word: str, said: str, clock: time, days: str, arguments: tuple[tuple[str, object], ...]) -> Wall:
    at = clock.isoformat("seconds" if clock.second else "minutes")
    expression = f"{clock.second} {clock.minute} {clock.hour} {days}"
    return Wall(expression, word, f"{said} at {at}", (*arguments, ("at", at)))


def _placed(rule: Wall, tz: Zone) -> Rule:
    if tz is None:
        return rule
    return rule.in_zone(tz.key if isinstance(tz, ZoneInfo) else tz)


# ------------------------------------------------------------ what a word takes


def _clock(word: str, at: object) -> time:
    if isinstance(at, str) and (match := _CLOCK.fullmatch(at[:9])):
        hour, minute, second = (int(part or 0) for part in match.groups())
        return time(hour, minute, second)
    if isinstance(at, time) and at.tzinfo is None and not at.microsecond:
        return at.replace(fold=0)
    raise wrong(f'{word}: at={told(at)} is no time of day, as "02:00", "02:00:30" or a time without zone and fractions')


def _moment(what: str, when: object) -> int:
    if not isinstance(when, datetime) or when.utcoffset() is None:
        raise wrong(f"{what} takes an aware datetime, as datetime(2026, 12, 1, 10, tzinfo=UTC), not {told(when)}")
    return stored(when)


def _weekday(day: object) -> int:
    """0 for Sunday, as cron counts."""
    name = day[:20].lower() if isinstance(day, str) else ""
    for number, known in enumerate(_DAYS):
        if name in {known.lower(), known[:3].lower()}:
            return number
    raise wrong(f'weekly: {told(day)} is no day; write "mon", "tue", "wed", "thu", "fri", "sat" or "sun"')


def _day(word: str, day: object) -> Day:
    if isinstance(day, str) and day == "last":
        return "last"
    if (number := _whole(day, range(1, _COMMON + 1))) is not None:
        return number
    lacking = _whole(day, range(_COMMON + 1, 32)) is not None
    hint = "; not every month has it, and the last day is " if lacking else " (1 to 28) or "
    raise ValueError(f'{word}: day={told(day)} is no day of each month{hint}"last"')


def _whole(value: object, within: range) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and value in within else None


def _day_said(day: Day) -> str:
    return "the last day" if day == "last" else f"day {day}"


def _day_field(day: Day) -> str:
    return "L" if day == "last" else str(day)
