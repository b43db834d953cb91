"""Facts that the processes of one runner share without asking each other: a few numbers in shared memory.

Who is stopped, blocked or dead answers no question; what it last wrote here can be read all the same. Each number has
one writer. Times are seconds of the machine's monotonic clock, which all processes of a machine share.
"""

import mmap
import os
import struct
import tempfile
import time
from enum import IntEnum
from typing import Final, Self

CELLS: Final = 512
"""Cells that a runner may have at a time."""
SAFE: Final = 2 / 3
"""A lease that is older than this share of its length is not relied on any more."""
_HEADER: Final = 128
_ROW: Final = 64
_SIZE: Final = _HEADER + CELLS * _ROW
_NUMBER: Final = struct.Struct("=d")
_COUNT: Final = struct.Struct("=q")


class _Time:
    """A time, or a length of it, at a fixed place. Aligned and of eight bytes: nobody reads half of it."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, owner: "_Part", kind: type | None = None) -> float:
        value: float = _NUMBER.unpack_from(owner.memory, owner.start + self._place)[0]
        return value

    def __set__(self, owner: "_Part", value: float) -> None:
        _NUMBER.pack_into(owner.memory, owner.start + self._place, value)


class _Count:
    """A whole number at a fixed place."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, owner: "_Part", kind: type | None = None) -> int:
        value: int = _COUNT.unpack_from(owner.memory, owner.start + self._place)[0]
        return value

    def __set__(self, owner: "_Part", value: int) -> None:
        _COUNT.pack_into(owner.memory, owner.start + self._place, value)


class _Part:
    """A part of the memory, from *start* on."""

    __slots__ = ("memory", "start")

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self.memory = memory
        self.start = start


class Killed(IntEnum):
    """Why a cell was killed by its own worker."""

    NOT = 0
    DEADLINE = 1
    MEMORY = 2
    ORPHANED = 3
    """Its runner has died, or lost its lease."""
    BYSTANDER = 4
    """For what the job that it runs now has not done."""


class CellRow(_Part):
    """One cell. It writes itself what belongs to its present job; nobody else knows when that begins."""

    __slots__ = ()
    pid = _Count(0)
    """Also the number of its process group; 0 while there is none. Written by the runner, as all is between cells."""
    seq = _Count(8)
    """The number of the job that it runs, as its runner counts; 0 while it runs none. Written by the cell."""
    deadline = _Time(16)
    """When what runs in it is to be killed, with all its children; 0 for never."""
    memory_limit = _Count(24)
    """Bytes that it may hold while this job runs; 0 for no limit."""
    killed = _Count(32)
    """Why it was killed, as ``Killed``. Written by who kills it, before that."""
    killed_seq = _Count(40)
    """The job that it was killed for, written before ``killed``: it may have gone on to the next one meanwhile."""
    cpu = _Time(48)
    """Seconds of processor time that the job has used, as of the last look; if it dies, nobody else can tell."""
    peak = _Count(56)
    """Bytes that it has held at most, likewise."""


class Board(_Part):
    """The memory of one runner. It is gone when the last process has closed it."""

    __slots__ = ("file",)
    lease = _Time(0)
    """Seconds that the lease lasts. Written once."""
    renewed = _Time(8)
    """When the renewal was asked for that last succeeded. Written by who renews."""
    loop_tick = _Time(16)
    """When the runner's event loop last ran freely."""
    claim_tick = _Time(24)
    """When its claimer last came by, successful or not."""
    claim_done = _Time(32)
    """When it last had an answer, or had no room to claim for; 0 before. This, not that a process exists, is health."""
    running = _Count(40)
    """Jobs that run, in cells as well."""
    loop_deadline = _Time(48)
    """The first deadline of those that run in the event loop; 0 for none."""

    def __init__(self, file: int) -> None:
        """*file* is the descriptor of an existing board, made by ``create`` here or in a parent."""
        super().__init__(mmap.mmap(file, _SIZE), 0)
        self.file = file

    @classmethod
    def create(cls, lease: float) -> Self:
        """A new one, of which nothing is known but the *lease* in seconds; it counts as just renewed."""
        file = unnamed("conveyor-board")
        try:
            os.truncate(file, _SIZE)
            board = cls(file)
        except BaseException:
            os.close(file)
            raise
        board.lease = lease
        board.renewed = board.loop_tick = board.claim_tick = time.monotonic()
        return board

    @property
    def safe_until(self) -> float:
        """Until when what this runner holds is surely its own, unless the lease is renewed by then."""
        return self.renewed + self.lease * SAFE

    def cell(self, index: int) -> CellRow:
        """The row of one cell, 0 to ``CELLS - 1``."""
        return CellRow(self.memory, _HEADER + index * _ROW)

    def cells(self) -> list[CellRow]:
        """The rows in use."""
        with (
            memoryview(self.memory) as memory,
            memory.cast("q") as numbers,
            numbers[_HEADER // 8 :: _ROW // 8] as column,
        ):
            pids = column.tolist()
        return [self.cell(index) for index, pid in enumerate(pids) if pid]

    def close(self) -> None:
        """Let go of the file. The memory goes with the last one here who knows it: some thread may just be writing."""
        os.close(self.file)


def unnamed(what: str) -> int:
    """The descriptor of a file that is nowhere, and gone when the last process has closed it; *what*, for ``/proc``."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(what)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
