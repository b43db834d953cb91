"""The parts of a discrete-event model: a clock, servers with a line before them, and a disk that commits in groups."""

import heapq
from collections import deque
from collections.abc import Callable

Then = Callable[[], None]
Begin = Callable[[], float]
"""Called when a server turns to a request; gives the seconds that it takes."""


class Clock:
    """What happens, in the order of its time."""

    def __init__(self) -> None:
        """It is 0."""
        self.now = 0.0
        self.events = 0
        self._number = 0
        self._agenda: list[tuple[float, int, Then]] = []

    def after(self, seconds: float, then: Then) -> None:
        """Let *then* happen in so many seconds; what is due at the same time happens in the order of the calls."""
        self._number += 1
        heapq.heappush(self._agenda, (self.now + seconds, self._number, then))

    def run(self, until: float) -> None:
        """Let happen what is due before *until*."""
        while self._agenda and self._agenda[0][0] < until:
            self.now, _, then = heapq.heappop(self._agenda)
            self.events += 1
            then()
        self.now = until


class Station:
    """Servers with one line before them, first come, first served; *on* a host whose cores they share with others."""

    def __init__(self, clock: Clock, servers: int = 1, on: "Station | None" = None) -> None:
        """All are free."""
        self._clock = clock
        self._free = servers
        self._on = on
        self._line: deque[tuple[Begin, Then]] = deque()
        self.busy = 0.0
        """Seconds that its servers have been asked for, in all."""

    def ask(self, begin: Begin, then: Then) -> None:
        """Serve one request; *then* happens when it is done."""
        if not self._free:
            self._line.append((begin, then))
            return
        self._free -= 1
        self._serve(begin, then)

    def _serve(self, begin: Begin, then: Then) -> None:
        def done() -> None:
            if self._line:
                self._serve(*self._line.popleft())
            else:
                self._free += 1
            then()

        def timed() -> float:
            seconds = begin()
            self.busy += seconds
            return seconds

        if self._on is None:
            self._clock.after(timed(), done)
        else:
            self._on.ask(timed, done)


class Disk:
    """Commits: each flush is for all who wait when it begins."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """*seconds* that a flush takes."""
        self._clock = clock
        self._seconds = seconds
        self._waiting: list[Then] = []
        self._flushing = False

    def commit(self, then: Then) -> None:
        """Let *then* happen once it is on the disk."""
        self._waiting.append(then)
        if not self._flushing:
            self._flush()

    def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        self._flushing = True

        def done() -> None:
            self._flushing = False
            if self._waiting:
                self._flush()
            for then in group:
                then()

        self._clock.after(self._seconds, done)
