"""A claimer that remembers how far it has seen, with a hand on the clock that paces it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed
from conveyor.store.contract import Store
from conveyor.store.postgres.sight import Lane, LaneSight
from tests.support.jobs import QUEUE, TASK, Hand, outcome


@dataclass
class Seer:
    """Claims on PostgreSQL as a worker does, step by step."""

    hand: Hand
    seconds: float = 1_000.0
    """What its clock shows."""
    taken: list[bytes] = field(default_factory=list[bytes])

    def __post_init__(self) -> None:
        self.sight = LaneSight(clock=lambda: self.seconds)

    @property
    def store(self) -> Store:
        return self.hand.store

    def claim(self, room: int | Mapping[str, int] = 1_000, *, after: float = 0.0) -> Sequence[Claimed]:
        """Claim *after* so many more seconds."""
        self.seconds += after
        places = {QUEUE: room} if isinstance(room, int) else room
        jobs = self.store.run(self.store.operations.claim(self.hand.id, places, [TASK], self.sight))
        self.taken += [job.id for job in jobs]
        return jobs

    def work(self, room: int = 1_000, *, after: float = 0.0) -> list[bytes]:
        """Claim, and end all that was claimed; their ids."""
        jobs = self.claim(room, after=after)
        if jobs:
            assert not self.hand.settle(*(outcome(job, self.hand.id, Event.SUCCEED) for job in jobs))
        return [job.id for job in jobs]

    def lane(self, priority: int = 0) -> Lane:
        """What it remembers of one priority."""
        return self.sight.lanes[QUEUE][priority]
