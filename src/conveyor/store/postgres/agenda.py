"""When the next job comes due, as a claimer knows it without asking each time.

Whoever has just run a job of a thin stream would ask after each, and each answer costs a look into every lane. Between
two questions a claimer hears of whatever is stored, with its time: as long as it hears, the answer stands but for that.
"""

import heapq
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

FRESH: Final = 1.0
"""Seconds that an answer stands at most, for a commit that nobody rang for."""


@dataclass(slots=True)
class Agenda:
    """The latest answer, and what was heard since it was asked for. Times in microseconds of the server's clock.

    *until* is how far claims have looked: what came due before that was theirs.
    """

    clock: Callable[[], float] = time.monotonic
    hears: bool = False
    """Whether we would be told of what is stored meanwhile."""
    _queues: Collection[str] = ()
    _asking: bool = False
    _void: bool = False
    """Whether something may have gone unheard since the question."""
    _stands: float = float("-inf")
    """Until when, by our clock, the answer may be used again."""
    _told_at: float = 0.0
    _now: int = 0
    """The server's clock when it was asked. The answer came a moment later, so by ours its time is never ahead."""
    _next: int | None = None
    _heard: list[int] = field(default_factory=list[int])
    """Times that were told of since the question, as a heap."""

    def ask(self, queues: Collection[str]) -> None:
        """The question for *queues* is on its way: what is heard from now on, the answer may not know of."""
        self._queues = queues
        self._asking, self._void = True, False
        self._heard.clear()

    def learn(self, now: int, due: int | None) -> None:
        """The server was asked at *now*: the next job comes due at *due*, or none is scheduled."""
        self._told_at, self._now, self._next = self.clock(), now, due
        self._stands = float("-inf") if self._void else self._told_at + FRESH
        self._asking = False

    def forget(self) -> None:
        """Something may have been stored of which we did not hear."""
        self._stands, self._void = float("-inf"), True

    def hear(self, queue: str, due: int) -> None:
        """A job was stored that comes due at *due*. One that is due already is for the next claim to find."""
        if queue in self._queues and (self._asking or (self._fresh and due > self._present)):
            heapq.heappush(self._heard, due)

    def knows(self, until: int | None) -> bool:
        """Whether nobody need be asked."""
        passed = self._next is not None and until is not None and self._next <= until
        return self.hears and self._fresh and not passed

    def wait(self, until: int | None) -> int | None:
        """Microseconds until the next job comes due."""
        while self._heard and until is not None and self._heard[0] <= until:
            heapq.heappop(self._heard)
        times = [due for due in (self._next, *self._heard[:1]) if due is not None]
        return min(times) - self._present if times else None

    @property
    def _fresh(self) -> bool:
        return self.clock() < self._stands

    @property
    def _present(self) -> int:
        return self._now + round((self.clock() - self._told_at) * 1_000_000)
