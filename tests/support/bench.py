"""One worker's hands without its duties: a job is claimed, run by the real executor, and its end written."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from conveyor import Conveyor
from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed, Outcome
from conveyor.store.answers import Settled
from conveyor.worker.attempt import Attempt
from conveyor.worker.execute import Executor
from conveyor.worker.slots import Slots
from tests.support.jobs import Hand
from tests.support.waiting import until


@dataclass(frozen=True)
class Ended:
    """How an attempt ended."""

    outcome: Outcome
    itself: bool
    """Its own transaction wrote the end, or tried to; else the worker did."""
    stands: bool
    """What was written stands."""

    @property
    def event(self) -> Event:
        return self.outcome.event


@dataclass
class Bench:
    """Works off what is due in one app, one job at a time."""

    app: Conveyor
    hand: Hand = field(init=False)
    job: Claimed = field(init=False)
    """The job that was claimed last."""
    attempt: Attempt = field(init=False)
    other: Hand | None = None
    """Another worker, that the job was given to."""

    def __post_init__(self) -> None:
        self.hand = Hand(self.app.store, 600.0)

    def perform(self, claimed: Callable[[], None] = lambda: None) -> Ended:
        """Claim one job, run it, and write its end; *claimed* is called between the claim and the start."""
        with asyncio.Runner() as runner:
            return runner.run(self._perform(claimed))

    async def _perform(self, claimed: Callable[[], None]) -> Ended:
        ends: asyncio.Queue[Ended] = asyncio.Queue()
        executor = Executor(
            self.app._registry.known(),
            Slots({"default": 1}),
            self.app._surround(),
            judged=lambda _, outcome: ends.put_nowait(Ended(outcome, itself=False, stands=True)),
            written=lambda _, outcome, stands: ends.put_nowait(Ended(outcome, itself=True, stands=stands)),
            ended=lambda _: None,
            freed=lambda: None,
        )
        self.job = self._claimed()
        claimed()
        executor.accept(self.hand.id, [self.job])
        (self.attempt,) = executor.attempts.values()
        async with asyncio.timeout(30):
            ended = await ends.get()
        if not ended.itself:
            settled: Settled = await self.app.store.arun(self.app.store.operations.settle([ended.outcome]))
            ended = replace(ended, stands=not settled.refused)
        executor.close()
        await self.app.aclose()
        return ended

    def _claimed(self) -> Claimed:
        jobs: list[Claimed] = []
        until(lambda: bool(jobs) or bool(jobs.extend(self.hand.claim(1, sorted(self.app.tasks)))))
        return jobs[0]

    def give_away(self) -> None:
        """The worker is taken for dead, and another one has its job."""
        self.hand.die()
        self.app.store.run(self.app.store.operations.rescue(10))
        self.other = Hand(self.app.store, 600.0)
        (again,) = self.other.claim(1, [self.job.task])
        assert (again.id, again.attempt) == (self.job.id, self.job.attempt + 1)

    def close(self) -> None:
        self.hand.die()
        if self.other is not None:
            self.other.die()
