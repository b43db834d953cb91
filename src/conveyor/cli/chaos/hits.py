"""The faults of a run: what was done, when, how often, and how long it took until the jobs it had hit ran again."""

import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence

from conveyor.cli.bench.figures import quantile


class Hits:
    """See above. Times are seconds of the machine's monotonic clock, as in a history."""

    def __init__(self) -> None:
        """None yet."""
        self._begun: float | None = None
        self._all: list[tuple[float, str]] = []
        self._timed: set[str] = set()

    def __len__(self) -> int:
        """So many faults."""
        return len(self._all)

    def begin(self) -> None:
        """Something is about to be done to one part alone, which may take its time."""
        self._begun = time.monotonic()

    def add(self, what: str) -> None:
        """It was done: to *what*, or nothing in particular."""
        if self._begun is not None:
            self._timed.add(what)
        self._all.append((time.monotonic() if self._begun is None else self._begun, what))
        self._begun = None

    def told(self, recoveries: Sequence[tuple[float, float]]) -> list[str]:
        """How often what was hit; and of *recoveries*, when each began and how long it took, those after each kind.

        A job is hit by the last fault that had begun when it was lost. Of faults that nobody has begun, such as several
        at one moment, this is not told.
        """
        counts = Counter(what for _, what in self._all if what)
        if not counts:
            return []
        begun = [at for at, _ in self._all]
        after: defaultdict[str, list[float]] = defaultdict(list)
        for since, seconds in recoveries:
            if place := bisect_right(begun, since):
                after[self._all[place - 1][1]].append(seconds)
        lines = [", ".join(f"{count} {what}" for what, count in counts.items())]
        timed = [what for what in counts if what in self._timed and after[what]]
        return [*lines, *(f"{what}: run again after {_spread(sorted(after[what]))}" for what in timed)]


def _spread(times: Sequence[float]) -> str:
    half, most = quantile(times, 0.5), quantile(times, 0.99)
    return f"{half:.2f} s (p50), {most:.2f} (p99), {times[-1]:.2f} (max) of {len(times):,}"
