"""Where jobs are kept that must run alone: each may have killed the worker that held it. Pure, but for its memory.

Who is alone is told by the store: it counts what a dead runner held. So one suspect stays here until this runner
holds nothing else; nothing is claimed meanwhile, and further suspects are given back, to come again one by one.
That costs the others something, and there are bounds to it: what runs here is waited for with patience only, and
after each suspect the others have their turn for as long as it took.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from conveyor.worker.slots import HORIZON, Taken

PATIENCE: Final = 5.0
"""Seconds that a suspect is held while others still run here; then it is given back, and is waited for twice as long
at the next time. So it runs in the end, however long the others take."""
LONGEST_PATIENCE: Final = 3_600.0
LONGEST_PAUSE: Final = 30.0
"""Seconds until a suspect may come again for which there was no room."""
LATE: Final = 1.0
"""Seconds after that, by which time it is due by the store's clock too."""

Returned = tuple[Taken, int]
"""A job to be given back, and for how many microseconds."""


class Ward:
    """At most one suspect, which waits to be alone, or is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody is here yet."""
        self._clock = clock
        self._waits: Taken | None = None
        self._runs: bytes | None = None
        self._since = 0.0
        self._patience = PATIENCE
        self._rest = 0.0
        self._took = HORIZON
        self._expected = 0.0

    @property
    def closed(self) -> bool:
        """Whether nothing is to be claimed: somebody is to be alone here, or is."""
        return self._waits is not None or self._runs is not None

    @property
    def expecting(self) -> bool:
        """Whether suspects may come again that were given back here."""
        return self._clock() < self._expected

    @property
    def waiting(self) -> bool:
        """Whether a suspect is held that has not started."""
        return self._waits is not None

    def admit(self, suspects: Sequence[Taken], *, others: bool) -> list[Returned]:
        """Take one of *suspects*, which were just claimed; gives those that are to be given back.

        *others*: whether there are other jobs here, who have a right to their turn.
        """
        now = self._clock()
        left = list(suspects)
        if left and not self.closed and (not others or now >= self._rest):
            self._waits, self._since = left.pop(0), now
        rest = max(self._rest - now, 0.0) if others else 0.0
        return [(taken, self._pause(rest, place)) for place, taken in enumerate(left, 1)]

    def start(self) -> list[Taken]:
        """The suspect that waits, for this runner holds nothing else; from now on it runs."""
        started = self.leave()
        self._runs = started[0][0].id if started else self._runs
        return started

    def ended(self, id_: bytes) -> None:
        """An attempt has ended; if it was the one that ran alone, others have their turn."""
        if id_ == self._runs:
            self._runs, self._patience = None, PATIENCE
            self._took = max(self._clock() - self._since, HORIZON)
            self._rest = self._clock() + self._took

    def lapse(self) -> list[Returned]:
        """The suspect that has waited for too long, to be given back; mostly none."""
        now = self._clock()
        if self._waits is None or now - self._since < self._patience:
            return []
        taken, self._waits = self._waits, None
        turn, self._patience = self._patience, min(self._patience * 2, LONGEST_PATIENCE)
        self._rest = now + turn
        return [(taken, self._pause(turn, 0))]

    def leave(self, id_: bytes | None = None, token: int = 0) -> list[Taken]:
        """The suspect that waits, if it is this one, or whichever it is: it is not to start here any more."""
        taken = self._waits
        if taken is None or (id_ is not None and (taken[0].id, taken[0].token) != (id_, token)):
            return []
        self._waits = None
        return [taken]

    def _pause(self, rest: float, place: int) -> int:
        """Microseconds: when the others have had their turn, and those of *place* before it theirs, as far as known."""
        seconds = min(rest + place * self._took, LONGEST_PAUSE)
        self._expected = max(self._expected, self._clock() + seconds + LATE)
        return round(seconds * 1_000_000)
