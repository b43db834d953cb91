"""Kills cells that are over a deadline, or hold more memory than their job may: what nobody inside can be trusted with.

Whoever has the board can do so: the runner, and its supervisor beside it.
"""

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from conveyor.worker.board import Board, CellRow, Killed

SOON: Final = 0.5
"""Seconds within which a deadline is waited for exactly; what is later is seen at a later look."""
MEMORY_LOOK: Final = 0.1
"""Seconds between looks at the memory of what has a limit."""
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_DEEP: Final = 250
"""Descendants that are looked at."""


class Warden:
    """Of one board."""

    def __init__(self, board: Board) -> None:
        """Has not looked yet."""
        self._board = board

    def look(self) -> float | None:
        """Kill whom it must; gives in how many seconds to look again, if that is soon."""
        now = time.monotonic()
        again = [self._judge(row, now) for row in self._board.cells()]
        return min((seconds for seconds in again if seconds is not None), default=None)

    def _judge(self, row: CellRow, now: float) -> float | None:
        seq, deadline, limit = row.seq, row.deadline, row.memory_limit
        if not seq or row.killed:
            return None
        if deadline and deadline <= now:
            _kill(row, seq, Killed.DEADLINE)
            return None
        if limit and (held := resident(row.pid)) > limit:
            row.peak = held
            _kill(row, seq, Killed.MEMORY)
            return None
        left = deadline - now if deadline and deadline - now < SOON else None
        return min(left or MEMORY_LOOK, MEMORY_LOOK) if limit else left


def _kill(row: CellRow, seq: int, why: Killed) -> None:
    """Unless it has gone on to the next job meanwhile; if it does so from here on, what is written tells."""
    pid = row.pid
    if row.seq == seq and pid:
        row.killed_seq = seq
        row.killed = why
        slay(pid)


def slay(pid: int) -> None:
    """Kill a process group, and those whom its first process has started into a group of their own."""
    found = list(family(pid))[1:]  # now: once their parent is gone, nobody knows whose they are
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter on macOS, for what has ended
        os.killpg(pid, signal.SIGKILL)
    for other in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(other, signal.SIGKILL)


def resident(pid: int) -> int:
    """Bytes that a process and its descendants hold; 0 where the system does not tell, as it does on Linux."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{member}/statm").read_text("ascii").split()[1]) * PAGE
    return total


def family(pid: int) -> Iterator[int]:
    """A process and its descendants, whichever of its threads has started them; itself alone without a ``/proc``."""
    pids = deque([pid])
    for _ in range(_DEEP):
        if not pids:
            return
        member = pids.popleft()
        yield member
        with contextlib.suppress(OSError):  # also without a descriptor to look with: it must be killed all the same
            for task in Path(f"/proc/{member}/task").glob("*/children"):
                with contextlib.suppress(OSError, ValueError):
                    pids += map(int, task.read_text("ascii").split())
