"""The operations on a store of several shards: those of one, carried out where they belong, and put together.

Each shard's part is one step of its node's; the whole is not. ``docs/how-to/redis.md`` says what that means for users.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar, cast

from conveyor.core.errors import StoreUnavailable
from conveyor.core.judge import judge_loss
from conveyor.core.model import (
    COUNTED,
    Claimed,
    Completion,
    Counts,
    Direction,
    Held,
    JobFilter,
    JobInfo,
    NewJob,
    Outcome,
    Report,
    Runner,
)
from conveyor.plan import Plan, Steps
from conveyor.store.answers import Rescued, Settled, Visit
from conveyor.store.ending import in_turn, rescued
from conveyor.store.redis.plans import RedisOperations, held_of
from conveyor.store.redis.scripts import MOST, call
from conveyor.store.redis.sharded_reads import ShardedReads
from conveyor.store.redis.sharding import at, by_name, everywhere, flat, grouped, of_job
from conveyor.store.redis.whereabouts import Whereabouts
from conveyor.store.sight import Sight

T = TypeVar("T")
Storing = Callable[[Sequence[NewJob]], Plan[Mapping[bytes, bytes]]]


class ShardedOperations(ShardedReads):
    """See ``store.contract.Operations``."""

    def __init__(self, inner: RedisOperations, shards: int) -> None:
        """*inner* are those of one shard."""
        super().__init__(inner, shards)
        self._inner = inner
        self._where = Whereabouts(shards)
        self._first = random.randrange(shards)  # noqa: S311 - so that not all claimers begin with the same shard

    def enqueue(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """See ``Operations.enqueue``: all or none in each shard; those that may be refused come first."""
        return self._stored(jobs, self._inner.enqueue(jobs), self._inner.enqueue)

    def repeat_enqueue(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """See ``Operations.repeat_enqueue``."""
        return self._stored(jobs, self._inner.repeat_enqueue(jobs), self._inner.repeat_enqueue)

    def _stored(self, jobs: Sequence[NewJob], whole: Plan[T], part: Storing) -> Plan[Mapping[bytes, bytes]]:
        def steps() -> "Steps[Mapping[bytes, bytes]]":
            holders: dict[bytes, bytes] = {}
            groups = grouped(jobs, lambda job: of_job(job, self._shards))
            for shard in sorted(groups, key=lambda shard: not any(map(_may_be_refused, groups[shard]))):
                holders |= yield from at(shard, part(groups[shard]).steps())
            return holders

        return Plan(steps, patience=whole.patience)

    def holder(self, key: str) -> Plan[bytes | None]:
        """See ``Operations.holder``."""
        return self._read(lambda: at(by_name(key, self._shards), self._inner.holder(key).steps()))

    def identity(self) -> Plan[str]:
        """See ``Operations.identity``: the first shard's, which also knows how many there are."""
        return Plan(lambda: at(0, self._inner.identity(self._shards).steps()))

    def schema(self) -> Plan[int]:
        """See ``Operations.schema``."""
        return Plan(lambda: at(0, self._inner.schema(self._shards).steps()))

    def visit(self, visit: Visit) -> Plan[str]:
        """As with one shard."""
        return self._inner.visit(visit)

    def join(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """As with one shard."""
        return self._inner.join(jobs)

    def complete(self, done: Completion) -> Plan[bool]:
        """As with one shard."""
        return self._inner.complete(done)

    def confirm(self, id_: bytes, token: int) -> Plan[bool]:
        """See ``Operations.confirm``."""

        def steps() -> "Steps[bool]":
            for shard in self._where.ways(id_):
                if (yield from at(shard, self._inner.confirm(id_, token).steps())):
                    return True
            return False

        return Plan(steps, writes=False)

    def claim(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight | None = None
    ) -> Plan[Sequence[Claimed]]:
        """See ``Operations.claim``: priorities and times order the jobs of one shard, and it is another's turn."""
        return Plan(partial(self._claim, runner, room, tasks, sight or Sight()), steady=True)

    def _claim(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight
    ) -> Steps[Sequence[Claimed]]:
        claimed: list[Claimed] = []
        left, seen = {queue: count for queue, count in room.items() if count > 0}, list[int]()
        trouble: StoreUnavailable | None = None
        self._first = first = (self._first + 1) % self._shards
        sight.rests_until = None
        for turn in range(self._shards):
            shard = (first + turn) % self._shards
            if not any(count > 0 for count in left.values()):
                break
            if sight.rest.holds(shard, room):
                continue
            own = Sight(rest=sight.rest)
            try:
                jobs = yield from at(shard, self._inner.claimed(runner, left, tasks, own, shard))
            except StoreUnavailable as error:  # nothing was done there, and the others need not wait for it
                trouble = error
                continue
            seen += [own.until] if own.until is not None else []
            for job in jobs:
                left[job.queue] -= 1
                self._where.keep(job.id, shard)
            claimed += jobs
        if trouble is not None and not claimed:
            raise trouble
        sight.until = min(seen) if len(seen) == self._shards else sight.until
        sight.rests_until = sight.rest.until(self._shards, room)
        return in_turn(claimed)

    def next_due(self, queues: Sequence[str], sight: Sight | None = None) -> Plan[int | None]:
        """See ``Operations.next_due``."""

        def steps() -> "Steps[int | None]":
            found = yield from everywhere(self._shards, self._inner.next_due(queues, sight).steps)
            return min((wait for wait in found if wait is not None), default=None)

        return Plan(steps, writes=False, steady=True)

    def settle(self, outcomes: Sequence[Outcome]) -> Plan[Settled]:
        """See ``Operations.settle``: what is not where it should be is looked for in the other shards."""
        return Plan(partial(self._settle, outcomes), steady=True, patience=self._inner.settle(outcomes).patience)

    def _settle(self, outcomes: Sequence[Outcome]) -> Steps[Settled]:
        found: list[Settled] = []

        def settled(part: Sequence[Outcome]) -> Steps[Sequence[Outcome]]:
            answer, missing = yield from self._inner.settled(part)
            found.append(answer)
            return missing

        lost = yield from self._where.each(outcomes, settled)
        for outcome in outcomes:
            self._where.forget(outcome.id)
        refused = frozenset(outcome.id for outcome in lost).union(*(answer.refused for answer in found))
        return Settled(refused, frozenset[bytes]().union(*(answer.stopped for answer in found)))

    def report(self, reports: Sequence[Report]) -> Plan[None]:
        """See ``Operations.report``."""

        def steps() -> "Steps[None]":
            yield from self._where.each(reports, self._inner.reported)

        return Plan(steps)

    def asked(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int, str]]]:
        """See ``Operations.asked``."""
        return self._joined(self._inner.asked(runner))

    def held(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int]]]:
        """See ``Operations.held``."""
        return self._joined(self._inner.held(runner))

    def rescue(self, limit: int) -> Plan[Rescued]:
        """See ``Operations.rescue``. How many jobs a runner held in all shards is written down before any is taken."""
        return Plan(partial(self._rescue, limit))

    def _rescue(self, limit: int) -> Steps[Rescued]:
        found = yield from everywhere(self._shards, partial(held_of, limit))
        chosen = sorted({job.runner for job in flat(found)})[:limit]
        company: dict[bytes, int] = {}
        for runner in chosen:
            held = yield from self.held(runner).steps()
            company[runner] = yield from at(0, _note(runner, len(held)))
        jobs, outcomes, settled = list[Held](), list[Outcome](), Settled()
        for shard, part in enumerate(found):
            mine = [job._replace(company=company[job.runner]) for job in part if job.runner in company]
            ends = [judge_loss(job) for job in mine]
            own, _ = yield from at(shard, self._inner.settled(ends))
            jobs, outcomes = [*jobs, *mine], [*outcomes, *ends]
            settled = Settled(settled.refused | own.refused, settled.stopped | own.stopped)
        done = rescued(jobs, outcomes, settled, limit)
        return done._replace(more=done.more or (bool(done.jobs) and any(len(part) >= MOST for part in found)))

    def dead_runners(self) -> Plan[int]:
        """See ``Operations.dead_runners``: each has a lease in each shard."""
        return self._most(self._inner.dead_runners())

    def runners(self) -> Plan[Sequence[Runner]]:
        """See ``Operations.runners``."""
        return self._read(lambda: at(0, self._inner.runners().steps()))

    def get(self, id_: bytes) -> Plan[JobInfo | None]:
        """See ``Operations.get``."""

        def steps() -> "Steps[JobInfo | None]":
            for shard in self._where.ways(id_):
                if (info := (yield from at(shard, self._inner.get(id_).steps()))) is not None:
                    return info
            return None

        return Plan(steps, writes=False)

    def list(
        self, where: JobFilter, *, limit: int, after: bytes | None, direction: Direction
    ) -> Plan[Sequence[JobInfo]]:
        """See ``Operations.list``."""

        def steps() -> "Steps[Sequence[JobInfo]]":
            plan = self._inner.list(where, limit=limit, after=after, direction=direction)
            found = flat((yield from everywhere(self._shards, plan.steps)))
            return sorted(found, key=lambda info: info.id, reverse=direction == "newest")[:limit]

        return Plan(steps, writes=False)

    def counts(self, where: JobFilter) -> Plan[Counts]:
        """See ``Operations.counts``."""

        def steps() -> "Steps[Counts]":
            found = yield from everywhere(self._shards, self._inner.counts(where).steps)
            return {state: min(sum(part[state] for part in found), COUNTED + 1) for state in found[0]}

        return Plan(steps, writes=False)

    def number(self, where: JobFilter) -> Plan[int]:
        """See ``Operations.number``."""
        return self._sum(self._inner.number(where))

    def stranded(self) -> Plan[int]:
        """See ``Operations.stranded``."""
        return self._sum(self._inner.stranded())

    def prunable(self) -> Plan[int]:
        """See ``Operations.prunable``."""
        return self._sum(self._inner.prunable())

    def clock(self) -> Plan[int]:
        """See ``Operations.clock``: the first shard's."""
        return self._read(lambda: at(0, self._inner.clock().steps()))

    def _read(self, steps: Callable[[], Steps[T]]) -> Plan[T]:
        return Plan(steps, writes=False)

    def _joined(self, plan: Plan[Sequence[T]]) -> Plan[Sequence[T]]:
        def steps() -> "Steps[Sequence[T]]":
            return flat((yield from everywhere(self._shards, plan.steps)))

        return Plan(steps, writes=False)

    def _sum(self, plan: Plan[int]) -> Plan[int]:
        def steps() -> "Steps[int]":
            return sum((yield from everywhere(self._shards, plan.steps)))

        return Plan(steps, writes=False)

    def _most(self, plan: Plan[int]) -> Plan[int]:
        def steps() -> "Steps[int]":
            return max((yield from everywhere(self._shards, plan.steps)))

        return Plan(steps, writes=False)


def _may_be_refused(job: NewJob) -> bool:
    return job.unique is not None and job.unique.on_conflict == "raise"


def _note(runner: bytes, held: int) -> Steps[int]:
    """How many jobs a dead runner held, before any of them was taken back."""
    return cast(int, (yield call("company", runner.hex(), held)).rows[0][0])
