"""What happened, as its own processes wrote it down, and whether that may be (FAULTS.md, "The checker").

It shares no code with Conveyor: it reads its own files, and the database with plain SQL. Each process has a file,
each record is one ``write``: a kill -9 loses at most the record that was not written yet.
"""

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

import psycopg

Kind = Literal["asked", "accepted", "refused", "unknown", "started", "effect", "ended", "raised", "gone"]
"""``asked``: about to enqueue; one of the next three is its answer. ``gone``: the process has died."""


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

    def _opened(self) -> int:
        if self._owner != os.getpid():
            path = self.folder / f"{os.getpid()}-{time.monotonic_ns()}.history"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._owner = os.getpid()  # last: another thread may look meanwhile, and would open a second file
        return self._file


class Row(NamedTuple):
    """One job as the database has it, in either table."""

    job: str
    state: str
    attempt: int
    max_attempts: int
    token: int
    numbers: tuple[int, ...]
    """The attempts that its record names."""


class Tables(NamedTuple):
    """Both tables, read at one moment."""

    hot: Sequence[Row]
    past: Sequence[Row]


def read_tables(url: str) -> Tables:
    """What the database holds."""
    columns = "id, state, attempt, max_attempts, token, attempts"
    texts = [f"SELECT {columns} FROM {table}" for table in ("conveyor_job", "conveyor_history")]
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            file.execute("BEGIN")
            return Tables(*[[_row(*row) for row in file.execute(text)] for text in texts])
        finally:
            file.close()
    with psycopg.connect(url) as server:
        server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return Tables(*[[_row(*row) for row in server.execute(text)] for text in texts])


def _row(id_: bytes | UUID, state: str, attempt: int, limit: int, token: int, record: bytes | None) -> Row:
    job = str(id_ if isinstance(id_, UUID) else UUID(bytes=id_))
    return Row(job, state, attempt, limit, token, tuple(entry["number"] for entry in json.loads(record or b"[]")))


class Run(NamedTuple):
    """One execution. *how* says what it ended by; "gone" is its process, and "started" is not at all."""

    job: str
    attempt: int
    token: int
    pid: int
    start: float
    end: float
    how: Kind


@dataclass(frozen=True)
class Report:
    """What the checker found; empty tuples are good news."""

    accepted: int
    unknown: int
    """Enqueues without an answer: each may be in the database, once."""
    completed: int
    executions: int
    lost: tuple[str, ...]
    """Accepted, and without an outcome."""
    uninvited: int
    """Jobs in the database beyond those that were accepted or may have been."""
    in_both: tuple[str, ...]
    """Jobs in both tables."""
    twice: tuple[str, ...]
    """Jobs whose function ran to its end in more than one attempt, or more than once in one."""
    effects_twice: tuple[str, ...]
    stale: tuple[str, ...]
    """Jobs that were started with a token that was not above all earlier ones."""
    misnumbered: tuple[str, ...]
    """Jobs whose attempts are not counted 1, 2, 3 ... by starts and record together, or beyond their limit."""
    overlaps: tuple[float, ...]
    """Milliseconds in which two executions of one job ran at the same time."""
    recoveries: tuple[float, ...]
    """Seconds from the death of an execution's process to the next start of its job."""


def check(records: Sequence[Record], tables: Tables) -> Report:
    """Compare what the processes wrote with what the database holds."""
    answers = Counter(record.kind for record in records)
    accepted = {record.job for record in records if record.kind == "accepted"}
    ended = {row.job for row in tables.past}
    unknown = answers["asked"] - answers["accepted"] - answers["refused"]
    there = ended | {row.job for row in tables.hot}
    jobs = {job: list(runs) for job, runs in groupby(sorted(runs_of(records)), key=lambda run: run.job)}
    for runs in jobs.values():
        runs.sort(key=lambda run: run.start)
    return Report(
        accepted=len(accepted),
        unknown=unknown,
        completed=len(accepted & ended),
        executions=answers["started"],
        lost=tuple(sorted(accepted - ended)),
        uninvited=max(len(there - accepted) - unknown, 0),
        in_both=tuple(sorted(ended & {row.job for row in tables.hot})),
        twice=tuple(sorted(job for job, runs in jobs.items() if sum(run.how == "ended" for run in runs) > 1)),
        effects_twice=_repeated(record.job for record in records if record.kind == "effect"),
        stale=tuple(job for job, runs in jobs.items() if any(b.token <= a.token for a, b in pairwise(runs))),
        misnumbered=tuple(
            row.job for row in (*tables.hot, *tables.past) if not _well_numbered(row, jobs.get(row.job, []))
        ),
        overlaps=tuple(overlap for runs in jobs.values() for overlap in _overlaps(runs)),
        recoveries=tuple(pause for runs in jobs.values() for pause in _recoveries(runs)),
    )


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


def _run(start: Record, end: float, how: Kind) -> Run:
    return Run(start.job, start.attempt, start.token, start.pid, start.at, end, how)


def _repeated(jobs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(job for job, count in Counter(jobs).items() if count > 1))


def _well_numbered(row: Row, runs: Sequence[Run]) -> bool:
    """A claim that its worker died of spends an attempt, and may never have started: the record has it then."""
    last = row.attempt - (row.state in {"succeeded", "running"})
    numbers = [run.attempt for run in runs]
    return (
        row.attempt <= row.max_attempts
        and row.numbers == tuple(range(1, last + 1))
        and numbers == sorted(numbers)
        and all(number <= row.attempt for number in numbers)
        and (row.state != "succeeded" or row.attempt in numbers)
    )


def _overlaps(runs: Sequence[Run]) -> Iterator[float]:
    for before, after in pairwise(runs):
        if after.start < before.end:
            yield (min(before.end, after.end) - after.start) * 1000


def _recoveries(runs: Sequence[Run]) -> Iterator[float]:
    for before, after in pairwise(runs):
        if before.how == "gone" and after.start > before.end:
            yield after.start - before.end
