"""What is measured from outside, alike for all: CPU of process trees, and what a server spends. Linux only."""

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

TICK = os.sysconf("SC_CLK_TCK")


class Spent(NamedTuple):
    """What the server has spent so far; two of them make a difference."""

    cpu: float
    """Seconds, of all of its processes."""
    counts: Mapping[str, float]
    """What else this kind of server counts, by the endings of keys in tables.ROWS."""

    def since(self, before: "Spent") -> "Spent":
        """What was spent between *before* and this."""
        counts = {name: value - before.counts[name] for name, value in self.counts.items()}
        return Spent(self.cpu - before.cpu, counts)

    def each(self, key: str, jobs: int) -> Mapping[str, float]:
        """The counts for one of *jobs*, by the keys of tables.ROWS that begin with *key*."""
        return {f"{key}_{name}": value / jobs for name, value in self.counts.items()}


def cpu_of(*pids: int) -> float:
    """Seconds of CPU of processes and all their descendants, those that have ended and been waited for included."""
    return sum(_cpu_of_one(member) for pid in pids for member in _tree(pid)) / TICK


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = thread.read_text().split()
        except OSError:  # it ended meanwhile
            continue
        for child in children:
            yield from _tree(int(child))


def _cpu_of_one(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The name, in parentheses, may hold anything. Times are counted from it: of the process, and of what it waited for.
    return sum(map(int, text.rpartition(")")[2].split()[11:15]))


class Meter(Protocol):
    """Reads what a server spends."""

    def spent(self) -> Spent:
        """What it has spent so far."""
        ...


def about() -> dict[str, str]:
    """What the machine is."""
    cores = len(os.sched_getaffinity(0))
    return {"cores": str(cores), "processor": _processor(), "system": f"{platform.system()} {platform.release()}"}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
