"""How a worker on PostgreSQL hears that something is due: LISTEN on a connection of its own."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from conveyor.core.backoff import jittered
from conveyor.core.errors import StoreUnavailable
from conveyor.plan import Ring
from conveyor.store.postgres.links import aconnect

logger = logging.getLogger("conveyor.worker")

CHANNEL: Final = "conveyor"
PING_EVERY: Final = 5.0
LONGEST_PAUSE: Final = 10.0


class PostgresListener:
    """See ``store.contract.Listener``.

    It pings itself through the server. A LISTEN that was lost in silence (a transaction pooler, a dead peer whose
    kernel still answers keep-alives) is noticed by the ping that does not return, and polling stands in.
    """

    def __init__(self, text: str, runner: bytes, ask: Callable[[float], Awaitable[None]]) -> None:
        """*ask* asks enqueuers to notify for some seconds."""
        self._text = text
        self._own = f"{CHANNEL}_{runner.hex()}"
        self._ask = ask
        self._heard = 0.0
        self._asked_until = 0.0

    @property
    def hears(self) -> bool:
        """See ``store.contract.Listener.hears``."""
        return time.monotonic() - self._heard < 2 * PING_EVERY

    @property
    def next_look(self) -> float:
        """See ``store.contract.Listener.next_look``: every commit notifies, a user's too."""
        return math.inf

    async def listen(self, heard: Callable[[Ring], None]) -> None:
        """See ``store.contract.Listener.listen``."""
        pause = 0.1
        while True:
            try:
                connection = await aconnect(self._text)
                try:
                    pause = 0.1
                    await self._hear(connection, heard)
                finally:
                    await connection.close()
            except (psycopg.Error, StoreUnavailable, TimeoutError) as error:
                self._heard = 0.0
                logger.warning("the listening connection is lost, polling stands in: %s", error)
                await asyncio.sleep(jittered(pause))
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _hear(self, connection: AsyncConnection[TupleRow], heard: Callable[[Ring], None]) -> None:
        for channel in (CHANNEL, self._own):
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        for why in Ring:  # whatever was notified until now went unheard: look
            heard(why)
        while True:
            async with asyncio.timeout(PING_EVERY):
                await connection.execute("SELECT pg_notify(%s, '')", (self._own,))
            end = time.monotonic() + PING_EVERY
            async for note in connection.notifies(timeout=PING_EVERY):
                if note.channel != self._own:
                    heard(Ring.WORK)
                elif note.payload:
                    heard(Ring.CANCEL)
                else:
                    self._heard = time.monotonic()
            if not self.hears and self._heard:
                raise TimeoutError("the server does not return our own pings")
            await asyncio.sleep(max(end - time.monotonic(), 0))

    async def idle(self, seconds: float) -> bool:
        """See ``store.contract.Listener.idle``.

        An enqueue that looked just before we asked commits unheard just after: so one more look is needed.
        """
        now = time.monotonic()
        if self._asked_until - now >= seconds:
            return False
        await self._ask(2 * seconds)
        self._asked_until = now + 2 * seconds
        return True

    async def changed(self) -> bool:
        """Only a claim can tell."""
        return True
