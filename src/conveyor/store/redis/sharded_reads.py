"""Looking at queues and ends in a store of several shards."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from conveyor.core.model import COUNTED, DueTask, Ended, FailureGroup, JobFilter, JobInfo, QueueInfo
from conveyor.plan import Plan, Steps
from conveyor.store.redis.reads import RedisReads, due_tasks
from conveyor.store.redis.sharding import everywhere, flat, grouped

T = TypeVar("T")


class ShardedReads:
    """The operations that put together what is told of queues, tasks and errors."""

    def __init__(self, reads: RedisReads, shards: int) -> None:
        """*reads* are those of one shard."""
        self._reads = reads
        self._shards = shards

    def queues(self) -> Plan[Sequence[QueueInfo]]:
        """See ``Operations.queues``."""

        def steps() -> "Steps[Sequence[QueueInfo]]":
            found = flat((yield from everywhere(self._shards, self._reads.queues().steps)))
            groups = grouped(found, lambda queue: queue.name)
            return [_summed(groups[name], COUNTED + 1) for name in sorted(groups)]

        return Plan(steps, writes=False)

    def queue(self, name: str, enough: int = COUNTED + 1) -> Plan[QueueInfo]:
        """See ``Operations.queue``."""

        def steps() -> "Steps[QueueInfo]":
            return _summed((yield from everywhere(self._shards, self._reads.queue(name, enough).steps)), enough)

        return Plan(steps, writes=False)

    def due_tasks(self, queue: str, limit: int) -> Plan[Sequence[DueTask]]:
        """See ``Operations.due_tasks``: of the first *limit* of each shard."""

        def steps() -> "Steps[Sequence[DueTask]]":
            return due_tasks(flat((yield from everywhere(self._shards, partial(self._reads.due_rows, queue, limit)))))

        return Plan(steps, writes=False)

    def latest(self, limit: int) -> Plan[Sequence[Ended]]:
        """See ``Operations.latest``: the newest of each shard, as many as are its share or there are."""

        def steps() -> "Steps[Sequence[Ended]]":
            found = flat((yield from everywhere(self._shards, partial(self._reads.latest_by_id, limit))))
            return [ended for _, ended in sorted(found, key=lambda pair: pair[0], reverse=True)[:limit]]

        return Plan(steps, writes=False)

    def failures(self, where: JobFilter, limit: int) -> Plan[Sequence[FailureGroup]]:
        """See ``Operations.failures``."""

        def merge(found: Sequence[FailureGroup]) -> Sequence[FailureGroup]:
            groups = grouped(found, lambda group: group.fingerprint)
            return sorted(map(_group, groups.values()), key=lambda one: (-one.jobs, one.fingerprint))[:limit]

        return self._merged(self._reads.failures(where, COUNTED), merge)

    def ahead(self, job: JobInfo, limit: int) -> Plan[int]:
        """See ``Operations.ahead``: in all shards, though each has its own order."""

        def steps() -> "Steps[int]":
            found = yield from everywhere(self._shards, self._reads.ahead(job, limit).steps)
            return min(sum(found), limit)

        return Plan(steps, writes=False)

    def _merged(self, plan: Plan[Sequence[T]], merge: Callable[[Sequence[T]], Sequence[T]]) -> Plan[Sequence[T]]:
        def steps() -> "Steps[Sequence[T]]":
            return merge(flat((yield from everywhere(self._shards, plan.steps))))

        return Plan(steps, writes=False)


def _summed(parts: Sequence[QueueInfo], enough: int) -> QueueInfo:
    """One queue, of which each shard has a part."""
    names = ("ready", "scheduled", "retryable", "running")
    counts = {name: min(sum(getattr(part, name) for part in parts), enough) for name in names}
    paused = [part.paused_at for part in parts if part.paused_at is not None]
    waited: list[timedelta] = [part.oldest for part in parts if part.oldest is not None]
    oldest = max(waited, default=None)
    return QueueInfo(parts[0].name, min(paused, default=None), oldest=oldest, **counts)


def _group(parts: Sequence[FailureGroup]) -> FailureGroup:
    """One error, of which several shards have jobs."""
    last = max(parts, key=lambda part: part.latest)
    return replace(last, jobs=sum(part.jobs for part in parts), first=min(part.first for part in parts))
