"""One cell, as its runner holds it."""

import asyncio
import contextlib
import logging
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from conveyor.worker.attempt import Attempt, End, Interruption
from conveyor.worker.board import Board, CellRow, Killed
from conveyor.worker.cell.deaths import LIMITS, Death
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
    ToCell,
    ToRunner,
    runners_ear,
)
from conveyor.worker.cell.notes import Notes
from conveyor.worker.cell.settings import SPREAD, CellSettings
from conveyor.worker.framing import framed
from conveyor.worker.warden import resident, slay

logger = logging.getLogger("conveyor.worker")

CHUNK: Final = 256 * 1024
LATELY: Final = 1.0
EXEC_LOOK: Final = 0.05
"""Seconds between looks for the end of a process, where the system does not tell of it."""


@dataclass(slots=True, eq=False)
class Work:
    """An attempt on its way through a cell."""

    seq: int
    attempt: Attempt
    ended: "asyncio.Future[End]"
    since: float = field(default_factory=time.monotonic)
    """When it came."""


class Keeper(Protocol):
    """Who holds the cells."""

    def ready(self, cell: "Handle") -> None:
        """It takes jobs."""
        ...

    def done(self, cell: "Handle", work: Work, done: Done) -> None:
        """A job has ended in it."""
        ...

    def back(self, works: list[Work]) -> None:
        """These have not begun."""
        ...

    def gone(self, cell: "Handle", death: Death, begun: Work | None, rest: list[Work]) -> None:
        """It has ended: *begun* ran in it just then, *rest* had not begun."""
        ...


class Handle:
    """See above."""

    def __init__(self, settings: CellSettings, board: Board, index: int, keeper: Keeper) -> None:
        """Starts it. Raises ``OSError`` when no process can be started."""
        self.index = index
        self.row: CellRow = board.cell(index)
        self.hand: dict[int, Work] = {}
        """What it was given and has not answered for, in order; the first may have begun."""
        self.is_ready = False
        self.leaving = False
        self.trouble = ""
        """Why it cannot run anything."""
        self.asked_back = False
        """Whether it is about to give back what it has not begun; when it was ``asked`` to."""
        self.jobs = 0
        self.started = self.begun = self.asked = self.idle_since = time.monotonic()
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._notes = Notes.create()
        self._out = bytearray()
        self._flushing = self._writing = False
        self._ear = runners_ear()
        self._settings = settings
        self._chance = 1 + random.uniform(-SPREAD, SPREAD)  # noqa: S311 - a spread, not a secret
        self._process = self._popen(settings.argv, board)
        self.row.pid = self._process.pid
        self._listen()

    def _popen(self, argv: Iterable[str], board: Board) -> "subprocess.Popen[bytes]":
        row = self.row
        row.seq = row.memory_limit = row.killed = row.killed_seq = 0
        row.deadline = row.cpu = 0.0
        row.peak = 0
        try:
            self._socket, theirs = socket.socketpair()
        except OSError:
            self._notes.close()
            raise
        self._socket.setblocking(False)  # noqa: FBT003 - its only parameter
        files = {"--socket": theirs.fileno(), "--board": board.file, "--notes": self._notes.file}
        options = [word for name, file in files.items() for word in (name, str(file))]
        try:
            return subprocess.Popen(  # noqa: S603 - ourselves
                [*argv, *options, "--index", str(self.index), "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=list(files.values()),
                process_group=0,
            )
        except OSError:
            self._socket.close()
            self._notes.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Of its process, and of its group."""
        return self._process.pid

    @property
    def takes(self) -> bool:
        """Whether it may be given a job."""
        return self.is_ready and not self.leaving

    def worn(self, now: float) -> bool:
        """Whether it has lived long enough, or has grown too large. One that does nothing does not grow."""
        settings, busy = self._settings, bool(self.hand) or now - self.idle_since < LATELY
        if now - self.started > settings.age * self._chance:
            return True
        return bool(self.jobs) and busy and resident(self.pid) > settings.memory * self._chance

    def give(self, work: Work) -> None:
        """One more job."""
        attempt = work.attempt
        if not self.hand:
            self.begun = time.monotonic()
        self.hand[work.seq] = work
        self._send(Given(work.seq, attempt.runner, attempt.job))

    def take_back(self) -> None:
        """Have what has not begun given back."""
        if not self.asked_back:
            self.asked_back, self.asked = True, time.monotonic()
            self._send(GiveBack())

    def interrupt(self, work: Work, why: Interruption, reason: str) -> None:
        """Tell one of its jobs to end."""
        self._send(Interrupt(work.seq, why, reason))

    def leave(self) -> None:
        """Have it end after its present job."""
        if not self.leaving:
            self.leaving = True
            self._send(Leave())

    def kill(self) -> None:
        """End it, and all that it has started, now."""
        slay(self._process.pid)

    # --------------------------------------------------------------- talking

    def _listen(self) -> None:
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._watch = -1
        with contextlib.suppress(AttributeError, OSError):  # neither macOS nor an old kernel has it
            self._watch = os.pidfd_open(self._process.pid)
            self._loop.add_reader(self._watch, self.look)

    def _send(self, message: ToCell) -> None:
        """With all else that is said in this turn of the loop."""
        self._out += framed(message)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._out or self._socket.fileno() < 0:
            return
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is gone, which is noticed elsewhere
        del self._out[:sent]
        if bool(self._out) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._socket.fileno(), self._flush)
            else:
                self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        if not self._read() and self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            if self._watch < 0:
                self.look()

    def _read(self) -> bool:
        """Take in what has arrived; whether there may be more to come."""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for message in self._ear.feed(data):
            self._heard(message)
        return bool(data)

    def _heard(self, message: ToRunner) -> None:
        match message:
            case Done(seq):
                self._ended(message, self.hand.pop(seq, None))
            case GivenBack(seqs):
                self.asked_back = False
                self._keeper.back([work for seq in seqs if (work := self.hand.pop(seq, None))])
            case Said(seq, progress):
                if work := self.hand.get(seq):
                    work.attempt.context.unsaved = progress
            case Ready():
                self.is_ready = True
                self._keeper.ready(self)
            case Broken(trouble):
                self.trouble, self.leaving = trouble, True

    def _ended(self, done: Done, work: Work | None) -> None:
        self.begun = self.idle_since = time.monotonic()
        self.jobs += 1
        self.leaving = self.leaving or done.spoilt
        if self.jobs >= self._settings.jobs * self._chance:
            self.leave()
        if work is not None:
            self._keeper.done(self, work, done)

    # ------------------------------------------------------------- its death

    def look(self) -> bool:
        """Whether it has ended; then all is said about it."""
        if self._lives():
            if self._watch < 0:
                self._loop.call_later(EXEC_LOOK, self.look)
            return False
        self.kill()  # what it has started; while it is not reaped, its number is nobody else's
        if self._watch >= 0:
            self._loop.remove_reader(self._watch)
            os.close(self._watch)
        self.drain()
        asked, self.leaving = self.leaving and not self.trouble, True
        row = self.row
        killed, seq = Killed(row.killed), row.seq
        if killed in LIMITS and row.killed_seq != seq:
            killed = Killed.BYSTANDER
        overdue = 0 < row.deadline <= time.monotonic()
        row.pid = 0
        death = Death(self._process.wait(), killed, overdue, self._notes.stack(), asked)
        self._over(death, seq)
        return True

    def _lives(self) -> bool:
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # somebody in this process has reaped it, who does not know what is his
            return False

    def drain(self) -> None:
        """Take in what it has still said."""
        with contextlib.suppress(OSError):  # that there is nothing more, for one
            while data := self._socket.recv(CHUNK):
                for message in self._ear.feed(data):
                    self._heard(message)

    def _over(self, death: Death, seq: int) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        begun = self.hand.pop(seq, None)
        rest, self.hand = list(self.hand.values()), {}
        self._keeper.gone(self, death, begun, rest)
        self._notes.close()

    def last_words(self) -> str:
        """What the job said that it died of."""
        return self._notes.read()
