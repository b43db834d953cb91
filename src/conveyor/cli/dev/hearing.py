"""Signals that are counted instead of acted upon, and pauses that they end."""

import contextlib
import os
import select
import signal
from types import FrameType
from typing import Final, Self

STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals(contextlib.AbstractContextManager["Signals"]):
    """While entered, a signal to stop adds one to ``count``; it and the end of a child end a pause."""

    def __init__(self) -> None:
        """Nothing has been heard."""
        self.count = 0

    def __enter__(self) -> Self:
        """For the main thread only."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before = {number: signal.signal(number, self._hear) for number in STOPS}
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _wake)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        """As it was."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def pause(self, seconds: float) -> bool:
        """Wait, but not over a signal; gives whether one to stop has come, now or before."""
        # Python runs a handler between two steps of ours: one that comes before select() has left a byte in the pipe.
        if select.select([self._read], [], [], max(seconds, 0.0))[0]:
            os.read(self._read, 4096)
        return self.count > 0

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


def _wake(_number: int, _frame: FrameType | None) -> None:
    """What it has to do, the wake-up file does."""
