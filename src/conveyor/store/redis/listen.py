"""How a worker on Redis hears that something is due: two channels, on a connection of their own.

In one of them all are told what concerns all. In the other this worker alone is rung when a job is there for it: it
asks for that with a claim that finds nothing more, and is rung once for each. See ``bell.lua``.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from redis import exceptions

from conveyor.core.backoff import jittered
from conveyor.core.errors import ConveyorError
from conveyor.drivers.redis_links import Links, Subscription
from conveyor.plan import Plan, Ring, Steps
from conveyor.store.redis.scripts import call
from conveyor.store.redis.sharding import at
from conveyor.store.sight import Sight

logger = logging.getLogger("conveyor.worker")

PING_EVERY: Final = 4.0
SILENCES: Final = 3
"""So often nothing came back, and the connection is dead: polling stands in after two."""
LONGEST_PAUSE: Final = 10.0
_WHYS: Final = {ring.value: ring for ring in Ring}
_PASSED_ON: Final = b"+"


class RedisListener:
    """See ``store.listener.Listener``. It pings its own connection: one that is dead in silence is noticed by that."""

    def __init__(
        self, links: Links, channel: str, tags: Sequence[str], arun: Callable[[Plan[None]], Awaitable[None]]
    ) -> None:
        """*channel* is where all are rung; *tags* are those of the shards; *arun* carries a plan out."""
        self.sight = Sight()
        self._links = links
        self._shards = {tag.encode(): shard for shard, tag in enumerate(tags)}
        self._ear = ("c" if links.clustered else "s") + secrets.token_hex(8)
        self._channels = (channel, f"{channel}:{self._ear}")
        self._arun = arun
        self._heard = -math.inf

    @property
    def hears(self) -> bool:
        """See ``Listener``."""
        return time.monotonic() - self._heard < 2 * PING_EVERY

    @property
    def next_look(self) -> float:
        """See ``Listener``: every script that makes a job ready rings."""
        return math.inf

    async def listen(self, heard: Callable[[Ring], None]) -> None:
        """See ``Listener``."""
        pause = 0.1
        while True:
            try:
                async with self._links.subscribed(*self._channels) as subscription:
                    pause = 0.1
                    self._heard = time.monotonic()
                    self._awake(self._ear)
                    heard(Ring.WORK)  # whatever came before it hears
                    heard(Ring.HELD)
                    await self._hear(subscription, heard)
            except (exceptions.RedisError, ConveyorError, OSError, TimeoutError) as error:
                self._heard = -math.inf
                self._awake("")  # before the pause, or claims would ask for rings meanwhile
                logger.warning("the listening connection is lost, polling stands in: %s", error)
                await asyncio.sleep(jittered(pause))
                pause = min(pause * 2, LONGEST_PAUSE)
            finally:
                self._awake("")

    def _awake(self, ear: str) -> None:
        """What rests does not any more: there may be jobs for which nobody was rung."""
        self.sight.rest.ear = ear
        self.sight.rest.clear()

    async def _hear(self, subscription: Subscription, heard: Callable[[Ring], None]) -> None:
        pinged = 0
        while pinged < SILENCES:
            said = await subscription.heard(PING_EVERY)
            if said is None:
                pinged += 1
                await subscription.ping()
                continue
            pinged, self._heard = 0, time.monotonic()
            if said in _WHYS:
                why = _WHYS[said]
                if why is Ring.WORK:
                    self.sight.rest.clear()
                heard(why)
            elif said:
                self._rung(said)
                heard(Ring.WORK)

    def _rung(self, said: bytes) -> None:
        """The tag of a shard, how it is meant, and a queue: see ``rouse`` of ``bell.lua``."""
        tag, end, rest = said.partition(b"}")
        shard = self._shards.get(tag + end)
        if shard is None:  # somebody else speaks in our channel
            self.sight.rest.clear()
            return
        self.sight.rest.ring(shard, rest[1:].decode("utf-8", "replace"), passed_on=rest[:1] == _PASSED_ON)

    async def decline(self, queues: Collection[str]) -> None:
        """See ``Listener``."""
        vain = self.sight.rest.decline(queues)
        if vain:
            await self._arun(Plan(partial(_each, {shard: ("decline", *names) for shard, names in vain.items()})))

    async def leave(self, queues: Sequence[str]) -> None:
        """See ``Listener``."""
        heard = self.hears
        self._awake("")
        if heard:
            await self._arun(Plan(partial(_each, dict.fromkeys(self._shards.values(), ("leave", self._ear, *queues)))))

    async def idle(self, seconds: float) -> bool:  # noqa: ARG002 - as Listener has it
        """See ``Listener``: a claim asks for that, and in the same step."""
        return False

    async def changed(self) -> bool:
        """See ``Listener``: that cannot be told, so the next claim looks everywhere."""
        self.sight.rest.clear()
        return True


def _each(calls: Mapping[int, Sequence[str]]) -> Steps[None]:
    """A call of a script in each shard."""
    for shard, (name, *arguments) in calls.items():
        yield from at(shard, _called(name, arguments))


def _called(name: str, arguments: Sequence[str]) -> Steps[None]:
    yield call(name, *arguments)
