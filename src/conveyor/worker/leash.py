"""The tether of a runner that has a supervisor: it asks for leases, hears when to stop, and notices its loss."""

import asyncio
import contextlib
import inspect
import logging
import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from types import CodeType
from typing import Final

from conveyor.core.errors import ConveyorError, StoreUnavailable
from conveyor.core.model import RunnerInfo
from conveyor.store.leases import Leases
from conveyor.task import Definition
from conveyor.worker.board import Board, Killed
from conveyor.worker.execute import Known
from conveyor.worker.framing import framed
from conveyor.worker.heartbeat import Hears
from conveyor.worker.letters import (
    Given,
    Hello,
    Hold,
    Leave,
    LetGo,
    Letter,
    Look,
    Lost,
    Place,
    Refused,
    Rescued,
    Stop,
    inbox,
)
from conveyor.worker.warden import slay

logger = logging.getLogger("conveyor.worker")

EXIT_ORPHAN: Final = 70
"""The exit status of a runner that had to end itself: it had no supervisor, or no lease, and a blocked event loop."""
SLACK: Final = 1.0
"""Seconds that the event loop gets, once the lease has become unsafe, to turn, and to end the jobs itself."""
AT_ONCE: Final = 65_536
FILES: Final = 4


class Leash:
    """See ``heartbeat.Tether``. A thread of its own listens, so that a blocked event loop is noticed, and ended."""

    def __init__(
        self, channel: socket.socket, board: Board, addresses: tuple[str, str | None], leases: Callable[[], Leases]
    ) -> None:
        """*addresses* are those of the store; *leases* for the end alone, when nobody is left to end the lease."""
        self.supervised = True
        self.board = board
        self._channel = channel
        self._addresses = addresses
        self._leases = leases
        self._answers: SimpleQueue[Given | Refused | None] = SimpleQueue()
        self._lost: dict[bytes, Callable[[], None]] = {}
        self._witnesses: dict[bytes, int] = {}
        self._turn = threading.Lock()
        self._alone = threading.Event()
        self._over = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, hears: Hears, known: Known) -> None:
        """See ``Tether``."""
        self._loop = asyncio.get_running_loop()
        self._channel.setblocking(True)  # noqa: FBT003 - as the library has it
        self._say(Hello(*self._addresses, tuple(_place(name, definition) for name, definition in known.items())))
        threading.Thread(target=self._listen, args=[hears], name="conveyor-leash", daemon=True).start()

    def hold(self, runner: bytes, info: RunnerInfo, lost: Callable[[], None]) -> None:
        """See ``Tether``."""
        self._lost[runner] = lost
        match self._asked(Hold(runner, info)):
            case Given():
                return
            case Refused(_, reason, again):
                raise StoreUnavailable(reason) if again else ConveyorError(reason)
            case None:
                raise StoreUnavailable("the supervisor of this runner is gone")

    def let_go(self, runner: bytes, *, clean: bool) -> None:
        """See ``Tether``."""
        self._lost.pop(runner, None)
        if self._asked(LetGo(runner, clean)) is None:
            leases = self._leases()
            try:
                leases.retire(runner, clean=clean)
            except ConveyorError as error:
                logger.warning("the lease could not be ended, so it will run out: %s", error)
            leases.close()
        self._drop(runner)

    def look(self) -> None:
        """See ``Tether``."""
        self._say(Look())

    def close(self) -> None:
        """See ``Tether``."""
        self._over.set()

    def _asked(self, letter: Hold | LetGo) -> Given | Refused | None:
        """The answer; ``None`` when nobody is there to give one."""
        with self._turn:
            if self._alone.is_set():
                return None
            self._say(letter)
            return self._answers.get()

    def _say(self, letter: Letter) -> None:
        with contextlib.suppress(OSError):  # it is gone, which the other direction tells as well
            self._channel.sendall(framed(letter))

    def _listen(self, hears: Hears) -> None:
        arrived = inbox()
        while self._waited():
            try:
                data, files, _, _ = socket.recv_fds(self._channel, AT_ONCE, FILES)
            except OSError:
                data, files = b"", []
            if not data:
                self._orphaned(hears)
                return
            try:
                for letter in arrived.feed(data):
                    self._hear(letter, files, hears)
            except Exception:
                logger.exception("what the supervisor says cannot be understood")
                self._end("it would hear nothing any more")

    def _waited(self) -> bool:
        """Whether something has come; ends the process where it is not safe to go on, and the event loop does not."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        seen = math.inf
        while not poll.poll(max(self.board.safe_until - time.monotonic(), SLACK) * 1_000):
            safe = not self._lost or time.monotonic() < self.board.safe_until
            if self.board.loop_tick < seen < math.inf and not safe:
                self._end("its lease is not renewed and its event loop is blocked")
            # A process that was stopped as a whole has made its event loop late, too: that gets its turn first.
            seen = math.inf if safe else time.monotonic()
        return True

    def _hear(self, letter: Letter, files: list[int], hears: Hears) -> None:
        match letter:
            case Given(runner):
                if files:
                    self._witnesses[runner] = files.pop()
                self._answers.put(letter)
            case Refused():
                self._answers.put(letter)
            case Lost(runner):
                self._drop(runner)
                if runner in self._lost:
                    self._lost.pop(runner)()
            case Stop():
                self._soon(hears.stop)
            case Leave():
                self._soon(hears.leave)
            case Rescued(job, outcome):
                self._soon(lambda: hears.tell(job, outcome))
            case _:
                logger.error("a supervisor has no business to say %s", type(letter).__name__)

    def _orphaned(self, hears: Hears) -> None:
        """Give the event loop the time that the lease leaves, and no more."""
        self._alone.set()
        self._answers.put(None)
        logger.error("the supervisor is gone: this runner gives its jobs back, and ends")
        self._soon(hears.orphan)
        if not self._over.wait(max(self.board.safe_until - time.monotonic(), 0.0)):
            self._end("its supervisor is gone and its event loop is blocked")

    def _soon(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)

    def _drop(self, runner: bytes) -> None:
        file = self._witnesses.pop(runner, None)
        if file is not None:
            os.close(file)

    def _end(self, why: str) -> None:
        logger.critical("this runner ends itself: %s", why)
        for row in self.board.cells():
            row.killed = Killed.ORPHANED
            slay(row.pid)
        os._exit(EXIT_ORPHAN)


def _place(name: str, definition: Definition) -> Place:
    """Where the function is that the user wrote, below what decorators have put around it."""
    code = getattr(inspect.unwrap(definition.function), "__code__", None)
    if not isinstance(code, CodeType):
        return Place(name, "", "", 0)
    return Place(name, code.co_filename, code.co_name, code.co_firstlineno)
