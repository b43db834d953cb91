"""Moving everything to a store of several shards, or from there.

Each shard is closed in one step of its own, with the proof that nobody works there; the store is closed once all are.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from conveyor.core.extras import decoded
from conveyor.core.moving import Mark, Record
from conveyor.core.schedules import Scheduled
from conveyor.plan import Plan, Steps
from conveyor.store.moving import Busy, Over
from conveyor.store.redis.moving import RedisMoving
from conveyor.store.redis.scripts import MOST
from conveyor.store.redis.sharding import at, by_id, by_name, everywhere, flat, grouped


class ShardedMoving:
    """See ``store.moving.Moving``."""

    def __init__(self, inner: RedisMoving, shards: int) -> None:
        """*inner* is that of one shard."""
        self._inner = inner
        self._shards = shards

    def mark(self) -> Plan[Mark | None]:
        """See ``Moving.mark``."""

        def steps() -> "Steps[Mark | None]":
            marks = yield from everywhere(self._shards, self._inner.mark().steps)
            mark = next((mark for mark in marks if mark is not None), None)
            return mark and replace(mark, partly=None in marks)

        return Plan(steps, writes=False)

    def close(self, mark: Mark) -> Plan[None]:
        """See ``Moving.close``. Where one shard cannot be closed, the others are again as they were."""

        def steps() -> "Steps[None]":
            before = yield from everywhere(self._shards, self._inner.mark().steps)
            busy: list[Busy] = []
            closed: list[int] = []
            for shard in range(self._shards):
                try:
                    yield from at(shard, self._inner.close(mark).steps())
                except Busy as error:
                    busy.append(error)
                else:
                    closed.append(shard)
            if not busy:
                return
            for shard in closed:
                was = before[shard]
                yield from at(shard, (self._inner.open() if was is None else self._inner.close(was)).steps())
            raise Busy(max(one.runners for one in busy), sum(one.jobs for one in busy))

        return Plan(steps)

    def note(self, mark: Mark) -> Plan[None]:
        """See ``Moving.note``."""

        def steps() -> "Steps[None]":
            was = yield from self.mark().steps()
            if was is not None and was.partly:
                raise Over
            yield from everywhere(self._shards, self._inner.note(mark).steps)

        return Plan(steps)

    def open(self) -> Plan[None]:
        """See ``Moving.open``."""
        return self._all(self._inner.open())

    def exported(self, after: bytes | None, limit: int) -> Plan[Sequence[Record]]:
        """See ``Moving.exported``: each shard gives its share, up to where one of them may have more."""

        def steps() -> "Steps[Sequence[Record]]":
            share = min(-(-limit // self._shards), MOST)  # or a shard that gives less would seem to have no more
            parts = yield from everywhere(self._shards, self._inner.exported(after, share).steps)
            known = min((part[-1].id for part in parts if len(part) == share), default=None)
            return sorted(one for one in flat(parts) if known is None or one.id <= known)[:limit]

        return Plan(steps, writes=False)

    def found(self, ids: Sequence[bytes]) -> Plan[Sequence[Record]]:
        """See ``Moving.found``: an id alone does not tell where its job lies."""

        def steps() -> "Steps[Sequence[Record]]":
            return sorted(flat((yield from everywhere(self._shards, self._inner.found(ids).steps))))

        return Plan(steps, writes=False)

    def imported(self, records: Sequence[Record], source: str | None = None) -> Plan[Mapping[bytes, bytes]]:
        """See ``Moving.imported``. A job that is known in any shard is passed over."""

        def steps() -> "Steps[Mapping[bytes, bytes]]":
            parts = yield from everywhere(self._shards, lambda: self._inner.known([one.id for one in records]))
            known = frozenset[bytes]().union(*parts)
            held: dict[bytes, bytes] = {}
            for shard, part in grouped((one for one in records if one.id not in known), self._place).items():
                held |= yield from at(shard, self._inner.imported(part, source).steps())
            return held

        return Plan(steps, patience=self._inner.imported(records, source).patience)

    def restored(self, schedules: Sequence[Scheduled], paused: Mapping[str, int]) -> Plan[None]:
        """See ``Moving.restored``."""

        def steps() -> "Steps[None]":
            groups = grouped(schedules, lambda one: by_name(one.name, self._shards))
            for shard in range(self._shards):
                yield from at(shard, self._inner.restored(groups.get(shard, ()), paused).steps())

        return Plan(steps)

    def dropped(self, ids: Sequence[bytes], schedules: Sequence[str] = ()) -> Plan[None]:
        """See ``Moving.dropped``."""
        return self._all(self._inner.dropped(ids, schedules))

    def _place(self, record: Record) -> int:
        """Where a job is to lie: as ``sharding`` says, that of a schedule with it."""
        if schedule := decoded(record.extras).schedule:
            return by_name(schedule, self._shards)
        return by_id(record.id, self._shards) if record.unique_key is None else by_name(record.unique_key, self._shards)

    def _all(self, plan: Plan[None]) -> Plan[None]:
        def steps() -> "Steps[None]":
            yield from everywhere(self._shards, plan.steps)

        return Plan(steps)
