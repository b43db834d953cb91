"""Standard error, for log lines: whoever reads it may be slow, or have stopped, and a worker goes on all the same."""

import contextlib
import io
import logging
import os
import select
import socket
import stat
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, TextIO

PATIENCE: Final = 1.0
"""Seconds that one line waits for room, however long it is; while lines are lost, those behind them do not wait."""
PIECE: Final = select.PIPE_BUF
"""Bytes that arrive in one piece, whoever else writes."""
OPENED: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"  # what this process has open


class Way(NamedTuple):
    """How lines get out."""

    file: int
    write: Callable[[memoryview], int]
    close: Callable[[], None]


class Outlet(logging.StreamHandler[TextIO]):
    """Writes lines as they come. What nobody takes is lost, and counted: that is said as soon as somebody does."""

    def __init__(self) -> None:
        """For standard error as it is now."""
        super().__init__(sys.stderr)
        self._way: Way | None = None
        self._file, self._lost = -1, 0
        self._closed = sys.stderr is None  # since before we were started: there are no lines
        if self._closed:
            return
        with contextlib.suppress(io.UnsupportedOperation, ValueError):  # no file, and so nothing that could fill up
            self._file = self.stream.fileno()
            self._way = _own(self._file)

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        if self._way is None:
            if not self._closed:
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
        if self._written(self._way, f"{told}{line}\n".encode(errors="backslashreplace")):
            self._lost = 0
        else:
            self._lost += 1

    def close(self) -> None:
        """What is logged even later takes the plain way."""
        self.acquire()
        try:
            if self._way is not None:
                self._way.close()
                self._way = _plain(self._file)
            super().close()
        finally:
            self.release()

    def _written(self, way: Way, data: bytes) -> bool:
        end = time.monotonic() + (0.0 if self._lost else PATIENCE)
        room = select.poll()
        room.register(way.file, select.POLLOUT)
        rest = memoryview(data)
        while rest:
            left = max(end - time.monotonic(), 0.0)
            if not room.poll(left * 1_000):
                return False
            try:
                rest = rest[way.write(rest[:PIECE]) :]
            except BlockingIOError:  # another process was faster
                if not left:
                    return False
            except OSError:  # its reader is gone, or its disk is full: there is no place to complain
                return False
        return True


def _own(file: int) -> Way:
    """A way that never blocks, although others write to the same *file*: between a look for room and a write they may.

    ``O_NONBLOCK`` belongs to what is open, and others have it open too, who do not expect it: so it is opened once
    more, or asked for with each write. A file on a disk is not, for that would begin at its start; it does not fill up.
    """
    with contextlib.suppress(OSError):  # not allowed, as for a pipe of another user: the plain way is there
        kind = os.fstat(file).st_mode
        if stat.S_ISSOCK(kind):
            other = socket.socket(fileno=os.dup(file))
            if other.gettimeout() is not None:  # a default of the program's: it would be waited for
                other.settimeout(None)

            def send(data: memoryview) -> int:
                return other.send(data, socket.MSG_DONTWAIT)

            return Way(other.fileno(), send, other.close)
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            again = os.open(f"{OPENED}/{file}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            return Way(again, partial(os.write, again), partial(os.close, again))
    return _plain(file)


def _plain(file: int) -> Way:
    """*file* as it is."""
    return Way(file, partial(os.write, file), lambda: None)
