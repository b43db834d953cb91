"""What the kernel says of a process, where there is a ``/proc``; nothing is known elsewhere."""

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Final

STOPPED: Final = frozenset("Tt")
"""States of a process that a signal, or a debugger, has stopped."""
_SUBREAPER: Final = 36
_STATE, _USER, _SYSTEM = 0, 11, 12
"""Fields behind the name."""


def stopped(pid: int) -> bool:
    """Whether it stands still, and does so because it was told to."""
    with contextlib.suppress(OSError, IndexError):
        return _fields(pid)[_STATE] in STOPPED
    return False


def processor_time(pid: int) -> float:
    """Seconds that a process has computed for, without its children."""
    with contextlib.suppress(OSError, IndexError):
        fields = _fields(pid)
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _fields(pid: int) -> list[str]:
    """What stands behind the name, which may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent dies, so that none is left as a zombie; Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def reap(own: frozenset[int]) -> None:
    """Take note of the ends of adopted children; those of *own* are for whoever started them.

    As process 1 of a container nobody else would, and each would stay in the process table.
    """
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                return  # it hides those behind it until its end was noted; they come next time
            os.waitpid(ended.si_pid, os.WNOHANG)
