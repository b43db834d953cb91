"""When jobs were sent and when they started, written down by workers and read by who measures.

A file for each worker, not a result for each job: it costs the worker less than a microsecond a job, and the store
nothing. Both sides read the monotonic clock, which all processes of a host share.
"""

import os
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

EVERY: Final = 50_000
"""Microseconds that what is noted may lie in memory, while jobs run."""
SIZE: Final = 16
PIECE: Final = SIZE * 65_536
"""Bytes that are read at a time: ten minutes may be millions of jobs."""


def now() -> int:
    """Microseconds of the clock that tapes go by."""
    return time.monotonic_ns() // 1_000


class Recorder:
    """A worker's side."""

    def __init__(self, folder: Path) -> None:
        """Makes this process's file."""
        self._file = os.open(folder / f"{os.getpid()}.tape", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._noted: array[int] = array("q")
        self._written = 0

    def note(self, sent: int) -> None:
        """A job that was sent at *sent* starts now."""
        at = now()
        self._noted.append(sent)
        self._noted.append(at)
        if at - self._written > EVERY:
            self._written = at
            self.flush()

    def flush(self) -> None:
        """Write what has been noted."""
        os.write(self._file, self._noted.tobytes())
        del self._noted[:]


def started(folder: Path) -> int:
    """How many starts have been written; some may be on their way."""
    return sum(file.stat().st_size for file in folder.glob("*.tape")) // SIZE


def read(folder: Path) -> Iterator[tuple[int, int]]:
    """When each job was sent, and when it started: each worker's in their order."""
    for path in folder.glob("*.tape"):
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                noted: array[int] = array("q")
                noted.frombytes(piece)
                yield from zip(noted[::2], noted[1::2], strict=True)
