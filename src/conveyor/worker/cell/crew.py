"""All cells of a runner: which job goes to which, and when there is to be one more, or one less."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import time
from collections import deque
from functools import partial
from typing import Final

from conveyor.core.backoff import jittered
from conveyor.core.failure import storable
from conveyor.core.judge import Interrupted
from conveyor.core.usage import Usage
from conveyor.worker.attempt import Attempt, End, Interruption
from conveyor.worker.board import CELLS, Board
from conveyor.worker.cell.deaths import Death, ending_of, how
from conveyor.worker.cell.frames import Done
from conveyor.worker.cell.handle import Handle, Work
from conveyor.worker.cell.process import OUTPUT
from conveyor.worker.cell.settings import CellSettings
from conveyor.worker.cell.speed import HORIZON, Speed, to_start
from conveyor.worker.cell.stuck import stuck
from conveyor.worker.warden import MEMORY_LOOK, Warden

logger = logging.getLogger("conveyor.worker")

SOFT: Final = 3 / 4
"""Of a job's memory limit; a cell that has held as much ends after the job."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
HOLD: Final = 2.0
"""Seconds that a job waits here while no cell can be started."""
UNWIND: Final = 5.0
"""Seconds that a cell gets to leave its lifespan."""
LAST: Final = 1.0
"""Seconds in which the end of one that was killed is seen; the kernel may hold it for longer."""


class Crew:
    """See above. Lives in the runner's event loop."""

    def __init__(self, settings: CellSettings, board: Board, slots: int) -> None:
        """*slots* are the runner's, in all."""
        self._settings = settings
        self._board = board
        self._most = settings.count or min(slots, CELLS)
        self._warden = Warden(board)
        self._cells: list[Handle] = []
        self._waiting: deque[Work] = deque()
        self._seqs = itertools.count(1)
        self._speed = Speed()
        self._loop = asyncio.get_running_loop()
        self._turn: asyncio.Handle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._pause, self._failed_at, self._trouble = 0.0, 0.0, ""
        self._open = True
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        """How many cells there are."""
        return len(self._cells)

    async def run(self, attempt: Attempt) -> End:
        """Run *attempt* in a cell, to its end."""
        if attempt.interruption is not None:
            return attempt.unstarted()
        work = Work(next(self._seqs), attempt, self._loop.create_future())
        attempt.told = partial(self._told, work)
        self._waiting.append(work)
        self._soon()
        return await work.ended

    def shut(self) -> None:
        """Begin nothing more."""
        self._open = False

    def give_back(self) -> None:
        """What waits is released; what has not begun comes back, and once ``shut`` it is released too."""
        self._release(0)
        for cell in self._cells:
            cell.take_back()

    def sweep(self) -> None:
        """Look at all of them: who is over a limit, who is needed no more, who does not come up, or stands still."""
        self._watch()
        self._release_tired()
        now = time.monotonic()
        idle = [cell for cell in self._cells if cell.takes and not cell.hand]
        for cell in list(self._cells):
            if stuck(cell, now):
                cell.kill()
            elif cell.is_ready and (cell.leaving or cell.worn(now)):
                self._retire(cell, now)
            elif cell in idle[1:] and now - cell.idle_since > self._settings.idle:
                cell.leave()

    async def close(self, seconds: float) -> None:
        """Have all end, and kill those that have not within *seconds*."""
        self._open = False
        for cell in self._cells:
            cell.leave()
        self._empty.clear()
        for patience in (seconds, LAST):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience if self._cells else 0):
                    await self._empty.wait()
            self.kill()
        for timer in filter(None, (self._tick, self._look)):
            timer.cancel()

    def show(self) -> None:
        """Have all print where they are; one that is about to start would die of the signal."""
        for cell in self._cells:
            if cell.is_ready:
                os.kill(cell.pid, signal.SIGUSR1)

    def kill(self) -> None:
        """Kill all."""
        for cell in self._cells:
            cell.kill()

    # --------------------------------------------------------- what they say

    def ready(self, cell: Handle) -> None:
        """See ``Keeper``."""
        cell.idle_since = time.monotonic()
        self._soon()

    def done(self, cell: Handle, work: Work, done: Done) -> None:
        """See ``Keeper``."""
        attempt = work.attempt
        attempt.started = time.monotonic() - done.seconds
        attempt.usage = done.usage
        if done.progress is not None:
            attempt.context.unsaved = done.progress
        self._speed.add(done.seconds)
        self._pause, self._trouble = 0.0, ""
        if attempt.extras.memory and done.usage.memory > attempt.extras.memory * SOFT:
            cell.leave()
        _end(work, done.end)
        if self._waiting:
            self._soon()

    def back(self, works: list[Work]) -> None:
        """See ``Keeper``."""
        self._waiting.extendleft(reversed(works))
        if not self._open:
            self._release(0)
        self._soon()

    def gone(self, cell: Handle, death: Death, begun: Work | None, rest: list[Work]) -> None:
        """See ``Keeper``. Only the job that ran in it can have been its end."""
        self._cells.remove(cell)
        if not self._cells:
            self._empty.set()
        if begun is not None:
            attempt = begun.attempt
            attempt.started = cell.begun
            said = cell.last_words()
            output = storable(attempt.words.clipped(said, OUTPUT), OUTPUT) if said else ""
            attempt.usage = Usage(cell.row.cpu, cell.row.peak, output)
            _end(begun, ending_of(attempt, death))
        trouble = cell.trouble or f"it {how(death.status)}\n{death.stack}".strip()
        if not cell.is_ready or (begun is None and not cell.jobs and not death.asked):
            self._give_up(trouble)
        elif begun is None and not death.asked and self._open:
            logger.warning("a process for plain functions ended while it ran no job: %s", trouble)
        self.back(rest)

    # ------------------------------------------------------------- decisions

    def _soon(self) -> None:
        """Hand out what waits, once for all that happens in this turn of the loop."""
        if self._turn is None:
            self._turn = self._loop.call_soon(self._hand_out)

    def _hand_out(self) -> None:
        self._turn = None
        ahead = self._speed.ahead
        while self._waiting:
            taking = [cell for cell in self._cells if cell.takes and not cell.asked_back]
            cell = min(taking, key=lambda cell: len(cell.hand), default=None)
            if cell is None or (cell.hand and (len(cell.hand) > ahead or self._age(cell) > HORIZON)):
                break
            work = self._waiting.popleft()
            if work.attempt.interruption is not None:
                _end(work, work.attempt.unstarted())
                continue
            cell.give(work)
            if work.attempt.extras.memory and self._look is None:  # it may have grown by the next sweep
                self._look = self._loop.call_later(MEMORY_LOOK, self._watch)
        if self._waiting:
            self._start_more()
        if self._tick is None and (self._waiting or any(len(cell.hand) > 1 for cell in self._cells)):
            self._tick = self._loop.call_later(HORIZON, self._look_behind)

    def _look_behind(self) -> None:
        """No short job waits behind a long one: it is taken back, and given to another cell, maybe a new one."""
        self._tick = None
        for cell in self._cells:
            if len(cell.hand) > 1 and self._age(cell) > HORIZON:
                cell.take_back()
        self._hand_out()

    def _age(self, cell: Handle) -> float:
        return time.monotonic() - cell.begun if cell.hand else 0.0

    def _start_more(self) -> None:
        if not self._open:
            return
        left = self._failed_at + self._pause - time.monotonic()
        busy = [cell for cell in self._cells if cell.is_ready]
        count = to_start(
            waiting=len(self._waiting),
            cells=len(self._cells),
            starting=len(self._cells) - len(busy),
            most=self._most,
            p95=self._speed.p95,
            age=min((self._age(cell) for cell in busy), default=0.0),
        )
        for _ in range(0 if left > 0 else count):
            self._start()

    def _start(self) -> None:
        index = next(n for n in range(CELLS) if all(cell.index != n for cell in self._cells))
        try:
            self._cells.append(Handle(self._settings, self._board, index, self))
        except OSError as error:
            self._give_up(f"no process can be started: {error}")

    def _give_up(self, trouble: str) -> None:
        """For a while. What is said once need not be said again while it stays so."""
        if not self._open:
            return
        self._failed_at = time.monotonic()
        self._pause = jittered(min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE))
        if trouble != self._trouble:
            self._trouble = trouble
            logger.error("no process for plain functions can be started, so their jobs are given back: %s", trouble)
        self._release_tired()

    def _release_tired(self) -> None:
        """Give back what has waited too long for a cell that cannot be started: another worker may have one.

        Not at once, for then a long queue would be claimed and given back from end to end.
        """
        now = time.monotonic()
        if not self._pause or any(cell.is_ready for cell in self._cells):
            return
        tired = [work for work in self._waiting if now - work.since > HOLD]
        for work in tired:
            self._waiting.remove(work)
            _end(work, Interrupted(round(max(self._failed_at + self._pause - now, FIRST_PAUSE) * 1_000_000)))

    def _release(self, pause: int) -> None:
        """What waits is given back, no attempt spent."""
        while self._waiting:
            work = self._waiting.popleft()
            attempt = work.attempt
            _end(work, Interrupted(pause) if attempt.interruption is None else attempt.unstarted())

    def _told(self, work: Work, why: Interruption, reason: str) -> None:
        """An attempt is to end. For a deploy, or a lost lease, a cell is not asked."""
        cell = next((cell for cell in self._cells if work.seq in cell.hand), None)
        if cell is None:
            if work in self._waiting:
                self._waiting.remove(work)
                _end(work, work.attempt.unstarted())
        elif why in {Interruption.SHUTDOWN, Interruption.LEASE_LOST}:
            cell.kill()
        else:
            cell.interrupt(work, why, reason)

    # --------------------------------------------------------------- looking

    def _watch(self) -> None:
        """Deadlines and memory; looked at again when the first of them is due."""
        again = self._warden.look()
        if self._look is not None:
            self._look.cancel()
        self._look = None if again is None else self._loop.call_later(again, self._watch)

    def _retire(self, cell: Handle, now: float) -> None:
        cell.leave()
        if not cell.hand and now - cell.idle_since > UNWIND:
            cell.kill()  # it was to end by itself, and something keeps it


def _end(work: Work, end: End) -> None:
    if not work.ended.done():
        work.ended.set_result(end)
