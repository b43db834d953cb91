"""How long jobs take, and what follows: how many a cell is given ahead, and when another cell is worth its start."""

from collections import deque
from typing import Final

HORIZON: Final = 0.05
"""Seconds of work that a cell is given ahead; no short job waits behind one that has run longer than this."""
START: Final = 0.3
"""Seconds that a cell takes to start: to wait so long for another is as good."""
AHEAD: Final = 64
"""Jobs that a cell is given ahead at most."""
AT_A_TIME: Final = 4
"""Cells that start at a time: each takes a core for its start."""
SAMPLES: Final = 64
FRESH: Final = 16


class Speed:
    """The 95th percentile of the latest run times, in seconds; 0 while none is known."""

    def __init__(self) -> None:
        """Nothing has run."""
        self._times: deque[float] = deque(maxlen=SAMPLES)
        self._since = 0
        self.p95 = 0.0

    def add(self, seconds: float) -> None:
        """One more run time."""
        self._times.append(seconds)
        self._since += 1
        if self._since >= FRESH or len(self._times) <= FRESH:
            self._since = 0
            ordered = sorted(self._times)
            self.p95 = ordered[len(ordered) * 95 // 100]

    @property
    def ahead(self) -> int:
        """How many jobs a busy cell may be given, besides the one that runs: what takes no time, as long as known."""
        if not self._times:
            return 0
        return min(int(HORIZON / max(self.p95, 1e-6)), AHEAD)


def to_start(*, waiting: int, cells: int, starting: int, most: int, p95: float, age: float) -> int:
    """How many cells to start now.

    *waiting* jobs have none; *cells* are there, *starting* ones among them, and *most* is their limit; *age* is how
    long the youngest of the present jobs has been running, and so at least how long jobs like these may take.
    """
    room = min(most - cells, AT_A_TIME - starting, waiting - starting)
    if room <= 0:
        return 0
    if not cells:
        return min(room, 1) if p95 * waiting <= START else room
    if max(p95, age) * waiting / cells > START:
        return room
    return 0
