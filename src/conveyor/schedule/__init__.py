"""When schedules are due: rules, the words that make them, and arithmetic with their ticks. No clock is read here.

Every moment is an ``int``: microseconds of UTC since 1970, as the stores keep them.
"""

from conveyor.schedule.reading import read
from conveyor.schedule.rules import Rule
from conveyor.schedule.ticks import latest, newest, upcoming
from conveyor.schedule.words import (
    cron,
    cron_with_seconds,
    daily,
    every,
    monthly,
    once,
    quarterly,
    weekly,
    yearly,
)

__all__ = [
    "Rule",
    "cron",
    "cron_with_seconds",
    "daily",
    "every",
    "latest",
    "monthly",
    "newest",
    "once",
    "quarterly",
    "read",
    "upcoming",
    "weekly",
    "yearly",
]
