"""The thread of a cell that keeps time: it tells a job that its time is up, and ends a cell whose runner is gone.

It waits in one place, for half a second while something runs and for a whole one otherwise, and is woken by nobody but
a job whose time is shorter than that.
"""

import asyncio
import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final, NoReturn

from conveyor.context import Context
from conveyor.core.errors import SoftTimeout
from conveyor.core.model import Progress
from conveyor.worker.attempt import Attempt, Interruption
from conveyor.worker.board import Board, CellRow, Killed
from conveyor.worker.cell.meter import Meter
from conveyor.worker.warden import family

HARD: Final = 0.5
"""Seconds from the timeout of a job until its process is killed."""
BUSY: Final = 0.5
IDLE: Final = 1.0
SOFT: Final = getattr(signal, "SIGRTMIN", signal.SIGUSR2)
"""The signal that ends what the main thread waits in; one that hardly anybody uses."""


class Alarm:
    """Of one cell. All but ``_watch`` is called in the main thread."""

    def __init__(self, board: Board, row: CellRow, said: Callable[[int, Progress], None]) -> None:
        """*said* sends what a job says of how far it is."""
        self._board = board
        self._row = row
        self._said = said
        self._woken = threading.Event()
        self._attempt: Attempt | None = None
        self._seq = 0
        self._due = math.inf
        self._rung: Attempt | None = None
        self._armed: Context | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sent: Progress | None = None
        self._main = threading.get_ident()
        self._pid = os.getpid()
        self.meter: Meter | None = None
        self.raised = False
        """Whether a job was broken off somewhere, so that nobody knows what it left half done."""

    def start(self) -> None:
        """Begin. The handler belongs to what every job finds."""
        signal.signal(SOFT, self._ring)
        threading.Thread(target=self._watch, name="conveyor-alarm", daemon=True).start()

    def set(self, attempt: Attempt, seq: int, loop: asyncio.AbstractEventLoop | None) -> None:
        """*attempt* begins; in *loop*, if it is async."""
        self._seq, self._loop, self._sent = seq, loop, None
        self._due = math.inf if attempt.deadline is None else attempt.deadline
        self._attempt = attempt
        if self._due - attempt.started < IDLE:
            self._woken.set()

    def clear(self) -> None:
        """It has ended."""
        self._attempt, self._due, self._loop = None, math.inf, None

    def around(self, context: Context, call: Callable[[], object]) -> object:
        """The outermost middleware of plain tasks: where ``SoftTimeout`` may be raised, and nowhere else.

        The child of a task that has forked comes back here as well: it is to end nothing but itself, and the task's
        transaction least of all.
        """
        self._armed = context
        try:
            return call()
        finally:
            self._armed = None
            leave_if_forked(self._pid)

    def _ring(self, _number: int, _frame: object) -> None:
        """Runs in the main thread, between two steps of whatever runs there."""
        attempt = self._rung
        if attempt is None or attempt is not self._attempt or self._armed is not attempt.context:
            return
        self._armed, self.raised = None, True
        seconds = (attempt.job.timeout or 0) / 1_000_000
        raise SoftTimeout(f"it ran longer than its timeout of {seconds:g} s")

    def _watch(self) -> None:
        while True:
            now = time.monotonic()
            if now > self._board.safe_until:
                leave_at_once(self._row)
            attempt = self._attempt
            if attempt is None:
                self._wait(IDLE)
                continue
            self._report(attempt)
            self._note(attempt, now)
            if now < self._due:
                self._wait(min(BUSY, self._due - now))
            elif self._rung is attempt:
                self._wait(BUSY)
            else:
                self._tell(attempt)

    def _wait(self, seconds: float) -> None:
        self._woken.wait(seconds)
        self._woken.clear()

    def _tell(self, attempt: Attempt) -> None:
        """An async task is cancelled; a plain one is stopped where it stands."""
        self._rung = attempt
        loop = self._loop
        if loop is None:
            attempt.interrupt(Interruption.TIMEOUT)
            signal.pthread_kill(self._main, SOFT)
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(attempt.interrupt, Interruption.TIMEOUT)

    def _note(self, attempt: Attempt, now: float) -> None:
        """On the board, what it has used: should it die, that is known."""
        if self.meter is not None:
            used = self.meter.so_far(now - attempt.started)
            self._row.cpu, self._row.peak = used.cpu, used.memory

    def _report(self, attempt: Attempt) -> None:
        """What is said inside of a transaction that suffers no other write is written with it."""
        unsaved = attempt.context.unsaved
        if unsaved is not None and unsaved is not self._sent and not attempt.untouchable:
            self._sent = unsaved
            self._said(self._seq, unsaved)


def leave_if_forked(pid: int) -> None:
    """End this process, and say nothing, unless it is still the cell that was *pid*."""
    if os.getpid() != pid:
        os._exit(0)


def leave_at_once(row: CellRow) -> NoReturn:
    """End this process and all that it has started: its runner is gone, and its job may be another's by now."""
    row.killed = row.killed or Killed.ORPHANED
    for started in list(family(os.getpid()))[1:]:  # some may be in groups of their own
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(started, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
