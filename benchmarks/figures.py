"""What several rounds say: median, spread, and the ratio to one peer, round by round."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Rounds = Sequence[float]
"""One figure of one peer, of each round in turn."""
Results = Mapping[str, Mapping[str, Rounds]]
"""By peer, then by the key of a row."""


class Summary(NamedTuple):
    """What is shown of several rounds."""

    median: float
    low: float
    high: float


def summary(rounds: Rounds) -> Summary:
    """Median and spread."""
    return Summary(statistics.median(rounds), min(rounds), max(rounds))


def ratios(rounds: Rounds, base: Rounds) -> Rounds:
    """Each round's figure as a multiple of *base*'s in the same round: what slows the machine then slows both."""
    return [one / other for one, other in zip(rounds, base, strict=True)]


def gather(measured: Sequence[Mapping[str, Mapping[str, float]]]) -> Results:
    """Rounds of peers' figures, turned into peers' figures of all rounds."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in measured:
        for peer, figures in one.items():
            for key, value in figures.items():
                found.setdefault(peer, {}).setdefault(key, []).append(value)
    return found
