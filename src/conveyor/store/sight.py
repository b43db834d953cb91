"""What one claimer remembers from one claim to the next."""

import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


class Rest:
    """Where a claim found nothing more, and asked in the same step to be rung when there is: see ``bell.lua``.

    There it need not be looked before it rings, or the next job comes due that the claim has seen.
    """

    def __init__(self) -> None:
        """Nothing rests, and nobody would be heard."""
        self.ear = ""
        """By what the claimer is rung; empty while nobody listens."""
        self._ends: dict[int, tuple[frozenset[str], float]] = {}
        self._looking: set[int] = set()
        """Shards at which a claim looks, and that have not rung since it began to."""
        self._rung: dict[int, set[str]] = {}

    def begin(self, shard: int, queues: Iterable[str], due: int | None) -> None:
        """It rests for these queues of a shard, in which something comes due in *due* microseconds, or never.

        Not if it has rung while the claim was under way: what it rang for may have come behind the claim.
        """
        if shard in self._looking:
            end = math.inf if due is None else time.monotonic() + due / 1_000_000
            self._ends[shard] = (frozenset(queues), end)

    def end(self, shard: int, queues: Collection[str]) -> bool:
        """A claim looks at these *queues* there now; whether it does so because it was rung for one.

        For what it was rung besides, it has not looked: that stays to be declined.
        """
        self._ends.pop(shard, None)
        self._looking.add(shard)
        rung = self._rung.pop(shard, set[str]())
        if rung.difference(queues):
            self._rung[shard] = rung.difference(queues)
        return not rung.isdisjoint(queues)

    def ring(self, shard: int, queue: str, *, passed_on: bool) -> None:
        """There is something in that queue. *passed_on*: somebody else was rung first, who does not know its task."""
        self._ends.pop(shard, None)
        self._looking.discard(shard)
        if not passed_on:
            self._rung.setdefault(shard, set()).add(queue)

    def decline(self, queues: Collection[str]) -> Mapping[int, Sequence[str]]:
        """For what it was rung in vain, by shard: it will claim of these *queues* only."""
        vain = {shard: sorted(rung.difference(queues)) for shard, rung in self._rung.items()}
        for shard, names in vain.items():
            self._rung[shard].difference_update(names)
        return {shard: names for shard, names in vain.items() if names}

    def clear(self) -> None:
        """There may be something anywhere."""
        self._ends.clear()
        self._looking.clear()

    def holds(self, shard: int, queues: Iterable[str]) -> bool:
        """Whether it rests there for all these queues."""
        known, end = self._ends.get(shard, (frozenset[str](), 0.0))
        return time.monotonic() < end and known.issuperset(queues)

    def until(self, shards: int, queues: Iterable[str]) -> float | None:
        """Until when, by the monotonic clock, it rests everywhere; ``None`` if it does not."""
        if not all(self.holds(shard, queues) for shard in range(shards)):
            return None
        return min(end for _, end in self._ends.values())


@dataclass(slots=True)
class Sight:
    """How far a claimer has seen.

    Between a claim that found nothing and the question when the next job comes due, one may come due. So the answer
    counts from the claim, and not from when it was asked.
    """

    whole: bool = True
    """Whether the latest claim looked at all that there is."""
    missed: bool = False
    """Whether something came between the latest claim and a job that it was about to take: it is to be repeated."""
    until: int | None = None
    """The store's clock at the latest claim, in microseconds: what came due until then was seen by it."""

    rest: Rest = field(default_factory=Rest)
    rests_until: float | None = None
    """Until when, by the monotonic clock, the latest claim need not be repeated unless it rings; ``None``: ask when."""

    def forget(self) -> None:
        """Let the next claim look at all that there is."""

    def look_wide(self) -> None:
        """Let the next claim look wherever a job may have been enqueued since the one before."""
