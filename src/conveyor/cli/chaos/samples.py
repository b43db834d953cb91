"""What processes, connections and tables take, looked at from outside while all goes on."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from conveyor.cli.chaos import tree
from conveyor.cli.chaos.keys import clients, keys, memory, on_redis
from conveyor.cli.chaos.processes import Worker
from conveyor.cli.chaos.tables import asking, sqlite, sqlite_file, unfinished

ROLES: Final = ("supervisor", "runner", "cells")
"""By how many ancestors a process of a worker has among them."""
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_THREADS, _PAGES = 17, 21
"""Places in ``/proc/N/stat``, counted from behind the name."""
SERVER: Final = (
    "SELECT pg_database_size(current_database()), pg_total_relation_size('conveyor_job'), count(*) "
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'conveyor'"
)

Sample = Mapping[str, float]


def look(url: str, workers: Mapping[int, Worker]) -> Sample:
    """One sample. Processes are named by their role and the number of their worker; all cells of one are together."""
    found: Counter[str] = Counter()
    file = str(sqlite_file(url).resolve()) if sqlite(url) else None
    for number, worker in workers.items():
        members = worker.members
        for pid in members:
            role = f"{ROLES[min(tree.depth(pid, members), len(ROLES) - 1)]}{number}"
            figures = _process(pid, file)
            found["connections"] += figures.pop("connections", 0)
            found.update({role: bool(figures)} | {f"{role}_{name}": value for name, value in figures.items()})
    return {**found, **_store(url)}


def _process(pid: int, file: str | None) -> dict[str, int]:
    """Of one process, with its connections where they are descriptors on a *file*; nothing of one that has ended."""
    try:
        stat = tree.stat_of(tree.PROC / str(pid))
        open_ = [_target(entry) for entry in (tree.PROC / str(pid) / "fd").iterdir()]
    except OSError:
        return {}
    found = {"rss_bytes": int(stat[_PAGES]) * PAGE, "descriptors": len(open_), "threads": int(stat[_THREADS])}
    return found if file is None else found | {"connections": open_.count(file)}


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # it has just been closed
        return ""


def _store(url: str) -> dict[str, int]:
    left = {"unfinished": unfinished(url)}
    if sqlite(url):
        file = sqlite_file(url)
        log = Path(f"{file}-wal")
        return left | {"database_bytes": file.stat().st_size, "log_bytes": log.stat().st_size if log.exists() else 0}
    if on_redis(url):
        with keys(url) as here:
            return left | {"database_bytes": memory(here), "connections": clients(here, "conveyor")}
    with asking(url) as server:
        (row,) = server.execute(SERVER)
    whole, table, connections = (int(str(value)) for value in row)
    return left | {"database_bytes": whole, "table_bytes": table, "connections": connections}
