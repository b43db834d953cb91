"""Fires the schedules that are due. Any number of workers watch, and none of them leads."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from conveyor.core.errors import ConveyorError, HeldElsewhere, StoreRefused
from conveyor.core.model import JobFilter
from conveyor.core.schedules import Coming, Move, Scheduled, Spec, read_spec, written
from conveyor.schedule.firing import move_of
from conveyor.schedule.syncing import Change, Difference, applied
from conveyor.store.contract import Store
from conveyor.store.rounds import adrive
from conveyor.worker.duty import every, kept, logged
from conveyor.worker.heartbeat import Tether

logger = logging.getLogger("conveyor.worker")

LOOK: Final = 10.0
"""Seconds after which to look anyway: nobody may have rung."""
BATCH: Final = 100
"""Schedules that fire in one statement."""
JOBS: Final = 500
BYTES: Final = 1_000_000
"""Jobs that one statement makes, and bytes of arguments that it carries: about so many."""
APART: Final = 0.02
"""Seconds within which those who wait for the same tick look: so that mostly one of them finds it."""
SHORTEST: Final = 0.1
"""Seconds until another look at what is due and was not to be moved: others are about it, or hold it."""
LONGEST: Final = 2.0
FIRST_PAUSE: Final = 0.5
"""Seconds for which one that is held up is left alone, at first; twice as long after each time, up to ``LOOK``."""
SAY_AGAIN: Final = 60.0
ANEW: Final = 60.0
"""Seconds between looks whether the store is still the same, and has what was declared."""
PREVIOUS: Final = "the next tick of its schedule has come"


class PutOff(NamedTuple):
    """A schedule that somebody holds up."""

    until: float
    pause: float


class Scheduler:
    """One who watches."""

    def __init__(self, store: Store) -> None:
        """Has looked at nothing yet."""
        self._store = store
        self._woken = asyncio.Event()
        self._broken: dict[str, float] = {}
        """Those that cannot fire, and when that was said."""
        self._held: dict[str, PutOff] = {}
        self._beside: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look now: something has changed."""
        self._woken.set()

    async def work(self) -> None:
        """Watch, for ever."""
        pause = SHORTEST
        while True:
            self._woken.clear()
            coming, moved = await self._round()
            if moved:
                pause = SHORTEST
                continue
            wait = LOOK if coming.soonest is None else min((coming.soonest - coming.now) / 1_000_000, LOOK)
            if any(row.name not in self._broken for row in coming.due):
                wait, pause = min(wait, pause), min(2 * pause, LONGEST)
            else:
                pause = SHORTEST
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.0) + random.uniform(0, APART)):  # noqa: S311 - a spread
                    await self._woken.wait()

    async def fire(self) -> Coming:
        """Fire all that is due, and can; gives what is to come."""
        coming, moved = await self._round()
        while moved:
            coming, moved = await self._round()
        await asyncio.gather(*self._beside)
        return coming

    async def _round(self) -> tuple[Coming, bool]:
        """One look: what there was, and whether it is worth to look once more at once."""
        broken = len(self._broken)
        coming = await self._store.arun(self._store.schedules.coming(BATCH + broken + len(self._held)))
        moved = await self._fired(coming.due)
        return coming, moved or len(self._broken) > broken

    async def _fired(self, due: Sequence[Scheduled]) -> bool:
        """Whether any was moved here. One that cannot be read, or that somebody holds, holds up no other."""
        now = asyncio.get_running_loop().time()
        rows = {row.name: row for row in due if row.name not in self._held or self._held[row.name].until <= now}
        moves = [move for row in rows.values() if (move := self._move(row)) is not None]
        moved = False
        for some in shares(moves):
            moved = await self._sent(some, rows) or moved
        return moved

    async def _sent(self, moves: Sequence[Move], rows: Mapping[str, Scheduled]) -> bool:
        """Fire *moves*, in halves where one of them spoils it for all."""
        try:
            made = await self._store.arun(self._store.schedules.fire(moves))
        except (HeldElsewhere, StoreRefused) as error:
            if len(moves) == 1:
                self._put_off(moves[0].name, error)
                return False
            half = len(moves) // 2
            first = await self._sent(moves[:half], rows)
            return await self._sent(moves[half:], rows) or first
        for move in moves:
            if move.name in made:
                self._held.pop(move.name, None)
                self._tell(move, made[move.name])
                if made[move.name] and (row := rows[move.name]).job is not None:
                    self._called_off(row)
        return bool(made)

    def _put_off(self, name: str, error: ConveyorError) -> None:
        before = self._held.get(name)
        if before is None:
            logger.warning("schedule %s has to wait: %s", name, error)
        pause = min(2 * before.pause, LOOK) if before else FIRST_PAUSE
        self._held[name] = PutOff(asyncio.get_running_loop().time() + pause, pause)

    def _called_off(self, row: Scheduled) -> None:
        """Cancel the job before, where that is wanted: beside all else, for somebody may hold it."""
        if read_spec(row.spec).overlap == "cancel_previous" and row.job is not None:
            task = asyncio.create_task(self._cancelled(row.name, row.job))
            self._beside.add(task)
            task.add_done_callback(self._beside.discard)

    async def _cancelled(self, name: str, job: bytes) -> None:
        with logged(f"schedule {name}: the job before goes on"):
            await self._store.arun(self._store.control.call_off(JobFilter(ids=(job,)), PREVIOUS, 1, None))

    def _move(self, row: Scheduled) -> Move | None:
        try:
            move = move_of(row)
        except ValueError as error:
            now = asyncio.get_running_loop().time()
            if now - self._broken.get(row.name, -SAY_AGAIN) >= SAY_AGAIN:
                self._broken[row.name] = now
                logger.error("schedule %s cannot fire: %s", row.name, error)  # noqa: TRY400 - the schedule's own trouble
            return None
        self._broken.pop(row.name, None)
        return move

    @staticmethod
    def _tell(move: Move, jobs: int) -> None:
        if jobs < len(move.jobs):
            logger.info("schedule %s: this tick makes no job, for one before has not ended", move.name)
        elif not jobs:
            logger.info("schedule %s: ticks were missed, and are not made up", move.name)
        else:
            logger.debug("schedule %s has made %d jobs", move.name, jobs)


def shares(moves: Sequence[Move]) -> Iterator[Sequence[Move]]:
    """*moves*, for as many statements as keep each to about ``JOBS`` jobs and ``BYTES`` of arguments.

    Those of unique jobs come last, each alone: somebody's open transaction may hold a key, and only that one waits.
    """
    share: list[Move] = []
    jobs = size = 0
    alone = [move for move in moves if any(job.unique for job in move.jobs)]
    for move in moves:
        if any(job.unique for job in move.jobs):
            continue
        share.append(move)
        jobs, size = jobs + len(move.jobs), size + sum(len(job.args) for job in move.jobs)
        if jobs >= JOBS or size >= BYTES:
            yield share
            share, jobs, size = [], 0, 0
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
            duties.append(every(ANEW, "schedules of the code", self._declaring.work))
        if not self._tether.supervised:
            duties.append(kept("schedules", self._scheduler.work))
        return duties


class Declaring:
    """Brings the schedules of the code into the store: when a worker starts, and when that is another store by now."""

    def __init__(self, store: Store, declared: Mapping[str, Spec], tasks: Collection[str]) -> None:
        """Has done nothing yet; *tasks* are those that the code has."""
        self._store = store
        self._declared = declared
        self._tasks = tasks
        self._identity = ""
        self._otherwise: dict[str, str | None] = {}
        """What other code has declared of ours since, as far as it was warned of."""

    async def work(self) -> None:
        """Do it, if there are any. What was edited at run time stays, and what the code declares no more.

        A database that somebody has made anew under a running worker has another identity, and no schedules. Later
        rounds only look: who starts last is right, be it by mistake the older code.
        """
        if not self._declared:
            return
        identity = await self._store.arun(self._store.operations.identity())
        if identity == self._identity:
            await self._look()
            return
        for found in await adrive(self._store, applied(self._store.schedules, self._declared, self._tasks)):
            _tell_found(found)
        self._identity, self._otherwise = identity, {}

    async def _look(self) -> None:
        """Warn of what other code has declared otherwise: once, and again when that is another declaration."""
        rows = await self._store.arun(self._store.schedules.all([*self._declared]))
        others = [row for row in rows if row.declared not in {None, written(self._declared[row.name])}]
        for row in others:
            if row.declared != self._otherwise.get(row.name):
                _warn_of(row)
        self._otherwise = {row.name: row.declared for row in others}


def _tell_found(found: Difference) -> None:
    if found.change is Change.CREATE:
        logger.info("schedule %s is new", found.name)
    elif found.change is Change.CHANGE:
        logger.info("schedule %s is as the code has it now", found.name)
    elif found.change is Change.DRIFT and found.behind:
        logger.warning("schedule %s was edited at run time, and stays so; the code has changed", found.name)


def _warn_of(row: Scheduled) -> None:
    follows = "follows that one" if row.spec == row.declared else "keeps what was edited at run time"
    logger.warning(
        "schedule %s: a worker with other code has started since (or conveyor schedules apply was run with it) and has "
        "declared it otherwise, and the store %s; if the code of this worker is the newer, restart the others with "
        "it, then conveyor schedules plan shows what differs, and conveyor schedules apply brings this code's back",
        row.name,
        follows,
    )
