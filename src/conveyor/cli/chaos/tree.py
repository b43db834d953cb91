"""The processes of a run, as Linux tells of them: a worker may be one process, or a tree of them.

Each bears a mark in its environment, which all that it starts inherit: so those whose parent has died are found too.
"""

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
RUN: Final = "CONVEYOR_CHAOS"
"""The environment's name for the folder of the run, where histories are written."""
WORKER: Final = "CONVEYOR_CHAOS_WORKER"
"""And for which worker it is, or belongs to."""
PATIENCE: Final = 20.0
"""Seconds that processes get to be gone once they are killed."""
LOOK: Final = 0.01
_STATE, _PARENT, _BEGAN = 0, 1, 19


class Member(NamedTuple):
    """One process of a tree."""

    pid: int
    parent: int
    state: str
    """As ``ps`` shows it: T for one that is stopped."""


def supported() -> bool:
    """Whether this system tells of its processes."""
    return (PROC / "self" / "environ").exists()


def family(name: str, value: str) -> dict[int, Member]:
    """The living processes whose environment says that *name* is *value*."""
    mark = f"{name}={value}\0".encode()
    found: dict[int, Member] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (member := _member(entry, mark)) is not None:
            found[member.pid] = member
    return found


def depth(pid: int, members: Mapping[int, Member]) -> int:
    """How many ancestors of a process are of its family; 0 for one that nobody of it has started."""
    count = 0
    while pid in members and members[pid].parent in members:
        pid, count = members[pid].parent, count + 1
    return count


def below(pid: int, members: Mapping[int, Member]) -> list[int]:
    """A process and all that it, and its children, have started."""
    children = [child for child, member in members.items() if member.parent == pid]
    return [pid, *(found for child in children for found in below(child, members))]


def lives(pid: int) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        return stat_of(PROC / str(pid))[_STATE] not in "ZX"
    except OSError:
        return False


def present() -> set[int]:
    """The numbers of all processes."""
    return {int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()}


def began(pid: int) -> float:
    """When a process was started, in seconds since the machine was; 0 for one that is not there."""
    try:
        return int(stat_of(PROC / str(pid))[_BEGAN]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


def stands(pid: int) -> bool:
    """Whether a process is stopped, or has ended."""
    try:
        return stat_of(PROC / str(pid))[_STATE] in "TtZX"
    except OSError:
        return True


def peak(pid: int) -> int:
    """Bytes that a process has had in memory at most."""
    for line in (PROC / str(pid) / "status").read_text("utf-8", "replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def send(pids: Iterable[int], number: signal.Signals) -> list[int]:
    """Send a signal to each; gives those that were there."""
    sent: list[int] = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            sent.append(pid)
    return sent


def end(name: str, value: str) -> list[int]:
    """Kill all that bear a mark, until none is left: some may be starting others just now."""
    killed: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while (members := family(name, value)) and time.monotonic() < deadline:
        killed += send(members, signal.SIGKILL)
        time.sleep(LOOK)
    return killed


def gone(pids: Collection[int]) -> bool:
    """Wait for the end of processes that were killed; whether it comes."""
    deadline = time.monotonic() + PATIENCE
    while there := any(map(lives, pids)):
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK)
    return not there


def _member(entry: Path, mark: bytes) -> Member | None:
    try:
        environment = (entry / "environ").read_bytes() + b"\0"
        if mark not in environment:
            return None
        stat = stat_of(entry)
    except OSError:
        return None  # it has ended, or is somebody else's
    return None if stat[_STATE] in "ZX" else Member(int(entry.name), int(stat[_PARENT]), stat[_STATE])


def stat_of(entry: Path) -> list[str]:
    """The fields behind the name, which may hold spaces and brackets."""
    return (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
