"""Whether figures grow: the slope of what was sampled, by Theil and Sen, which some outliers cannot turn."""

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Final, NamedTuple

HOUR: Final = 3600.0
SPREAD: Final = 1.4826
"""The median distance from the line, times this, is the standard deviation of normal noise."""

Points = Sequence[tuple[float, float]]
"""Seconds and values."""


class Trend(NamedTuple):
    """What became of a figure."""

    per_hour: float
    noise: float
    """How much the slope may be off: two standard deviations of what lies beside the line, over the time it has."""
    most: float
    """The highest value."""

    @property
    def surely(self) -> float:
        """What it grows by in an hour, even if the noise has made it look more."""
        return self.per_hour - self.noise


def trend(points: Points) -> Trend:
    """Of at least two *points*, at different times."""
    slope = statistics.median((y - b) / (x - a) for (a, b), (x, y) in combinations(points, 2) if x > a)
    base = statistics.median(y - slope * x for x, y in points)
    beside = SPREAD * statistics.median(abs(y - slope * x - base) for x, y in points)
    lasted = points[-1][0] - points[0][0]
    return Trend(slope * HOUR, 2 * beside / lasted * HOUR, max(y for _, y in points))


def warm(points: Points, share: float) -> Points:
    """Without the first *share* of the time: memory, pools and tables grow to their size."""
    since = points[0][0] + share * (points[-1][0] - points[0][0])
    return [point for point in points if point[0] >= since]
