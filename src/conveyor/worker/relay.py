"""Forwards what is in an outbox to the store: see ``store.outbox``. Each worker of an app that has one can."""

import asyncio
import contextlib
import logging
import math
import os
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

from conveyor.core.backoff import jittered
from conveyor.core.errors import ConveyorError
from conveyor.plan import Ring
from conveyor.store.contract import Store
from conveyor.store.outbox import Batch, Standing, Turn
from conveyor.worker.duty import kept, logged
from conveyor.worker.surround import Surround

logger = logging.getLogger("conveyor.worker")

LASTING: Final = 10.0
"""Seconds after which somebody else goes on with what a dead worker has forwarded."""
POLL: Final = 1.0
POLL_HEARING: Final = 5.0
LATE: Final = 3.0
"""Seconds in which a transaction is expected to end that has put jobs here; what comes later waits for the next look at
all there is."""
WHOLE: Final = 0.2
"""Seconds between such looks, at least,"""
SHARE: Final = 20.0
"""and at least so many times as long as one takes."""
AGAIN: Final = 0.2
"""Seconds until a burst looks again whose turn it is."""
FAREWELL: Final = 1.0
"""Seconds to tell others that it is their turn."""


class Reach:
    """How far a relay has come: it looks behind that, and now and then at all, for a transaction may end late."""

    def __init__(self) -> None:
        """Has looked at nothing yet."""
        self._marks: deque[tuple[float, int]] = deque()
        self._floor = 0
        self._whole = -math.inf
        """When to look at all there is."""

    def since(self) -> int:
        """Behind which position to look now."""
        now = time.monotonic()
        while self._marks and self._marks[0][0] < now - LATE:
            self._floor = self._marks.popleft()[1]
        return 0 if now >= self._whole else self._floor

    def rest(self, since: int) -> float:
        """For how many seconds a look behind *since* will do: who has rung may have come late, and not be behind it."""
        return self._whole - time.monotonic() if since else math.inf

    def looked(self, since: int, took: float, position: int) -> None:
        """A look behind *since* took so many seconds, and found jobs up to *position*."""
        now = time.monotonic()
        if since == 0:
            self._whole = now + max(WHOLE, took * SHARE)
        if position > (self._marks[-1][1] if self._marks else self._floor):
            self._marks.append((now, position))


@dataclass(frozen=True)
class Found:
    """What a look at the outbox came to."""

    at: float
    """When it was over, by the monotonic clock; forwarding took its time after that."""
    position: int = 0
    """Up to where there were jobs; 0 for none."""
    more: bool = False
    """Whether there may be more."""


class Relay:
    """One that forwards, while it is its turn. Any number may; who has no turn asks but once in a while."""

    def __init__(self, outbox: Store, store: Store) -> None:
        """From *outbox* to *store*. Must be made in the event loop that runs it."""
        self._outbox, self._store = outbox, store
        self._plans = outbox.outbox(store.intake.name)
        self._owner = os.urandom(16).hex()
        self._listener = outbox.listener(bytes.fromhex(self._owner))
        self._woken = asyncio.Event()
        self._source = ""
        self._reach, self._standing = Reach(), Standing()
        self._spoilt: set[int] = set()

    async def drain(self) -> None:
        """Forward all that is there now, or wait a while for who is about it; a failure is left to the next."""
        try:
            with logged("what is in the outbox is left to the next worker"):
                end = time.monotonic() + LASTING + FAREWELL
                while (turn := await self._look(0)).waiting:
                    if not turn.mine and turn.left > 0:  # somebody is about it, or has died
                        if time.monotonic() >= end:
                            break
                        await asyncio.sleep(AGAIN)
                    elif not (await self._forward(0)).more:
                        break
        finally:
            await self._pass_on()

    async def work(self) -> None:
        """Forward, for ever."""
        hearing: asyncio.Task[None] | None = None
        self._reach = Reach()
        try:
            while True:
                since, begun = self._reach.since(), time.monotonic()
                turn = await self._look(since)
                if not turn.mine and turn.left > 0:
                    await asyncio.sleep(jittered(turn.left / 1_000_000))
                    continue
                opened = hearing is not None  # until then a look takes as long as to connect
                hearing = hearing or asyncio.create_task(kept("outbox", lambda: self._listener.listen(self._heard)))
                due = not turn.mine or turn.left < LASTING * 750_000  # well before the second poll
                found = await self._forward(since) if turn.waiting or due else Found(time.monotonic())
                self._reach.looked(since, found.at - begun if opened else 0.0, found.position)
                if not found.more:
                    await self._rest(self._reach.rest(since))
        finally:
            if hearing is not None:
                hearing.cancel()
                await asyncio.wait([hearing])
            await self._pass_on()

    async def _look(self, since: int) -> Turn:
        self._woken.clear()
        turn = await self._outbox.arun(self._plans.turn(self._owner, since))
        return turn if turn.left <= LASTING * 1_000_000 else turn._replace(left=0)  # by a clock that was ahead

    async def _forward(self, since: int) -> Found:
        """Forward what is under way, and the oldest of the rest. Keeps the turn."""
        plan = self._plans.take(self._owner, round(LASTING * 1_000_000), since, self._standing)
        batches = await self._outbox.arun(plan)
        at = time.monotonic()
        self._say_spoilt(batches or ())
        positions = [entry.position for batch in batches or () for entry in batch.entries]
        if batches is None or not positions:
            return Found(at)
        self._source = self._source or await self._outbox.arun(self._outbox.operations.identity())
        jobs = [(batch.number, [entry.job for entry in batch.entries]) for batch in batches if batch.entries]
        done = await self._store.arun(self._store.intake.relayed(self._source, jobs))
        for batch in batches:
            if any(entry.job.id in done.stored for entry in batch.entries):
                await self._outbox.arun(self._plans.forwarded(batch, done.stored))
        for number in done.behind:
            logger.warning("the clock of %s is behind: batch %d is numbered anew", self._outbox.url, number)
            await self._outbox.arun(self._plans.undone(number))
        if done.trouble is not None:
            raise done.trouble
        return Found(at, max(positions), more=True)

    def _say_spoilt(self, batches: Sequence[Batch]) -> None:
        """Once of each."""
        for position, why in ((position, why) for batch in batches for position, why in batch.unread.items()):
            if position not in self._spoilt:
                self._spoilt.add(position)
                logger.error("row %d of conveyor_outbox cannot be read, and stays there: %s", position, why)

    def _heard(self, why: Ring) -> None:
        if why is Ring.OUTBOX:
            self._woken.set()

    async def _rest(self, most: float) -> None:
        """Wait until there may be something again, or the turn has to be kept."""
        end = time.monotonic() + min(POLL_HEARING if self._listener.hears else POLL, most)
        while not self._woken.is_set():
            left = end - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(min(left, self._listener.next_look), 0.0)):
                    await self._woken.wait()
            if time.monotonic() >= end or await self._listener.changed():
                return

    async def _pass_on(self) -> None:
        with contextlib.suppress(ConveyorError, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._outbox.arun(self._plans.pass_on(self._owner))


def relaying(surround: Surround, *, burst: bool) -> list[Coroutine[object, object, None]]:
    """What goes on while a runner works; a *burst* forwards once, before it begins."""
    if surround.outbox is None or burst:
        return []
    return [kept("relay", Relay(surround.outbox, surround.store).work)]


async def drained(surround: Surround, *, burst: bool) -> None:
    """A *burst* ends when nothing is due: so what waits in the outbox is forwarded first."""
    if surround.outbox is not None and burst:
        await Relay(surround.outbox, surround.store).drain()
