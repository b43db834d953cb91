"""The faults of a run: what was done, when, how often, and how long it took until the jobs it had hit ran again."""

import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence

from conveyor.cli.bench.figures import quantile
from conveyor.cli.chaos.checker import Recovery


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

    def told(self, recoveries: Sequence[Recovery]) -> list[str]:
        """How often what was hit, and how soon the jobs that it ran could run again, and did.

        A job is hit by the last fault that had begun when it was lost. Of faults that nobody has begun, such as several
        at one moment, this is not told.
        """
        counts = Counter(what for _, what in self._all if what)
        begun = [at for at, _ in self._all]
        after: defaultdict[str, list[Recovery]] = defaultdict(list)
        for recovery in recoveries:
            if place := bisect_right(begun, recovery.since):
                after[self._all[place - 1][1]].append(recovery)
        lines = [", ".join(f"{count} {what}" for what, count in counts.items())] if counts else []
        return [*lines, *(_line(what, after[what]) for what in counts if what in self._timed and after[what])]


def _line(what: str, all_: Sequence[Recovery]) -> str:
    freed = sorted(each.freed for each in all_ if each.freed is not None)
    given = len(all_) - len(freed)
    back = [f"{_jobs(len(freed))} taken back after {_spread(freed)}"] if freed else []
    back += [f"{_jobs(given)} given back at once"] if given else []
    return f"{what}: {', '.join(back)}; started again after {_spread(sorted(each.started for each in all_))}"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def _spread(times: Sequence[float]) -> str:
    return f"{quantile(times, 0.5):.2f} s, p99 {quantile(times, 0.99):.2f}, max {times[-1]:.2f}"
