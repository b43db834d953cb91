"""What happened, as the processes that took part wrote it down.

Each process has a file, each record is one ``write``: a kill -9 loses at most the record that was not written yet.
Nothing here is shared with the rest of Conveyor: what judges it must not trust it.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal[
    "asked", "accepted", "refused", "unknown", "started", "effect", "ended", "raised", "gone", "stopped", "resumed"
]
"""``asked``: about to enqueue; one of the next three is its answer. ``gone``: the process has died. ``stopped`` and
``resumed``: it was frozen, and thawed."""


class Record(NamedTuple):
    """One line of a file."""

    kind: Kind
    at: float
    """Seconds of the machine's monotonic clock: one clock for all its processes."""
    wall: float
    pid: int
    job: str = ""
    attempt: int = 0
    token: int = 0


class History:
    """Writes records from any process and thread, and reads all of them."""

    def __init__(self, folder: Path) -> None:
        """*folder* is where the files are."""
        self.folder = folder
        self._file = -1
        self._owner = 0

    def write(self, kind: Kind, job: str = "", attempt: int = 0, token: int = 0, *, pid: int = 0) -> None:
        """One record, of this process unless *pid* names another."""
        record = Record(kind, time.monotonic(), time.time(), pid or os.getpid(), job, attempt, token)
        os.write(self._opened(), json.dumps(record).encode() + b"\n")

    def read(self) -> list[Record]:
        """The records of all processes in the order of time; a last line without its end was never written."""
        found: list[Record] = []
        for path in self.folder.glob("*.history"):
            found += [Record(*json.loads(line)) for line in path.read_bytes().split(b"\n")[:-1]]
        return sorted(found, key=lambda record: record.at)

    def writers(self) -> set[int]:
        """The processes that have written."""
        return {int(path.name.partition("-")[0]) for path in self.folder.glob("*.history")}

    def _opened(self) -> int:
        if self._owner != os.getpid():
            path = self.folder / f"{os.getpid()}-{time.monotonic_ns()}.history"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._owner = os.getpid()  # last: another thread may look meanwhile, and would open a second file
        return self._file


class Run(NamedTuple):
    """One execution. *how* says what it ended by; "gone" is its process, and "started" is not at all."""

    job: str
    attempt: int
    token: int
    pid: int
    start: float
    end: float
    how: Kind


def runs_of(records: Iterable[Record]) -> Iterator[Run]:
    """The executions; one that nobody saw the end of lasts for ever."""
    open_: dict[tuple[int, str, int], Record] = {}
    for record in records:
        key = (record.pid, record.job, record.token)
        if record.kind == "started":
            open_[key] = record
        elif record.kind in {"ended", "raised"} and key in open_:
            yield _run(open_.pop(key), record.at, record.kind)
        elif record.kind == "gone":
            for cut in [key for key in open_ if key[0] == record.pid]:
                yield _run(open_.pop(cut), record.at, record.kind)
    for record in open_.values():
        yield _run(record, float("inf"), record.kind)


def running(records: Iterable[Record], jobs: Container[str] | None = None) -> set[int]:
    """The processes that run any job, or any of *jobs*."""
    return {run.pid for run in runs_of(records) if run.how == "started" and (jobs is None or run.job in jobs)}


def again(records: Iterable[Record]) -> set[str]:
    """The jobs that were started more than once."""
    return {job for job, starts in Counter(run.job for run in runs_of(records)).items() if starts > 1}


def _run(start: Record, end: float, how: Kind) -> Run:
    return Run(start.job, start.attempt, start.token, start.pid, start.at, end, how)
