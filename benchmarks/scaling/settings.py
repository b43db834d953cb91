"""What the model is asked, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate


@dataclass(frozen=True)
class Line:
    """What a call costs: *each* for itself, and *job* for each of its jobs, in seconds."""

    each: float
    job: float

    def of(self, jobs: int) -> float:
        """Of a call with so many."""
        return self.each + self.job * jobs


@dataclass(frozen=True)
class Costs:
    """Of one kind of store."""

    enqueue: Line
    claim: Line
    settle: Line
    look: float
    """Of a call that only looks: what is due next, whether something is to be cancelled."""
    bell: Line
    """Of a ring: for itself, and for each that is rung."""
    rate: float
    """Calls a second of a worker with nothing to do, in each shard."""
    worker_job: float = 30e-6
    """CPU of the worker for a job, all that it does for it."""
    worker_call: float = 100e-6
    """CPU of the worker for a call."""


@dataclass(frozen=True)
class Setting:
    """What is modelled."""

    costs: Costs
    workers: int
    shards: int = 1
    slots: int = 10
    run_time: float = 0.01
    """Seconds that a job runs in the mean, between half of it and half more."""
    offered: float = 0.0
    """Jobs a second, enqueued one by one at random times; 0 for as many as go, in calls of a hundred."""
    hot: float = 0.0
    """The share of jobs that belongs to the first shard; all others are spread by their ids."""
    round_trip: float = 0.0002
    cores: int = 1
    """Of each shard's server: Redis uses one, PostgreSQL what there are."""
    commit: float = 0.0
    """Seconds of a flush, which all commits that wait for it share; 0 where none is waited for."""
    host: int = 0
    """Cores that all share, workers and servers; 0 where nobody shares."""
    rings_one: bool = True
    """Whether a job is rung for at one worker and a spare, as on Redis; else at all that have room."""
    warm: float = 0.5
    seconds: float = 1.0
    seed: int = 1


@dataclass
class Outcome:
    """What came of it, once it was warm."""

    ended: float = 0.0
    """Jobs a second."""
    waits: list[tuple[float, int]] = field(default_factory=list)
    """Seconds from due to start, and of how many jobs."""
    busy: Sequence[float] = ()
    """The share of the time that each shard's server worked, for all of its cores."""
    hottest: float = 0.0
    """The share of all jobs that the busiest shard had."""
    events: int = 0

    def wait(self, share: float) -> float:
        """Seconds that no more than *share* of the jobs waited longer than; infinite when none started."""
        ordered = sorted(self.waits)
        wanted = share * sum(count for _, count in ordered)
        for (waited, _), so_far in zip(ordered, accumulate(count for _, count in ordered), strict=True):
            if so_far >= wanted:
                return waited
        return float("inf")
