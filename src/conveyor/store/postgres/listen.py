"""How a worker on PostgreSQL hears that something is due: LISTEN on a connection of its own.

A pooler in transaction mode takes a LISTEN and loses it: the notifications go to whoever has that server session just
then, or to nobody. So a worker tries it first, with a notification to itself that takes the way of those of enqueuers:
through the pool, never over the listening connection, whose own notifications a pooler hands back.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

import psycopg
from psycopg import sql

from conveyor.core.backoff import jittered
from conveyor.core.errors import ConveyorError
from conveyor.drivers.postgres_wire import DEADLINE, AsyncWire, unasked
from conveyor.plan import Ring
from conveyor.store.listener import HearsAll
from conveyor.store.postgres.links import aconnect, direct_to
from conveyor.store.postgres.sight import LaneSight

logger = logging.getLogger("conveyor.worker")

CHANNEL: Final = "conveyor"
SAID: Final = {"schedules": Ring.TICK, "outbox": Ring.OUTBOX}
"""What ``save_schedules.sql`` and ``outbox_hold.sql`` notify."""
PING_EVERY: Final = 5.0
PATIENCE: Final = 4.0
"""Seconds that a notification to ourselves gets to come back; with the pause before it less than ten."""
LONGEST_PAUSE: Final = 10.0
TRY_AGAIN: Final = 60.0
"""Seconds until LISTEN is tried again where it was lost: the pooler may have been taken away."""


class Deaf(Exception):
    """LISTEN was accepted, and what was notified did not come."""


class PostgresListener(HearsAll):
    """See ``store.listener.Listener``.

    It pings itself. A LISTEN that was lost in silence (a transaction pooler, a dead peer whose kernel still answers
    keep-alives) is noticed by the ping that does not return, and polling stands in.
    """

    def __init__(
        self,
        text: str,
        runner: bytes,
        ask: Callable[[float], Awaitable[None]],
        ping: Callable[[str], Awaitable[None]],
    ) -> None:
        """*ask* asks enqueuers to notify for some seconds; *ping* notifies a channel, as they do."""
        self.sight = LaneSight()
        self._text = text
        self._own = f"{CHANNEL}_{runner.hex()}"
        self._ask = ask
        self._ping = ping
        self._heard = 0.0
        self._asked_until = 0.0
        self._told = ""

    @property
    def hears(self) -> bool:
        """See ``store.listener.Listener.hears``."""
        return time.monotonic() - self._heard < 2 * PING_EVERY

    @property
    def next_look(self) -> float:
        """See ``store.listener.Listener.next_look``: every commit notifies, a user's too."""
        return math.inf

    async def listen(self, heard: Callable[[Ring], None]) -> None:
        """See ``store.listener.Listener.listen``."""
        pause = 0.1
        while True:
            try:
                connection = await aconnect(self._text)
                try:
                    await self._try(connection)
                    pause = 0.1
                    await self._hear(connection, heard)
                finally:
                    await connection.close()
            except Deaf:
                self._heard = 0.0
                await asyncio.sleep(jittered(TRY_AGAIN))
            except (psycopg.Error, ConveyorError, TimeoutError) as error:
                self._heard = 0.0
                logger.warning("the listening connection is lost, polling stands in: %s", error)
                await asyncio.sleep(jittered(pause))
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _try(self, connection: AsyncWire) -> None:
        """Whether LISTEN works here, on a channel that nobody else uses: through a pooler it may stay behind."""
        connection.allow(DEADLINE)
        await self._listen(connection, self._own)
        direct = await direct_to(connection)
        begun = time.monotonic()
        await self._ping(self._own)
        async for note in connection.notifies(timeout=PATIENCE):
            if note.channel == self._own:
                self._heard = time.monotonic()
                way = "directly" if direct else "through a pooler in session mode"
                took = round((self._heard - begun) * 1000)
                self._tell(logging.INFO, f"listens {way}: a notification came back", f" in {took} ms")
                return
        why = "another database than the store's, or its standby" if direct else "a pooler in transaction mode"
        fix = f"set listen_url (CONVEYOR_LISTEN_URL) to the {'store' if direct else 'server'}'s own address"
        self._tell(logging.WARNING, f"LISTEN hears nothing ({why}), so jobs are looked for each second; {fix}")
        raise Deaf

    def _tell(self, level: int, found: str, more: str = "") -> None:
        """Once, until something else is found."""
        if found != self._told:
            self._told = found
            logger.log(level, "%s%s", found, more)

    async def _hear(self, connection: AsyncWire, heard: Callable[[Ring], None]) -> None:
        await self._listen(connection, CHANNEL)
        connection.allow(math.inf)
        self.sight.agenda.forget()
        for why in Ring:  # whatever was notified until now went unheard: look
            heard(why)
        while True:
            pinged = time.monotonic()
            await self._ping(self._own)
            await self._hear_until(connection, heard, pinged + PATIENCE)
            if self._heard < pinged:
                raise TimeoutError("the server does not return our own pings")
            await self._hear_until(connection, heard, pinged + PING_EVERY)

    async def _hear_until(self, connection: AsyncWire, heard: Callable[[Ring], None], end: float) -> None:
        while True:
            async for note in connection.notifies(timeout=0):
                if note.payload in SAID:
                    heard(SAID[note.payload])
                elif note.channel != self._own:
                    self._hear_of(note.payload)
                    heard(Ring.WORK)
                elif note.payload:
                    heard(Ring.CANCEL)
                else:
                    self._heard = time.monotonic()
            left = end - time.monotonic()
            if left <= 0:
                return
            await unasked(connection, left)

    @staticmethod
    async def _listen(connection: AsyncWire, channel: str) -> None:
        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def _hear_of(self, payload: str) -> None:
        """Priority, time and queue of the earliest job that was stored; no times where none has become earlier."""
        priority, _, rest = payload.partition(" ")
        due, _, queue = rest.partition(" ")
        if queue and due.isdecimal():
            self.sight.hear(queue, int(priority), int(due))

    async def idle(self, seconds: float) -> bool:
        """See ``store.listener.Listener.idle``.

        An enqueue that looked just before we asked commits unheard just after: so one more look is needed.
        """
        self.sight.agenda.hears = self.hears
        now = time.monotonic()
        if self._asked_until - now >= seconds:
            return False
        await self._ask(2 * seconds)
        self._asked_until = now + 2 * seconds
        self.sight.agenda.forget()
        self.sight.look_wide()
        return True

    async def changed(self) -> bool:
        """Only a claim can tell."""
        return True
