"""A cell: the process that runs one job at a time, in its main thread, so that signals reach it there."""

import asyncio
import contextlib
import contextvars
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from conveyor.core.failure import storable
from conveyor.core.judge import Interrupted, Raised
from conveyor.core.usage import Usage
from conveyor.drivers.between import Sessions, tidy
from conveyor.task import Definition
from conveyor.worker.attempt import Attempt, End, Interruption
from conveyor.worker.board import Board
from conveyor.worker.cell.alarm import HARD, Alarm, leave_at_once, leave_if_forked
from conveyor.worker.cell.capture import capture_logs
from conveyor.worker.cell.frames import (
    Broken,
    Done,
    GiveBack,
    Given,
    GivenBack,
    Interrupt,
    Leave,
    Ready,
    Said,
    ToRunner,
    cells_ear,
)
from conveyor.worker.cell.fresh import Fresh, what
from conveyor.worker.cell.meter import Meter
from conveyor.worker.cell.notes import HEAD, TAIL, Notes
from conveyor.worker.cell.orders import Orders
from conveyor.worker.framing import framed
from conveyor.worker.surround import Surround
from conveyor.worker.threads import DaemonThreads

UNKNOWN_PAUSE = 5_000_000
"""Microseconds that a job waits whose task this process does not know, though its runner does."""
OUTPUT = HEAD + TAIL + 100
"""Characters of it that are kept."""
CHUNK = 256 * 1024
STREAMS = (0, 1, 2)
"""Descriptors that each job finds as they were."""
NO_POOL = DaemonThreads("conveyor-cell")
"""For async tasks, which take no thread."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What a cell was given by its runner: descriptors, and its place on the board."""

    socket: int
    board: int
    index: int
    notes: int


class Wire:
    """The cell's end of the connection. Several threads send."""

    def __init__(self, file: int) -> None:
        """*file* is the descriptor of a connected socket."""
        self.socket = socket.socket(fileno=file)
        self.socket.set_inheritable(False)
        self._lock = threading.Lock()
        self._what = what(file)
        self._pid = os.getpid()

    def receive(self) -> bytes:
        """What the runner says next; empty when it is gone."""
        self.be_whole()
        data = b""
        with contextlib.suppress(OSError):
            data = self.socket.recv(CHUNK)
        if not data:
            self.be_whole()
        return data

    def send(self, message: ToRunner) -> None:
        """Send; raises ``OSError`` when nobody is there. The child of a task that has forked has nothing to say."""
        leave_if_forked(self._pid)
        self.be_whole()
        data = framed(message)
        with self._lock:
            self.socket.sendall(data)

    def be_whole(self) -> None:
        """End the process if the descriptor is not ours any more: a job has closed it, or a file has its number now.

        Nobody can be told of that job's end, which so counts as a crash, and is one. Were it taken for the runner's
        end, the job would be released, and run again for ever.
        """
        if what(self.socket.fileno()) != self._what:
            os._exit(os.EX_IOERR)


class Cell:
    """See above. Made, and at work, in the main thread."""

    def __init__(self, wire: Wire, ends: Ends, notes: Notes) -> None:
        """Listens at once, also while the app is still imported: a runner that has died is noticed."""
        self._wire = wire
        self._board = Board(ends.board)
        self._row = self._board.cell(ends.index)
        self._notes = notes
        self._given: deque[Given] = deque()
        self._news = threading.Semaphore(0)
        self._leaving = False
        self._orders = Orders()
        self._sessions = Sessions()
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm = Alarm(self._board, self._row, lambda seq, progress: wire.send(Said(seq, progress)))
        faulthandler.enable(notes.file, all_threads=False)
        if sys.__stderr__ is not None:
            faulthandler.register(signal.SIGUSR1, sys.__stderr__, all_threads=True)
        threading.Thread(target=self._listen, name="conveyor-cell", daemon=True).start()

    def broken(self, trouble: str) -> None:
        """Say that no job can run here."""
        with contextlib.suppress(OSError):  # there is nobody to hear it
            self._wire.send(Broken(trouble))

    def work(self, known: Mapping[str, Definition], surround: Surround) -> None:
        """Run jobs until told to leave."""
        capture_logs(self._notes)
        stack = AsyncExitStack()
        if surround.around.lifespan is not None:
            surround.state = self._own_loop().run_until_complete(surround.around.open(stack))
        around = replace(surround.around, plain_wraps=[self._alarm.around, *surround.around.plain_wraps])
        surround = replace(surround, around=around)
        self._alarm.start()
        _heed_no_one()
        fresh = Fresh(STREAMS)
        self._notes.clear()
        self._meter = self._alarm.meter = Meter()
        self._wire.send(Ready())
        while (given := self._next()) is not None:
            self._perform(given, known.get(given.job.task), surround)
            if not fresh.restore():
                self._leaving = True
        self._give_back()
        if self._loop is not None:
            self._loop.run_until_complete(stack.aclose())
            self._loop.close()

    def _next(self) -> Given | None:
        while not self._leaving:
            self._news.acquire()
            with contextlib.suppress(IndexError):  # it was taken back, or there is none and we are to leave
                return self._given.popleft()
        return None

    def _perform(self, given: Given, definition: Definition | None, surround: Surround) -> None:
        seq, job = given.seq, given.job
        if definition is None:
            self._wire.send(Done(seq, Interrupted(UNKNOWN_PAUSE), 0.0, Usage(), None, spoilt=False))
            return
        attempt = Attempt(job, given.runner, definition, surround)
        attempt.measured = lambda seconds: self._meter.so_far(seconds, self._said(attempt))
        self._begin(seq, attempt)
        if order := self._orders.begin(seq, attempt):
            attempt.interrupt(order.why, order.reason)
        scope = contextvars.copy_context()
        end: End
        if attempt.interruption is not None:
            end = attempt.unstarted()
        else:
            try:
                end = scope.run(attempt.here) if not definition.coroutine else self._awaited(attempt, scope)
            except BaseException as error:  # noqa: BLE001 - ours or a signal's, between two steps: not to be lost
                end = Raised(attempt.words.described(error))
        self._end(seq, attempt, end)

    def _begin(self, seq: int, attempt: Attempt) -> None:
        """What stands on the board is what others go by, so each job's own comes before its first step."""
        row, deadline = self._row, attempt.deadline
        row.seq = seq
        row.memory_limit = attempt.extras.memory or 0
        row.deadline = 0.0 if deadline is None else deadline + HARD
        row.cpu, row.peak = 0.0, 0
        self._sessions.begin()
        if attempt.definition.coroutine:
            self._own_loop()
        self._alarm.set(attempt, seq, self._loop if attempt.definition.coroutine else None)

    def _end(self, seq: int, attempt: Attempt, end: End) -> None:
        leave_if_forked(self._pid)  # the board is shared with it
        self._alarm.clear()
        self._orders.end(seq)
        row = self._row
        row.deadline, row.memory_limit = 0.0, 0
        seconds = time.monotonic() - attempt.started
        self._wire.be_whole()  # before the last words are taken out of the notes
        usage = self._meter.usage(seconds, self._said(attempt))
        self._notes.clear()
        spoilt = self._alarm.raised
        self._leaving = self._leaving or spoilt
        self._wire.send(Done(seq, end, seconds, usage, attempt.context.unsaved, spoilt))
        row.seq = 0
        attempt.let_go()
        tidy()  # a server that does not answer holds up nobody but the next job, which another cell gets then
        self._sessions.close()
        self._notes.clear()  # what was said meanwhile is not the next job's

    def _said(self, attempt: Attempt) -> str:
        if not self._notes.total:
            return ""
        return storable(attempt.words.clipped(self._notes.read(), OUTPUT), OUTPUT)

    def _awaited(self, attempt: Attempt, scope: contextvars.Context) -> End:
        loop, ends = self._own_loop(), list[End]()

        async def performed() -> None:
            ends.append(await attempt.perform(NO_POOL))

        attempt.in_thread = False
        attempt.task = loop.create_task(performed(), context=scope)
        loop.run_until_complete(attempt.task)
        return ends[0]

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop

    # ---------------------------------------------------------- the listener

    def _listen(self) -> None:
        ear = cells_ear()
        while data := self._wire.receive():
            for message in ear.feed(data):
                self._heard(message)
        leave_at_once(self._row)

    def _heard(self, message: Given | GiveBack | Interrupt | Leave) -> None:
        match message:
            case Given():
                self._given.append(message)
                self._news.release()
            case GiveBack():
                self._give_back()
            case Interrupt():
                if attempt := self._orders.heard(message):
                    self._stop(attempt, message.why, message.reason)
            case Leave():
                self._leaving = True
                self._give_back()
                self._news.release()

    def _give_back(self) -> None:
        """From the tail: the head may be about to begin."""
        seqs: list[int] = []
        while self._given:
            try:
                seqs.append(self._given.pop().seq)
            except IndexError:
                break
        with contextlib.suppress(OSError):  # that the runner is gone is for the listener to find
            self._wire.send(GivenBack(seqs[::-1]))

    def _stop(self, attempt: Attempt, why: Interruption, reason: str) -> None:
        if attempt.definition.coroutine and self._loop is not None:
            self._loop.call_soon_threadsafe(attempt.interrupt, why, reason)
        else:
            attempt.interrupt(why, reason)


def _heed_no_one() -> None:
    """Who stops a worker may signal all of its processes; when a cell ends is its runner's to say.

    Not ignored, which would be inherited by whatever a task starts; a handler is not.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, _heard)


def _heard(_number: int, _frame: object) -> None:
    """And nothing follows from it."""


def opened(ends: Ends) -> tuple[Wire, Notes]:
    """The descriptors, none of which a child process is to have."""
    for file in (ends.board, ends.notes):
        os.set_inheritable(file, False)  # noqa: FBT003 - as the library has it
    return Wire(ends.socket), Notes(ends.notes)
