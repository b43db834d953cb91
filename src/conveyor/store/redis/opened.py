"""An opened store on Redis or Valkey."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn, TypeVar

from redis import exceptions

from conveyor.core.backoff import jittered
from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.core.health import Finding
from conveyor.drivers.lent import Kind
from conveyor.drivers.redis import Carried, Moving, acarry, aheard, carry, heard
from conveyor.drivers.redis_links import Links
from conveyor.drivers.redis_sources import DEADLINE
from conveyor.plan import Plan, Ring, arun, run
from conveyor.store.contract import LOCK_TIMEOUT, Control, Operations, Schedules
from conveyor.store.leases import Leases
from conveyor.store.listener import Listener
from conveyor.store.locks import Locks
from conveyor.store.moving import Moving as MovingAll
from conveyor.store.outbox import Intake
from conveyor.store.redis.control import RedisControl
from conveyor.store.redis.health import examined
from conveyor.store.redis.intake import RedisIntake, name_of
from conveyor.store.redis.leases import RedisLeases, patience_of
from conveyor.store.redis.listen import RedisListener
from conveyor.store.redis.locks import RedisLocks
from conveyor.store.redis.mending import of_indexes
from conveyor.store.redis.moving import RedisMoving
from conveyor.store.redis.place import Place
from conveyor.store.redis.plans import RedisOperations
from conveyor.store.redis.reads import FORM
from conveyor.store.redis.schedules import RedisSchedules
from conveyor.store.redis.sharded import ShardedOperations
from conveyor.store.redis.sharded_control import ShardedControl, ShardedLocks, ShardedSchedules
from conveyor.store.redis.sharded_moving import ShardedMoving

T = TypeVar("T")

MOVING: Final = (0.01, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds until a plan is tried again whose shard was at another node, or on its way there."""
WAITED: Final = (exceptions.TimeoutError, TimeoutError)
"""What tells of a server that does not answer: no second try, for its caller has waited long enough."""


def time_of(plan: Plan[T]) -> float:
    """Seconds that each round trip of *plan* may take."""
    return min(DEADLINE + plan.patience, plan.most)


class RedisStore:
    """See ``store.contract.Store``. It has no tables to be made: the first use writes down which store it is."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet. Raises ``UsageError`` for a URL that means nothing."""
        place = Place.of(url)
        self.url = place.shown
        self._prefix, self._tags = place.prefix, place.tags
        self._source = place.source
        self._links = Links(place.source, place.tags)
        self._wait = place.wait
        self.operations, self.control, self.schedules, self.locks, self.moving = _parts(len(place.tags))
        self._intake = RedisIntake(RedisOperations(), len(place.tags), name_of(url, place.prefix))

    @property
    def tags(self) -> Sequence[str]:
        """Of its shards, one for each."""
        return self._tags

    @property
    def migrations(self) -> int:
        """See ``Store``."""
        return FORM

    @property
    def kind(self) -> Kind:
        """See ``Store``."""
        return "redis"

    def outbox(self, target: str) -> NoReturn:
        """Raises ``UsageError``."""
        raise UsageError(f"{self.url} cannot be an outbox for {target}: that is in PostgreSQL or SQLite")

    @property
    def intake(self) -> Intake:
        """See ``Store``."""
        return self._intake

    def run(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once: its connection may have broken while it was on its way."""
        for pause in MOVING:
            try:
                return self._tried(plan)
            except Moving:
                time.sleep(jittered(pause))
        return self._tried(plan)

    def _tried(self, plan: Plan[T]) -> T:
        try:
            return self._over(self._links, plan, time_of(plan), waits=plan.writes)
        except StoreUnavailable as error:
            if plan.writes or isinstance(error, Moving) or isinstance(error.__cause__, WAITED):
                raise
        return self._over(self._links, plan, time_of(plan), waits=plan.writes)

    def _over(self, links: Links, plan: Plan[T], seconds: float, *, waits: bool) -> T:
        """Carry *plan* out; each round trip has *seconds*. *waits*: for the replicas of which the URL speaks."""
        carried = Carried(links.forget, writes=plan.writes, where=links.where)
        with carried, links.link(seconds) as to:
            given = run(plan, carry(to, self._tags, carried))
            if waits and self._wait:
                for connection in {id(found): found for found in map(to, carried.shards)}.values():
                    heard(connection, self._wait, seconds)
            return given

    async def arun(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once, as in ``run``."""
        for pause in MOVING:
            try:
                return await self._atried(plan)
            except Moving:
                await asyncio.sleep(jittered(pause))
        return await self._atried(plan)

    async def _atried(self, plan: Plan[T]) -> T:
        try:
            return await self._arun(plan)
        except StoreUnavailable as error:
            if plan.writes or isinstance(error, Moving) or isinstance(error.__cause__, WAITED):
                raise
        return await self._arun(plan)

    async def _arun(self, plan: Plan[T]) -> T:
        carried = Carried(self._links.forget, writes=plan.writes, where=self._links.where)
        with carried:
            async with self._links.alink() as to:
                given = await arun(plan, acarry(to, self._tags, carried, time_of(plan)))
                if plan.writes and self._wait:
                    found = [await to(shard) for shard in carried.shards]
                    for connection in {id(one): one for one in found}.values():
                        await aheard(connection, self._wait, time_of(plan))
                return given

    def migrate(self, lock_timeout: float = LOCK_TIMEOUT) -> list[str]:  # noqa: ARG002 - nobody has to be waited for
        """There is never anything left to do."""
        self.run(self.operations.schema())
        return []

    def pending(self) -> list[str]:
        """See ``Store``: nothing."""
        return []

    def script(self, first: int, last: int, lock_timeout: float = LOCK_TIMEOUT) -> str:  # noqa: ARG002 - as Store has it
        """There is none."""
        raise UsageError("a store on Redis has no tables, and so no script to be run")

    def ring(self, why: Ring) -> None:
        """Nothing: the scripts ring."""

    def connect(self) -> NoReturn:
        """Raises ``UsageError``: there are no transactions to lend."""
        raise UsageError("a store on Redis has no transactions to lend; enqueue after the commit of yours")

    async def aconnect(self) -> NoReturn:
        """The same for async code."""
        self.connect()

    def examine(self, *, deep: bool) -> Sequence[Finding]:
        """See ``Store``."""
        found = examined(self._links, len(self._tags), self._wait)
        if any(one.check == "server" for one in found):  # that does not answer, and would be waited for once more
            return found
        return [*found, *of_indexes(self.run, len(self._tags), deep=deep)]

    def amiss(self) -> Sequence[Finding]:
        """Nothing: there are no tables that could be."""
        return ()

    def leases(self, seconds: float) -> Leases:
        """See ``Store``. They have a connection of their own: no number of others in use keeps a renewal waiting."""
        links = Links(self._source, self._tags, patience_of(seconds))
        return RedisLeases(partial(self._over, links, waits=True), links.close, seconds, len(self._tags))

    def listener(self, runner: bytes) -> Listener:  # noqa: ARG002 - whoever it is, it has an ear of its own
        """See ``Store``."""
        return RedisListener(self._links, f"{self._prefix}:bell", self._tags, self.arun)

    def close(self) -> None:
        """See ``Store``."""
        self._links.close()

    async def aclose(self) -> None:
        """See ``Store``."""
        with suppress(exceptions.RedisError, OSError):
            await self._links.aclose()


def _parts(shards: int) -> tuple[Operations, Control, Schedules, Locks, MovingAll]:
    """What a store of so many shards can do."""
    operations, control, schedules, moving = RedisOperations(), RedisControl(), RedisSchedules(), RedisMoving()
    if shards == 1:
        return operations, control, schedules, RedisLocks(), moving
    return (
        ShardedOperations(operations, shards),
        ShardedControl(control, shards),
        ShardedSchedules(schedules, shards),
        ShardedLocks(shards),
        ShardedMoving(moving, shards),
    )
