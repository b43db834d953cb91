"""One runner's process, as its supervisor has it."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from conveyor.worker.board import Board, Killed, unnamed
from conveyor.worker.framing import framed
from conveyor.worker.letters import Hello, Letter, Place, ToRunner, inbox
from conveyor.worker.supervisor.look import UNREADY_AFTER, Facts
from conveyor.worker.supervisor.proc import stopped
from conveyor.worker.warden import Warden, resident, slay

logger = logging.getLogger("conveyor.worker")

AT_ONCE: Final = 65_536


class Child:
    """It has a process group of its own, so that Ctrl+C reaches it through us, and once."""

    def __init__(self, name: str, lease: float) -> None:
        """*name* is for the log; *lease* in seconds."""
        self.name = name
        with contextlib.ExitStack() as undo:
            self.board = Board.create(lease)
            undo.callback(self.board.close)
            self.stack = unnamed("conveyor-stacks")
            undo.callback(os.close, self.stack)
            self._ours, self._theirs = socket.socketpair()
            undo.pop_all()
        self.begun = time.monotonic()
        self.warden = Warden(self.board)
        self.hello: Hello | None = None
        self.runners: set[bytes] = set()
        """The names under which it has a lease."""
        self.queues: Mapping[str, int] = {}
        """What it serves, and the slots of each."""
        self.wanted = True
        """Whether it is to be replaced when it ends."""
        self.at_work = asyncio.Event()
        """It has its first lease."""
        self.over = asyncio.Event()
        """It has ended."""
        self.retired = 0.0
        """When it was told to end because it claims nothing; 0 when it was not."""
        self.told = 0.0
        """When its blocked event loop was last told of."""
        self._unsent: deque[tuple[bytes, int | None]] = deque()
        self._waits = False
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid if self._process else 0

    @property
    def places(self) -> Sequence[Place]:
        """Where its tasks are written."""
        return self.hello.places if self.hello else ()

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; ``None`` while it lives."""
        return self._process.returncode if self._process else None

    @property
    def ready(self) -> bool:
        """Whether it has a lease, and has claimed lately."""
        return bool(self.runners) and self.status is None and self.claim_age < UNREADY_AFTER

    @property
    def claim_age(self) -> float:
        """Seconds since its last claim that was answered, or for which there was no room; infinite before the first."""
        done = self.board.claim_done
        return time.monotonic() - done if done else math.inf

    @property
    def memory(self) -> int | None:
        """Bytes of it and its cells."""
        return resident(self.pid) or None

    async def start(self, command: Sequence[str]) -> None:
        """Start ``python command FILES``: the numbers of the socket, the board and the file for stacks."""
        files = (self._theirs.fileno(), self.board.file, self.stack)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, *command, *map(str, files)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=files,
                process_group=0,
            )
        finally:
            self._theirs.close()
        self._ours.setblocking(False)  # noqa: FBT003 - as the library has it

    async def letters(self, hear: Callable[[Letter], object]) -> None:
        """Call *hear* for each letter, until there are no more."""
        arrived, loop = inbox(), asyncio.get_running_loop()
        with contextlib.suppress(ConnectionResetError):
            while data := await loop.sock_recv(self._ours, AT_ONCE):
                for letter in arrived.feed(data):
                    hear(letter)

    def say(self, letter: ToRunner, witness: int | None = None) -> None:
        """Send it, with a share of the file *witness*, as soon as there is room; one that is dead hears nothing."""
        self._unsent.append((framed(letter), None if witness is None else os.dup(witness)))
        self._flush()

    def _flush(self) -> None:
        while self._unsent and not self.over.is_set():
            data, witness = self._unsent[0]
            try:
                sent = socket.send_fds(self._ours, [data], [] if witness is None else [witness])
            except BlockingIOError:
                break
            except OSError as error:
                logger.debug("runner %s takes no letter: %s", self.name, error)
                sent = len(data)
            if witness is not None:
                os.close(witness)
            self._unsent[0] = (data[sent:], None)
            if sent == len(data):
                self._unsent.popleft()
        self._wait_for_room(bool(self._unsent) and not self.over.is_set())

    def _wait_for_room(self, wanted: bool) -> None:  # noqa: FBT001 - a fact, not a switch
        if wanted is not self._waits:
            self._waits = wanted
            loop = asyncio.get_running_loop()
            if wanted:
                loop.add_writer(self._ours, self._flush)
            else:
                loop.remove_writer(self._ours)

    async def ended(self) -> int:
        """Wait for its end; gives the exit status, negative for a signal."""
        return await self._process.wait() if self._process else 0

    def kill(self) -> None:
        """Kill it, and first its cells: what they run must not outlive its lease."""
        self.kill_cells()
        if self.status is None and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def kill_cells(self) -> None:
        """Kill its cells, and all that these have started."""
        for row in self.board.cells():
            row.killed = Killed.ORPHANED
            slay(row.pid)

    def facts(self) -> Facts:
        """What is to be seen of it now."""
        board, now = self.board, time.monotonic()
        return Facts(
            stopped=stopped(self.pid),
            unsafe=now > board.safe_until,
            loop_age=now - board.loop_tick,
            claim_age=now - board.claim_tick,
            running=board.running,
            overdue=now - board.loop_deadline if board.loop_deadline else -1.0,
        )

    def close(self) -> None:
        """Let go of what is shared with it."""
        self._wait_for_room(False)  # noqa: FBT003 - as above
        self._ours.close()
        self._theirs.close()
        self.board.close()
        os.close(self.stack)
