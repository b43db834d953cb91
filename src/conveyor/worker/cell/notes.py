"""What a job says, in memory that a cell shares with its runner: the last words of one that has crashed are there.

The first 16 KiB and the last. Behind them, in the same file, is the stack that Python writes when it crashes.
"""

import mmap
import os
import struct
import tempfile
from typing import Final, Self

from conveyor.core.redact import MARGIN

HEAD: Final = 16 * 1024
TAIL: Final = 16 * 1024
STACK: Final = 8 * 1024
"""Bytes of the stack that are read."""
_TOTAL: Final = struct.Struct("=q")
_START: Final = 64
_SIZE: Final = _START + HEAD + TAIL


class Notes:
    """Of one cell, which writes; its runner reads."""

    def __init__(self, file: int) -> None:
        """*file* is the descriptor of existing notes."""
        self.file = file
        self._memory = mmap.mmap(file, _SIZE)

    @classmethod
    def create(cls) -> Self:
        """New ones, empty."""
        if hasattr(os, "memfd_create"):
            file = os.memfd_create("conveyor-notes")
        else:
            with tempfile.TemporaryFile() as unnamed:
                file = os.dup(unnamed.fileno())
        try:
            os.truncate(file, _SIZE)
            os.lseek(file, _SIZE, os.SEEK_SET)  # where the stack goes; the place travels with the descriptor
            return cls(file)
        except BaseException:
            os.close(file)
            raise

    @property
    def total(self) -> int:
        """Bytes that were written since they were cleared."""
        total: int = _TOTAL.unpack_from(self._memory, 0)[0]
        return total

    def clear(self) -> None:
        """Forget all but the stack."""
        _TOTAL.pack_into(self._memory, 0, 0)

    def write(self, data: bytes) -> None:
        """Add *data*."""
        total = self.total
        first = data[: max(HEAD - total, 0)]
        self._memory[_START + total : _START + total + len(first)] = first
        self._write_tail(data[len(first) :], max(total - HEAD, 0))
        _TOTAL.pack_into(self._memory, 0, total + len(data))

    def _write_tail(self, data: bytes, before: int) -> None:
        """Round and round; *before* bytes have been written there."""
        if not data:
            return
        lost = max(len(data) - TAIL, 0)
        place = (before + lost) % TAIL
        kept = data[lost:]
        straight = kept[: TAIL - place]
        base = _START + HEAD
        self._memory[base + place : base + place + len(straight)] = straight
        rest = kept[len(straight) :]
        self._memory[base : base + len(rest)] = rest

    def read(self) -> str:
        """What was written, its middle left out when it was too much.

        A secret that was cut in half would not be known as one, so what stands at the cut is left out as well.
        """
        total = self.total
        head = self._memory[_START : _START + min(total, HEAD)]
        base, beyond = _START + HEAD, max(total - HEAD, 0)
        if beyond <= TAIL:
            return (head + self._memory[base : base + beyond]).decode(errors="replace")
        place = beyond % TAIL
        tail = self._memory[base + place : base + TAIL] + self._memory[base : base + place]
        left_out = f"\n... {beyond - TAIL + 2 * MARGIN} bytes are left out ...\n"
        return head[:-MARGIN].decode(errors="ignore") + left_out + tail[MARGIN:].decode(errors="ignore")

    def stack(self) -> str:
        """The stack of a process that has crashed; empty for one that was killed."""
        return os.pread(self.file, STACK, _SIZE).decode(errors="replace")

    def close(self) -> None:
        """Let go of them."""
        self._memory.close()
        os.close(self.file)
