"""What is to come of a schedule, also over the next change of its clocks, when people wonder."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from conveyor.core.clock import moment
from conveyor.core.schedules import Spec
from conveyor.schedule.firing import rule_of, zone_of
from conveyor.schedule.ticks import newest, upcoming
from conveyor.schedule.zones import pieces

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
AHEAD: Final = 400 * DAY
"""So far is looked for a change of the clocks: each zone that has any has one within a year."""
AROUND: Final = 2 * DAY
BEFORE: Final = 2
AFTER: Final = 4
"""Ticks that are shown of those around a change."""


class Preview(NamedTuple):
    """Ticks to come."""

    zone: ZoneInfo
    ticks: Sequence[datetime]
    """The next ones, in UTC."""
    change: datetime | None
    """When the clocks of *zone* change next, within 400 days; ``None`` as well for a rule that needs no clocks."""
    around: Sequence[datetime]
    """The ticks around that, in UTC, as far as they are not among *ticks*."""


def previewed(spec: Spec, now: int, count: int, fired: int = 0) -> Preview:
    """The next *count* ticks after *now*, and those around the next change; of one that has made *fired* jobs.

    Nothing beyond the ticks that it may still have.
    """
    left = None if spec.times is None else max(spec.times - fired, 0)
    more = left is None or left > count
    count = count if left is None else min(count, left)
    zone, first = zone_of(spec), now if spec.start is None else max(now, spec.start - 1)
    ticks = _ticks(spec, first, count)
    change = _change(zone, now) if rule_of(spec).zone else None
    around: Sequence[int] = ()
    if change is not None and count and more and (not ticks or change > ticks[-1]):
        before = newest(rule_of(spec), max(change - AROUND, first), change - 1, BEFORE)
        around = [*before, *_ticks(spec, max(change - 1, first), AFTER)]
    seen = set(ticks)
    return Preview(
        ZoneInfo(zone),
        [moment(tick) for tick in ticks],
        None if change is None else moment(change),
        [moment(tick) for tick in around if tick not in seen],
    )


def _ticks(spec: Spec, after: int, count: int) -> list[int]:
    return [tick for tick in upcoming(rule_of(spec), after, count) if spec.end is None or tick <= spec.end]


def _change(zone: str, now: int) -> int | None:
    """When the offset of *zone* changes next."""
    found = list(pieces(zone, now // SECOND, (now + AHEAD) // SECOND))
    for before, after in pairwise(found):
        if before.offset != after.offset:
            return after.start * SECOND
    return None
