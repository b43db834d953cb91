"""Standard error, for log lines: whoever reads it may be slow, or have stopped, and a worker goes on all the same."""

import io
import logging
import os
import select
import sys
from typing import Final, TextIO

PATIENCE: Final = 1.0
"""Seconds that one line waits for room; while there is none, the lines behind it do not wait at all."""
PIECE: Final = select.PIPE_BUF
"""Bytes that never block where there is any room."""


class Outlet(logging.StreamHandler[TextIO]):
    """Writes lines as they come. What nobody takes is lost, and counted: that is said as soon as somebody does."""

    def __init__(self) -> None:
        """For standard error as it is now."""
        super().__init__(sys.stderr)
        self._file: int | None = None
        self._lost = 0
        try:
            self._file = self.stream.fileno()
        except (io.UnsupportedOperation, ValueError):
            return  # no file, and so nothing that could fill up

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        if self._file is None:
            super().emit(record)
            return
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as the library has it
            self.handleError(record)
            return
        lost, told = self._lost, ""
        if lost:
            told = f"\n({'1 line is' if lost == 1 else f'{lost:,} lines are'} missing here: nobody took them)\n"
        if self._written(self._file, f"{told}{line}\n".encode(errors="backslashreplace")):
            self._lost = 0
        else:
            self._lost += 1

    def _written(self, file: int, data: bytes) -> bool:
        room = select.poll()
        room.register(file, select.POLLOUT)
        patience = 0.0 if self._lost else PATIENCE
        while data and room.poll(patience * 1_000):
            try:
                data = data[os.write(file, data[:PIECE]) :]
            except OSError:  # its reader is gone, or its disk is full: there is no place to complain
                return False
        return not data
