"""Where the jobs of a store of several shards lie, as far as this process knows."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from conveyor.core.model import Outcome, Report
from conveyor.plan import Steps
from conveyor.store.redis.sharding import at, by_id, grouped

REMEMBERED: Final = 20_000
"""Jobs of which a process knows where they lie, though their ids do not say it."""
Job = TypeVar("Job", Outcome, Report)


class Whereabouts:
    """Where to look for jobs.

    Most lie where their ids say. Of those that do not, the latest are known that this process claimed: whoever loses a
    lease settles nothing, so the oldest are forgotten at last. That costs time, and nothing else: what is not where it
    is looked for first is looked for in all shards.
    """

    def __init__(self, shards: int) -> None:
        """Nothing is known but the ids."""
        self._shards = shards
        self._elsewhere: dict[bytes, int] = {}

    def keep(self, id_: bytes, shard: int) -> None:
        """A job lies there."""
        self.forget(id_)
        if by_id(id_, self._shards) == shard:
            return
        self._elsewhere[id_] = shard
        if len(self._elsewhere) > REMEMBERED:
            del self._elsewhere[next(iter(self._elsewhere))]

    def forget(self, id_: bytes) -> None:
        """Nobody is going to ask for it again."""
        self._elsewhere.pop(id_, None)

    def ways(self, id_: bytes) -> Sequence[int]:
        """The shards in which a job of that id may lie, the likeliest first."""
        first = self._elsewhere.get(id_, by_id(id_, self._shards))
        return [first, *(shard for shard in range(self._shards) if shard != first)]

    def each(self, items: Sequence[Job], do: Callable[[Sequence[Job]], Steps[Sequence[Job]]]) -> Steps[Sequence[Job]]:
        """*do* to jobs, in their shards, what gives those that were not there; so does this, of what is nowhere."""
        left = list(items)
        for further in range(self._shards):
            missing: list[Job] = []
            for shard, part in grouped(left, lambda one: self.ways(one.id)[further]).items():  # noqa: B023 - used at once
                missing += yield from at(shard, do(part))
            left = missing
            if not left:
                break
        return left
