"""What a job takes: processor time, and memory where the system tells."""

import contextlib
import resource
import time
from pathlib import Path
from typing import Final

from conveyor.core.usage import Usage

LONG: Final = 0.01
"""Seconds from which on it is worth to look at the memory: that takes as long as many a job."""
_STATUS: Final = Path("/proc/self/status")
_FORGET: Final = Path("/proc/self/clear_refs")
_PEAK: Final = "5"
"""What is written there to have the peak forgotten."""


class Meter:
    """Of one process."""

    def __init__(self) -> None:
        """Nothing has run."""
        self._cpu = _cpu()
        self._tells = _STATUS.exists()

    def usage(self, seconds: float, output: str) -> Usage:
        """A job has ended, after so many *seconds*. What a cell does between two is counted with the later one."""
        used = self.so_far(seconds, output)
        self._cpu += used.cpu
        if used.memory:
            with contextlib.suppress(OSError):
                _FORGET.write_text(_PEAK, "ascii")  # what follows begins anew, if the system lets it
        return used

    def so_far(self, seconds: float, output: str = "") -> Usage:
        """What a job has used that goes on, and began so many *seconds* ago."""
        return Usage(_cpu() - self._cpu, self._peak() if self._tells and seconds >= LONG else 0, output)

    @staticmethod
    def _peak() -> int:
        """Bytes."""
        peak = 0
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in _STATUS.read_text("ascii", "replace").splitlines():
                if line.startswith("VmHWM:"):
                    peak = int(line.split()[1]) * 1024
        return peak


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
