"""Rules by a clock on the wall, and what becomes of them when that clock is set forward or back.

The rule of Debian's cron, for changes of any length and sign:

* An *elapsed* rule has a ``*`` or a step (``/``) in its hours or minutes (or seconds, where it has those). It runs at
  every instant whose wall clock reads a matching time: never within the times that are skipped, and in both passes of
  those that come twice.
* Every other rule is *fixed*, the calendar words among them: it means a time of day. When its time is skipped, it runs
  once at the instant after the gap, however many of its times were skipped, and not twice if it means that instant as
  well. When its time comes twice, it runs the first time only.

In one sentence: a fixed time runs at the first instant whose wall clock reads it or a later one.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

from cronsim import CronSim, CronSimError

from conveyor.schedule.rules import SECOND, Zoned
from conveyor.schedule.zones import DAY, PLACELESS, checked_zone, pieces

GIVE_UP: Final = 50 * 366 * DAY
"""How far ahead a tick is looked for: 29 February is a Sunday each 28 years, and 40 years apart around 2100."""
_WINDOW: Final = 4 * DAY
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time has no zone
_ONE: Final = timedelta(seconds=1)
_FIRST: Final = (datetime(1, 1, 10) - _EPOCH) // _ONE  # noqa: DTZ001 - wall time has no zone
_LAST: Final = (datetime(9999, 12, 20) - _EPOCH) // _ONE  # noqa: DTZ001 - wall time has no zone
_NEVER: Final = 2 * _LAST
_START: Final = 946_684_800 * SECOND
"""2000: a rule that would not come in the fifty years from here never comes."""


@dataclass(frozen=True, slots=True)
class Wall(Zoned):
    """A cron expression of six fields in capitals, with the word and the arguments that it was made of."""

    expression: str
    word: str
    said: str
    arguments: tuple[tuple[str, object], ...]
    place: str | None = None

    @property
    def zone(self) -> str | None:
        """The time zone; None until somebody names one, which reads as UTC."""
        return self.place

    @property
    def text(self) -> str:
        """As ``daily at 02:00 in Europe/Bucharest``."""
        return f"{self.said} in {self.place or PLACELESS}"

    @property
    def elapsed(self) -> bool:
        """Whether the rule means each matching instant; else it means a time of day."""
        return any(sign in field for field in self.expression.split()[:3] for sign in "*/")

    def after(self, moment: int) -> int | None:
        """The first tick later than *moment*."""
        start = max(moment // SECOND, _FIRST)
        tick = self._after(start, min(start + GIVE_UP, _LAST))
        return None if tick is None else tick * SECOND

    def dump(self) -> dict[str, object]:
        """The word, its arguments and the zone."""
        return {"rule": self.word, **dict(self.arguments), "zone": self.place}

    def in_zone(self, name: str) -> "Wall":
        """The same rule by the clocks of *name*, unless it has a zone already."""
        if self.place is not None:
            return self
        rule = self.placed(checked_zone(f"{self.said}: time zone", name))
        if rule.after(_START) is None:
            raise ValueError(f"{rule.text}: never comes; the clocks there skip these times")
        return rule

    def placed(self, zone: str) -> "Wall":
        """The same by the clocks of *zone*, which is not looked up."""
        return replace(self, place=zone)

    def _after(self, start: int, limit: int) -> int | None:
        """The first tick in (*start*, *limit*], in seconds of UTC: window by window, empty ones being left out."""
        zone, matches = self.place or PLACELESS, _Matches(self.expression)
        while start < limit:
            end = limit if zone == PLACELESS else min(start + _WINDOW, limit)
            if (tick := self._first(matches, zone, start, end)) is not None:
                return tick
            # Wall clocks are less than a day away from UTC: no tick is farther from the next match than that.
            start = max(end, matches.since(end - DAY) - DAY)
        return None

    def _first(self, matches: "_Matches", zone: str, start: int, end: int) -> int | None:
        """The first tick in (*start*, *end*]."""
        fixed = not self.elapsed
        # What a fixed rule has done hangs on what the wall clock has read: before these two days, less than now.
        known = pieces(zone, start - 2 * DAY if fixed else start, end + 1)
        read: int | None = None
        for begin, finish, offset in known if zone != PLACELESS else ((start, end + 1, 0),):
            wall = max(begin, start + 1) + offset
            if fixed and read is not None:
                if begin > start and read < begin + offset and matches.since(read) < begin + offset:
                    return begin
                wall = max(wall, read)
            if wall < finish + offset and (match := matches.since(wall)) < finish + offset:
                return match - offset
            read = finish + offset if read is None else max(read, finish + offset)
        return None


class _Matches:
    """The wall times that match an expression, in seconds; the last answer is kept, as it is often the next one."""

    def __init__(self, expression: str) -> None:
        self._cron = _parsed(expression)
        self._asked, self._found = 1, 0

    def since(self, wall: int) -> int:
        """The first match at or after *wall*; far away, when the calendar ends before one."""
        if not self._asked <= wall <= self._found:
            self._asked, self._found = wall, self._search(wall)
        return self._found

    def _search(self, wall: int) -> int:
        cron = copy.copy(self._cron)
        try:
            cron.dt = _EPOCH + timedelta(seconds=wall - 1)
            return (next(cron) - _EPOCH) // _ONE
        except (StopIteration, OverflowError, ValueError):
            return _NEVER


def comes(expression: str) -> bool:
    """Whether any day of any year fits."""
    try:
        cron = _parsed(expression)
    except CronSimError:
        return False
    return any(day.month in cron.months and cron.match_day(day) for day in _all_kinds_of_days())


def _all_kinds_of_days() -> Iterator[date]:
    """In eleven years each month has begun on each day of the week; February with 29 days takes 28 years to."""
    yield from (date(2001, 1, 1) + timedelta(days=day) for day in range(4017))
    yield from (date(year, 2, day) for year in range(2000, 2028, 4) for day in range(1, 30))


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> CronSim:
    """Read once, copied for each search: cronsim keeps its place within itself."""
    return CronSim(expression, _EPOCH)
