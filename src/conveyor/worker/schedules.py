"""Fires the schedules that are due. Any number of workers watch, and none of them leads."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from typing import Final

from conveyor.core.errors import HeldElsewhere
from conveyor.core.model import JobFilter
from conveyor.core.schedules import Coming, Move, Scheduled, Spec, read_spec
from conveyor.schedule.firing import move_of
from conveyor.schedule.syncing import Change, Difference, applied
from conveyor.store.contract import Store
from conveyor.store.rounds import adrive
from conveyor.worker.duty import kept, logged
from conveyor.worker.heartbeat import Tether

logger = logging.getLogger("conveyor.worker")

LOOK: Final = 10.0
"""Seconds after which to look anyway: nobody may have rung."""
BATCH: Final = 100
"""Schedules that fire in one statement."""
JOBS: Final = 500
"""Jobs that one statement makes; one schedule that makes up more than that makes them together all the same."""
APART: Final = 0.02
"""Seconds within which those who wait for the same tick look: so that mostly one of them finds it."""
SAY_AGAIN: Final = 60.0
PREVIOUS: Final = "the next tick of its schedule has come"


class Scheduler:
    """One who watches."""

    def __init__(self, store: Store) -> None:
        """Has looked at nothing yet."""
        self._store = store
        self._woken = asyncio.Event()
        self._said: dict[str, float] = {}
        """Those that cannot fire, and when that was said."""

    def wake(self) -> None:
        """Look now: something has changed."""
        self._woken.set()

    async def work(self) -> None:
        """Watch, for ever."""
        while True:
            self._woken.clear()
            coming = await self.fire()
            wait = LOOK if coming.soonest is None else min((coming.soonest - coming.now) / 1_000_000, LOOK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.0) + random.uniform(0, APART)):  # noqa: S311 - a spread, not a secret
                    await self._woken.wait()

    async def fire(self) -> Coming:
        """Fire all that is due; gives what is to come."""
        while True:
            unread = len(self._said)
            coming = await self._store.arun(self._store.schedules.coming(BATCH + unread))
            if not coming.due or (not await self._fired(coming.due) and len(self._said) == unread):
                return coming

    async def _fired(self, due: Sequence[Scheduled]) -> bool:
        """Whether any was moved, by us or by others. One that cannot be read, or has to wait, holds up no other."""
        moves = [move for row in due if (move := self._move(row)) is not None]
        if not moves:
            return False
        rows = {row.name: row for row in due}
        for move in moves:
            row = rows[move.name]
            if move.jobs and row.job is not None and read_spec(row.spec).overlap == "cancel_previous":
                where = JobFilter(ids=(row.job,))
                await self._store.arun(self._store.control.call_off(where, PREVIOUS, 1, None))
        went = False
        for some in _shares(moves):
            with logged(f"schedule {some[0].name} has to wait", HeldElsewhere):
                made = await self._store.arun(self._store.schedules.fire(some))
                for move in some:
                    if move.name in made:
                        self._tell(move, made[move.name])
                went = True
        return went

    def _move(self, row: Scheduled) -> Move | None:
        try:
            move = move_of(row)
        except ValueError as error:
            now = asyncio.get_running_loop().time()
            if now - self._said.get(row.name, -SAY_AGAIN) >= SAY_AGAIN:
                self._said[row.name] = now
                logger.error("schedule %s cannot fire: %s", row.name, error)  # noqa: TRY400 - the schedule's own trouble
            return None
        self._said.pop(row.name, None)
        return move

    @staticmethod
    def _tell(move: Move, jobs: int) -> None:
        if jobs < len(move.jobs):
            logger.info("schedule %s: this tick makes no job, for one before has not ended", move.name)
        elif not jobs:
            logger.info("schedule %s: ticks were missed, and are not made up", move.name)
        else:
            logger.debug("schedule %s has made %d jobs", move.name, jobs)


def _shares(moves: Sequence[Move]) -> Iterator[Sequence[Move]]:
    """*moves*, for as many statements as keep each to about ``JOBS`` jobs.

    Those of unique jobs come last, each alone: somebody's open transaction may hold a key, and only that one waits.
    """
    share: list[Move] = []
    alone = [move for move in moves if any(job.unique for job in move.jobs)]
    for move in moves:
        if any(job.unique for job in move.jobs):
            continue
        share.append(move)
        if sum(len(one.jobs) for one in share) >= JOBS:
            yield share
            share = []
    if share:
        yield share
    for move in alone:
        yield [move]


class Ticking:
    """What a runner has to do with schedules; who has a supervisor leaves the watching to that."""

    def __init__(self, store: Store, tether: Tether, declared: Mapping[str, Spec], tasks: Collection[str]) -> None:
        """Has done nothing yet."""
        self._tether = tether
        self._scheduler = Scheduler(store)
        self._declaring = Declaring(store, declared, tasks)
        self._burst = False

    def wake(self) -> None:
        """Schedules have changed."""
        self._scheduler.wake()
        self._tether.look()

    async def begin(self, *, burst: bool) -> None:
        """A *burst* ends when nothing is due: so what the schedules have to make is made first."""
        self._burst = burst
        if burst:
            with logged("schedules are left to the next worker"):
                await self._declaring.work()
                await self._scheduler.fire()

    def duties(self) -> list[Coroutine[object, object, None]]:
        """What goes on while the runner works."""
        duties: list[Coroutine[object, object, None]] = []
        if not self._burst:
            duties.append(kept("schedules of the code", self._declaring.work))
        if not self._tether.supervised:
            duties.append(kept("schedules", self._scheduler.work))
        return duties


class Declaring:
    """Brings the schedules of the code into the store, once, when a worker starts."""

    def __init__(self, store: Store, declared: Mapping[str, Spec], tasks: Collection[str]) -> None:
        """Has done nothing yet; *tasks* are those that the code has."""
        self._store = store
        self._declared = declared
        self._tasks = tasks

    async def work(self) -> None:
        """Do it, if there are any. What was edited at run time stays, and what the code declares no more."""
        if not self._declared:
            return
        for found in await adrive(self._store, applied(self._store.schedules, self._declared, self._tasks)):
            _tell_found(found)


def _tell_found(found: Difference) -> None:
    if found.change is Change.CREATE:
        logger.info("schedule %s is new", found.name)
    elif found.change is Change.CHANGE:
        logger.info("schedule %s is as the code has it now", found.name)
    elif found.change is Change.DRIFT and found.behind:
        logger.warning("schedule %s was edited at run time, and stays so; the code has changed", found.name)
