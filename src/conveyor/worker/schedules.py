"""Fires the schedules that are due. Any number of workers watch, and none of them leads."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Final

from conveyor.core.model import JobFilter
from conveyor.core.schedules import Move, Scheduled, Spec, read_spec
from conveyor.schedule.firing import move_of
from conveyor.schedule.syncing import Change, Difference, applied
from conveyor.store.contract import Store
from conveyor.store.rounds import adrive

logger = logging.getLogger("conveyor.worker")

LOOK: Final = 10.0
"""Seconds after which to look anyway: nobody may have rung."""
BATCH: Final = 100
"""Schedules that fire in one statement."""
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
            coming = await self._store.arun(self._store.schedules.coming(BATCH + len(self._said)))
            if coming.due and await self._fired(coming.due):
                continue
            wait = LOOK if coming.soonest is None else min((coming.soonest - coming.now) / 1_000_000, LOOK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.0) + random.uniform(0, APART)):  # noqa: S311 - a spread, not a secret
                    await self._woken.wait()

    async def _fired(self, due: Sequence[Scheduled]) -> bool:
        """Whether there was any to be moved, by us or by others. One that cannot be read holds up none of the rest."""
        moves = [move for row in due if (move := self._move(row)) is not None]
        if not moves:
            return False
        ends = {
            row.name: row for row in due if row.job is not None and read_spec(row.spec).overlap == "cancel_previous"
        }
        for move in moves:
            if move.jobs and (row := ends.get(move.name)) is not None and row.job is not None:
                where = JobFilter(ids=(row.job,))
                await self._store.arun(self._store.control.call_off(where, PREVIOUS, 1, None))
        made = await self._store.arun(self._store.schedules.fire(moves))
        for move in moves:
            if move.name in made:
                self._tell(move, made[move.name])
        return True

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
            logger.info("schedule %s: the job before has not ended, and this tick is skipped", move.name)
        elif not jobs:
            logger.info("schedule %s: ticks were missed, and are not made up", move.name)
        else:
            logger.debug("schedule %s has made %d jobs", move.name, jobs)


class Declaring:
    """Brings the schedules of the code into the store, once, when a worker starts."""

    def __init__(self, store: Store, declared: Mapping[str, Spec]) -> None:
        """Has done nothing yet."""
        self._store = store
        self._declared = declared

    async def work(self) -> None:
        """Do it. What was edited at run time stays, and what the code declares no more."""
        for found in await adrive(self._store, applied(self._store.schedules, self._declared)):
            _tell_found(found)


def _tell_found(found: Difference) -> None:
    if found.change is Change.CREATE:
        logger.info("schedule %s is new", found.name)
    elif found.change is Change.CHANGE:
        logger.info("schedule %s is as the code has it now", found.name)
    elif found.change is Change.DRIFT and found.behind:
        logger.warning("schedule %s was edited at run time, and stays so; the code has changed", found.name)
