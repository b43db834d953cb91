"""What Linux tells of processes, others' too: time on the CPU, and memory."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conveyor.store.ground import NotHere, Server

PROC: Final = Path("/proc")
NO_PROC: Final = "this system has no /proc to read that from"
NANOSECONDS: Final = 1_000_000_000
TRIES: Final = 10
"""A child that ends while they are counted would be counted nowhere."""
_PARENT, _USER, _REAPED = 1, 11, 13
"""Places in ``/proc/N/stat``, counted from behind the process's name; of those that have two figures, the first."""


def cpu_seconds(process: int) -> float:
    """CPU time of *process* and its threads so far. Raises ``NotHere`` when it cannot be read."""
    return _used(process, _stat(process))


def server_cpu_seconds(server: Server) -> float:
    """CPU time of all processes of *server* so far, those that have ended too.

    Raises ``NotHere`` when the server runs on another host, or its processes cannot be read.
    """
    process = _here(server)
    parent = process if server.alone else int(_stat(process)[_PARENT])
    for _ in range(TRIES):
        stat = _stat(parent)
        used = _used(parent, stat) + sum(_used(child, fields) for child, fields in _children(parent).items())
        if _ticks(_stat(parent), _REAPED) == _ticks(stat, _REAPED):
            return used + _ticks(stat, _REAPED) / _tick_rate()
    raise NotHere("the server's processes come and go too fast to be counted")


def pss_bytes(process: int) -> int:
    """Memory of *process*, what it shares with others divided among them. Raises ``NotHere``."""
    for line in _read(process, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise NotHere(NO_PROC)


def family(process: int) -> Sequence[int]:
    """*process* and all that it has started, and these."""
    found, left = [process], [process]
    while left:
        children = list(_children(left.pop()))
        found += children
        left += children
    return found


def _here(server: Server) -> int:
    """The process of *server*, when it is the one of that number on this host."""
    there = "the server's processes are not to be seen from here"
    try:
        title = _read(server.process, "cmdline")
    except NotHere:
        raise NotHere(there) from None
    if server.program not in title or server.title not in title:
        raise NotHere(there)
    return server.process


def _children(parent: int) -> dict[int, Sequence[str]]:
    found: dict[int, Sequence[str]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(NotHere):  # it has just ended, and its parent counts it
                stat = _stat(int(entry.name))
                if int(stat[_PARENT]) == parent:
                    found[int(entry.name)] = stat
    return found


def _used(process: int, stat: Sequence[str]) -> float:
    """Seconds. The scheduler's own account is exact, but forgets threads that have ended, and is not everywhere."""
    exact = 0
    with contextlib.suppress(NotHere, OSError):
        threads = [int(task.name) for task in PROC.joinpath(str(process), "task").iterdir()]
        exact = sum(int(_read(process, f"task/{thread}/schedstat").split()[0]) for thread in threads)
    return max(exact / NANOSECONDS, _ticks(stat, _USER) / _tick_rate())


def _tick_rate() -> int:
    return os.sysconf("SC_CLK_TCK")


def _ticks(stat: Sequence[str], place: int) -> int:
    return int(stat[place]) + int(stat[place + 1])


def _stat(process: int) -> Sequence[str]:
    """The fields behind the name, which may hold spaces and brackets."""
    return _read(process, "stat").rpartition(")")[2].split()


def _read(process: int, name: str) -> str:
    if not PROC.joinpath("self", "stat").exists():
        raise NotHere(NO_PROC)
    try:
        return PROC.joinpath(str(process), name).read_text("utf-8", "replace")
    except OSError as error:
        raise NotHere(f"/proc/{process}/{name} cannot be read: {error.strerror}") from None
