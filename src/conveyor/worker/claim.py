"""Claims: one claimer per worker, never one per slot, so that many jobs share the cost of a transaction."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from conveyor.core import ids
from conveyor.core.lifecycle import Event, ending
from conveyor.core.model import Outcome
from conveyor.store.contract import Store
from conveyor.store.listener import Listener
from conveyor.worker.board import Board
from conveyor.worker.duty import logged
from conveyor.worker.execute import Executor
from conveyor.worker.settle import Settler
from conveyor.worker.slots import HORIZON, Slots

logger = logging.getLogger("conveyor.worker")

POLL = 1.0
"""Seconds between looks while nothing proves that a ring would reach us."""
POLL_HEARING = 5.0
LATE_COMMIT = 0.05
"""An enqueue that saw no idle worker commits within this many seconds, but for rare ones, which polling finds."""
LONGEST_REST = 60.0
"""Seconds after which a claim is due though nothing is scheduled: a job must not wait long for what we overlooked."""
UNSETTLED = 2_000
"""So many unwritten outcomes, and nothing more is claimed."""
DOUBT = 60.0
"""Seconds after a lost answer during which the claim may still turn out to have been carried out."""
DOUBT_ROUND = 5.0
LEAVING = 1.0
"""Seconds to say that we leave: a mute store must not hold up an end, and others look each five seconds anyway."""


@dataclass
class Identity:
    """In whose name this process claims: random at each start, and anew after a lost lease."""

    runner: bytes
    board: Board
    doubtful_until: float = 0.0
    looked: float = 0.0
    registered: bool = True
    """Whether its lease has been taken; a claim without one gets nothing, which would look like an empty queue."""

    @property
    def doubtful(self) -> bool:
        """Whether a claim in this name may have succeeded without our knowing: nobody has looked since it was time."""
        return self.looked < self.doubtful_until


class Claimer:
    """Keeps the slots filled."""

    def __init__(
        self,
        store: Store,
        listener: Listener,
        slots: Slots,
        executor: Executor,
        settler: Settler,
        tasks: Sequence[str],
        identity: Callable[[], Identity],
        *,
        burst: bool,
    ) -> None:
        """*identity* gives the present one; *burst* ends the duty when nothing is due any more.

        On its board it leaves when it came by, and when it last claimed or had no room to.
        """
        self._store = store
        self._listener = listener
        self._slots = slots
        self._executor = executor
        self._settler = settler
        self._tasks = tasks
        self._identity = identity
        self._board = identity().board
        self._burst = burst
        self._woken = asyncio.Event()
        self._glances = False
        self._dry = False
        """Whether the latest claim left room everywhere: more room finds nothing more, until there is news."""
        self._stopping = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.unconfirmed: dict[bytes, int] = {}
        """Token by id, of every job that is ours until the store has its outcome."""

    @property
    def holds_nothing(self) -> bool:
        """Whether no job can be ours any more, as far as the store is concerned."""
        return not self.unconfirmed and not self._identity().doubtful

    @property
    def _done(self) -> bool:
        """Whether a burst is over. A wake-up since the claim began may stand for a job that the claim did not see."""
        quiet = not self.unconfirmed and not len(self._settler) and not self._woken.is_set()
        return quiet and not self._executor.ward.expecting

    def wake(self) -> None:
        """There may be something due."""
        self._dry = self._glances = False
        self._woken.set()

    def freed(self) -> None:
        """There may be room for more."""
        if not self._dry:
            self._woken.set()

    def glance(self) -> None:
        """There soon will be, with a commit that nobody hears: a claim would only wait for its writer."""
        self._glances = self._glances or not self._woken.is_set()
        self._woken.set()

    def doubt(self) -> None:
        """There may be jobs that are ours without our knowing."""
        identity = self._identity()
        identity.doubtful_until = max(identity.doubtful_until, time.monotonic())
        self._woken.set()

    async def stop(self) -> None:
        """Claim nothing more; returns once no claim is under way."""
        self._stopping = True
        self.wake()
        await self._quiet.wait()
        with suppress(TimeoutError), logged("some rings go unheard"):
            async with asyncio.timeout(LEAVING):
                await self._listener.leave(list(self._slots.lanes))

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """The store has answered for these."""
        for outcome in outcomes:
            if self.unconfirmed.get(outcome.id) == outcome.token:
                del self.unconfirmed[outcome.id]
        self._executor.seclude(len(self.unconfirmed))
        if any(not ending(outcome.event) for outcome in outcomes):
            self.wake()
        else:
            self.freed()

    async def work(self) -> None:
        """The duty."""
        while not self._stopping:
            self._woken.clear()
            if self._identity().doubtful:
                await self.resolve_doubt()
            well = self._identity().registered and len(self._settler) < UNSETTLED
            able = well and not self._executor.ward.closed
            room = self._slots.room() if able else {}
            await self._listener.decline(room)
            if not room:
                self._dry = False
                if well:
                    self._board.claim_done = time.monotonic()
                await self._wait(DOUBT_ROUND)
            elif await self._claim(room):
                if not self._burst or not self._done:
                    await self._idle()
                elif self._listener.sight.whole:
                    return
                else:
                    self._listener.sight.forget()

    async def _claim(self, room: dict[str, int]) -> bool:
        """Whether that was all that is due, as far as anybody can tell."""
        if self._stopping:  # since others were rung instead: nobody waits for a claim any more
            return False
        identity = self._identity()
        self._quiet.clear()
        if self._burst:
            self._listener.sight.rest.clear()
        try:
            plan = self._store.operations.claim(identity.runner, room, self._tasks, self._listener.sight)
            jobs = await self._store.arun(plan)
        except BaseException:  # whatever it is, it may have come after the commit
            identity.doubtful_until = time.monotonic() + DOUBT
            raise
        finally:
            self._quiet.set()
            self._board.claim_tick = time.monotonic()
        self._board.claim_done = self._board.claim_tick
        for job in jobs:
            self.unconfirmed[job.id] = job.token
        if identity is self._identity():
            self._executor.accept(identity.runner, jobs)
            self._executor.seclude(len(self.unconfirmed))
        else:  # the lease was lost while the claim was under way: others may start them now
            self._executor.refuse(identity.runner, jobs)
        taken = Counter(job.queue for job in jobs)
        everywhere = len(room) == len(self._slots.lanes) and all(taken[queue] < room[queue] for queue in room)
        missed = self._listener.sight.missed
        self._dry = everywhere and not self._burst and not missed
        return (self._dry or not jobs) and not missed

    async def _idle(self) -> None:
        """Wait until something may be due."""
        poll = POLL_HEARING if self._listener.hears else POLL
        if self._burst:
            await self._wait(HORIZON if self._executor.ward.expecting else POLL)
            return
        await asyncio.sleep(0)  # what was claimed starts first
        if self._woken.is_set():
            return
        end = self._listener.sight.rests_until
        if end is None:
            if await self._listener.idle(poll + LATE_COMMIT):
                await self._wait(LATE_COMMIT)
                return
            due = await self._store.arun(self._store.operations.next_due(list(self._slots.lanes), self._listener.sight))
            end = math.inf if due is None else time.monotonic() + due / 1_000_000
        end = min(end, time.monotonic() + LONGEST_REST)
        while not await self._wait(min(poll, self._listener.next_look, end - time.monotonic())) or self._glances:
            if self._glances:
                self._glances = False
                self._woken.clear()
            elif time.monotonic() >= end or await self._listener.changed():
                return
            else:
                self._board.claim_done = time.monotonic()

    async def _wait(self, seconds: float) -> bool:
        """Whether somebody woke us within *seconds*."""
        self._board.claim_tick = time.monotonic()
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    async def resolve_doubt(self) -> None:
        """Give back what an unanswered claim has taken in our name. Nothing is claimed meanwhile."""
        identity = self._identity()
        if not identity.doubtful or time.monotonic() - identity.looked < DOUBT_ROUND:
            return
        held = await self._store.arun(self._store.operations.held(identity.runner))
        identity.looked = time.monotonic()
        for id_, token in held:
            if self.unconfirmed.get(id_) != token:
                logger.warning("gives back a job whose claim was not answered", extra={"job": ids.text(id_)})
                self._settler.put(Outcome(id_, token, identity.runner, Event.RELEASE))
