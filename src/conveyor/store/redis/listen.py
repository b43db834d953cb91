"""How a worker on Redis hears that something is due: a channel, on a connection of its own."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from redis import exceptions

from conveyor.core.backoff import jittered
from conveyor.core.errors import ConveyorError
from conveyor.drivers.redis_links import Links, Subscription
from conveyor.plan import Ring
from conveyor.store.sight import Sight

logger = logging.getLogger("conveyor.worker")

PING_EVERY: Final = 4.0
SILENCES: Final = 3
"""So often nothing came back, and the connection is dead: polling stands in after two."""
LONGEST_PAUSE: Final = 10.0
AHEAD: Final = 4
"""So many times as long as is needed enqueuers are asked to ring, for a worker at rest asks again and again."""
_WHYS: Final = {ring.value: ring for ring in Ring}


class RedisListener:
    """See ``store.contract.Listener``. It pings its own connection: one that is dead in silence is noticed by that."""

    def __init__(self, links: Links, channel: str, ask: Callable[[float], Awaitable[None]]) -> None:
        """*ask* asks enqueuers to ring for some seconds."""
        self.sight = Sight()
        self._links = links
        self._channel = channel
        self._ask = ask
        self._heard = self._asked_until = -math.inf

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
                async with self._links.subscribed(self._channel) as subscription:
                    pause = 0.1
                    self._asked_until = -math.inf  # another server may know nothing of that
                    heard(Ring.WORK)  # whatever came before it hears
                    await self._hear(subscription, heard)
            except (exceptions.RedisError, ConveyorError, OSError, TimeoutError) as error:
                self._heard = -math.inf
                logger.warning("the listening connection is lost, polling stands in: %s", error)
                await asyncio.sleep(jittered(pause))
                pause = min(pause * 2, LONGEST_PAUSE)

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
                heard(_WHYS[said])
        raise TimeoutError(f"no sign of life for {SILENCES * PING_EVERY:.0f} s")

    async def idle(self, seconds: float) -> bool:
        """See ``Listener``: what was enqueued before we asked rang no bell."""
        now = time.monotonic()
        if self._asked_until - now >= seconds:
            return False
        await self._ask(AHEAD * seconds)
        self._asked_until = now + AHEAD * seconds
        return True

    async def changed(self) -> bool:
        """See ``Listener``: that cannot be told."""
        return True
