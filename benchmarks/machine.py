"""What is measured from outside, alike for all: CPU of process trees, and the server's WAL. Linux only."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.support.postgres import PostgresServer

TICK = os.sysconf("SC_CLK_TCK")
SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")


class Spent(NamedTuple):
    """What the server has spent so far; two of them make a difference."""

    cpu: float
    """Seconds, of all of its processes."""
    wal: int
    """Bytes."""

    def since(self, before: "Spent") -> "Spent":
        """What was spent between *before* and this."""
        return Spent(self.cpu - before.cpu, self.wal - before.wal)


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


class Meter:
    """Reads what a server spends."""

    def __init__(self, server: PostgresServer) -> None:
        if server.process is None:
            raise RuntimeError("the server is not started")
        self._pid = server.process.pid
        self._connection = psycopg.connect(server.url(), autocommit=True)

    def spent(self) -> Spent:
        """What it has spent so far."""
        row = self._connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
        return Spent(cpu_of(self._pid), int(row[0]) if row else 0)

    def settings(self) -> dict[str, str]:
        """The settings that decide what the figures are worth."""
        rows = (self._connection.execute(f"SHOW {name}").fetchone() for name in SHOWN)
        return {name: str(row[0]) for name, row in zip(SHOWN, rows, strict=True) if row}

    def close(self) -> None:
        """Leave the server."""
        self._connection.close()


def about() -> dict[str, str]:
    """What the machine is."""
    cores = len(os.sched_getaffinity(0))
    return {"cores": str(cores), "processor": _processor(), "system": f"{platform.system()} {platform.release()}"}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
