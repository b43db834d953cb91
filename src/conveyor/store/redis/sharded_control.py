"""What people and upkeep do in a store of several shards, its schedules and its locks."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from conveyor.core.model import JobFilter
from conveyor.core.schedules import Coming, Edit, Move, Scheduled
from conveyor.plan import Plan, Steps
from conveyor.store.answers import Arranged, Mended, Pass
from conveyor.store.locks import NOBODY, Held
from conveyor.store.redis.control import NOTHING, RedisControl, joined
from conveyor.store.redis.locks import RedisLocks
from conveyor.store.redis.schedules import RedisSchedules
from conveyor.store.redis.sharding import at, by_name, everywhere, flat, grouped

T = TypeVar("T")
Making = Callable[[int, bytes | None], Plan[Pass]]
"""A pass over one shard: of up to so many jobs, from behind an id."""


class ShardedControl:
    """See ``store.contract.Control``: the order of ids is that of each shard."""

    def __init__(self, inner: RedisControl, shards: int) -> None:
        """*inner* is that of one shard."""
        self._inner = inner
        self._shards = shards

    def cancel(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.cancel``."""
        return self._pass(lambda most, behind: self._inner.cancel(where, reason, most, behind), limit, after)

    def ask(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.ask``."""
        return self._pass(lambda most, behind: self._inner.ask(where, reason, most, behind), limit, after)

    def call_off(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.call_off``."""
        return self._pass(lambda most, behind: self._inner.call_off(where, reason, most, behind), limit, after)

    def revive(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.revive``."""
        return self._pass(lambda most, behind: self._inner.revive(where, most, behind), limit, after)

    def hasten(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.hasten``."""
        return self._pass(lambda most, behind: self._inner.hasten(where, most, behind), limit, after)

    def delete_waiting(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.delete_waiting``."""
        return self._pass(lambda most, behind: self._inner.delete_waiting(where, most, behind), limit, after)

    def delete_ended(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.delete_ended``."""
        return self._pass(lambda most, behind: self._inner.delete_ended(where, most, behind), limit, after)

    def expire(self, limit: int) -> Plan[Pass]:
        """See ``Control.expire``."""
        return self._pass(lambda most, _: self._inner.expire(most), limit, None)

    def prune(self, limit: int) -> Plan[int]:
        """See ``Control.prune``."""

        def steps() -> "Steps[int]":
            gone = 0
            for shard in range(self._shards):
                gone += yield from at(shard, self._inner.prune(limit - gone).steps())
                if gone >= limit:
                    break
            return gone

        return Plan(steps)

    def arrange(self) -> Plan[Arranged]:
        """See ``Control.arrange``: there are no parts."""
        return self._inner.arrange()

    def mend(self) -> Plan[Mended]:
        """See ``Control.mend``."""

        def steps() -> "Steps[Mended]":
            found = yield from everywhere(self._shards, self._inner.mend().steps)
            return Mended(flat([part.jobs for part in found]))

        return Plan(steps)

    def pause(self, queue: str) -> Plan[None]:
        """See ``Control.pause``."""
        return self._all(self._inner.pause(queue))

    def resume(self, queue: str) -> Plan[None]:
        """See ``Control.resume``."""
        return self._all(self._inner.resume(queue))

    def _all(self, plan: Plan[None]) -> Plan[None]:
        def steps() -> "Steps[None]":
            yield from everywhere(self._shards, plan.steps)

        return Plan(steps)

    def _pass(self, making: Making, limit: int, after: bytes | None) -> Plan[Pass]:
        """One shard after the other. Behind the id, ``after`` and ``last`` have the number of the shard."""

        def steps() -> "Steps[Pass]":
            first, behind = (after[-1], after[:-1]) if after else (0, None)
            done = NOTHING
            for shard in range(first, self._shards):
                part = yield from at(shard, making(limit - done.picked, behind).steps())
                if part.last is not None:
                    done = joined(done, part._replace(last=part.last + bytes([shard])))
                behind = None
                if done.picked >= limit:
                    break
            return done

        return Plan(steps)


class ShardedSchedules:
    """See ``store.contract.Schedules``: each lies where its name says, and so do its jobs."""

    def __init__(self, inner: RedisSchedules, shards: int) -> None:
        """*inner* is that of one shard."""
        self._inner = inner
        self._shards = shards

    def all(self, names: Sequence[str] | None = None) -> Plan[Sequence[Scheduled]]:
        """See ``Schedules.all``."""

        def steps() -> "Steps[Sequence[Scheduled]]":
            return sorted(flat((yield from everywhere(self._shards, self._inner.all(names).steps))))

        return Plan(steps, writes=False)

    def coming(self, limit: int) -> Plan[Coming]:
        """See ``Schedules.coming``."""

        def steps() -> "Steps[Coming]":
            parts = yield from everywhere(self._shards, self._inner.coming(limit).steps)
            due = sorted(flat([part.due for part in parts]), key=lambda row: (row.next_at or 0, row.name))[:limit]
            later = [part.soonest for part in parts if part.soonest is not None]
            return Coming(min(part.now for part in parts), tuple(due), min(later, default=None))

        return Plan(steps, writes=False)

    def save(self, edits: Sequence[Edit]) -> Plan[frozenset[str]]:
        """See ``Schedules.save``."""

        def steps() -> "Steps[frozenset[str]]":
            saved: frozenset[str] = frozenset()
            for shard, part in grouped(edits, lambda edit: by_name(edit.name, self._shards)).items():
                saved |= yield from at(shard, self._inner.save(part).steps())
            return saved

        return Plan(steps)

    def remove(self, name: str) -> Plan[bool]:
        """See ``Schedules.remove``."""
        return Plan(lambda: at(by_name(name, self._shards), self._inner.remove(name).steps()))

    def fire(self, moves: Sequence[Move]) -> Plan[Mapping[str, int]]:
        """See ``Schedules.fire``."""

        def steps() -> "Steps[Mapping[str, int]]":
            made: dict[str, int] = {}
            for shard, part in grouped(moves, lambda move: by_name(move.name, self._shards)).items():
                made |= yield from at(shard, self._inner.fire(part).steps())
            return made

        return Plan(steps)


class ShardedLocks(RedisLocks):
    """See ``store.locks.Locks``: each lies where its name says."""

    def __init__(self, shards: int) -> None:
        """Of a store of so many."""
        self._shards = shards

    def take(self, name: str, owner: bytes, holder: str, ttl: int, over: int = NOBODY) -> Plan[int | Held | None]:
        """See ``Locks``."""
        return self._there(name, super().take(name, owner, holder, ttl, over))

    def look(self, name: str) -> Plan[Held | None]:
        """See ``Locks``."""
        return self._there(name, super().look(name))

    def renew(self, name: str, token: int, ttl: int, *, tied: bool) -> Plan[bool]:
        """See ``Locks``."""
        return self._there(name, super().renew(name, token, ttl, tied=tied))

    def release(self, name: str, token: int) -> Plan[bool]:
        """See ``Locks``."""
        return self._there(name, super().release(name, token))

    def forsake(self, name: str, owner: bytes) -> Plan[None]:
        """See ``Locks``."""
        return self._there(name, super().forsake(name, owner))

    def _there(self, name: str, plan: Plan[T]) -> Plan[T]:
        return Plan(lambda: at(by_name(name, self._shards), plan.steps()), writes=plan.writes)
