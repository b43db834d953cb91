"""A yard: one store, the history of what happens on it, and the processes that work there."""

import contextlib
import os
import signal
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

from conveyor.core import ids
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo, NewJob
from conveyor.store.contract import Store
from tests.faults.tasks import HISTORY
from tests.support.forker import forker
from tests.support.history import History, Record, Report, Run, check, read_tables, runs_of
from tests.support.jobs import QUEUE, see
from tests.support.stores import open_store
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SETTLING = 20.0
"""Seconds that a process or a job gets to do what a test waits for."""


class Process:
    """A process of the yard; what it says goes to a file."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], log: Path, history: History) -> None:
        self.log = log
        self._history = history
        self._url = environment["CONVEYOR_URL"]
        log.touch()
        module, *words = arguments
        self._process = forker().start(module, words, ROOT, environment, log, log)
        self.pid = self._process.pid
        self._gone = False
        self._tree: set[int] = set()

    @property
    def runners(self) -> list[int]:
        """The processes of its runners that are there."""
        return children_of(self.pid)

    @property
    def runner(self) -> int:
        """The process of its only runner, once it is there."""
        until(lambda: len(self.runners) == 1, patience=SETTLING)
        return self.runners[0]

    @property
    def said(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace")

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def says(self, text: str, patience: float = SETTLING) -> None:
        """Wait until it has said *text*."""
        until(lambda: text in self.said or not self.lives, patience=patience)
        assert text in self.said, self.said

    def working(self, patience: float = SETTLING) -> "Process":
        """Wait until it has its lease."""
        self.says(" serves ", patience)
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stops(self) -> None:
        """Stop it, as a debugger would, and wait until it stands.

        Not in the middle of a write to SQLite: its lock would stop everybody else too, which is another story.
        """
        stat = Path(f"/proc/{self.pid}/stat")
        while True:
            self.signal(signal.SIGSTOP)
            until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
            if not locked(self._url):
                return
            self.signal(signal.SIGCONT)

    def ends(self, patience: float = SETTLING) -> int:
        """Wait for its end; gives its exit status."""
        self._tree |= set(descendants(self.pid))
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end within {patience} s:\n{self.said}") from None
        if not self._gone:
            self._gone = True
            until(lambda: not any(map(alive, self._tree)), patience=SETTLING)  # what it has started ends with it
            for pid in self._left() | self._tree:
                self._history.write("gone", pid=pid)
        return status

    def _left(self) -> set[int]:
        """It, and all that have gone without anybody's writing it down: cells of it, or of others."""
        records = self._history.read()
        seen = {record.pid for record in records if record.kind == "started"}
        return {self.pid, *(pid for pid in seen if dead(pid))} - {r.pid for r in records if r.kind == "gone"}

    def kill(self) -> None:
        """Kill it and all that it has started, unless it has ended by itself."""
        tree = descendants(self.pid)
        self._tree |= set(tree)
        if self.lives:
            self.signal(signal.SIGKILL)
        for pid in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.ends()


def children_of(pid: int) -> list[int]:
    """The living children of a process, whichever of its threads has started them."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return [child for child in found if alive(child)]


def alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[0] != "Z"
    return False


def descendants(pid: int) -> list[int]:
    """All that a process has started, and these."""
    return [pid for child in children_of(pid) for pid in (child, *descendants(child))]


def dead(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def locked(url: str) -> bool:
    """Whether somebody holds the write lock of a SQLite file."""
    if not url.startswith("sqlite:"):
        return False
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


class Yard:
    """See above. ``close`` ends all its processes."""

    def __init__(self, url: str, folder: Path, *, through: str = "") -> None:
        """*through* is the address for its processes, if it is another one."""
        self.url = url
        self.through = through or url
        self.folder = folder
        self.store: Store = open_store(url)
        self.history = History(folder)
        self.processes: list[Process] = []

    def start(self, *arguments: str, path: str = "") -> Process:
        """Start ``python -m`` *arguments*, in the surroundings of this yard; modules are looked for in *path* too."""
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT), path]))
        surroundings = {"PYTHONPATH": path, "CONVEYOR_URL": self.through, HISTORY: str(self.folder)}
        log = self.folder / f"{len(self.processes)}.log"
        self.processes.append(Process(arguments, {**os.environ, **surroundings}, log, self.history))
        return self.processes[-1]

    def worker(self, *options: str, app: str = "app") -> Process:
        """Start ``conveyor worker``, and wait until it works."""
        return self.start("conveyor", "worker", "--app", f"tests.faults.tasks:{app}", *options).working()

    def short(self, *options: str) -> Process:
        """Start a worker whose lease is short, and wait until it works."""
        return self.start("tests.support.worker", *options).working()

    def enqueue(
        self,
        task: str,
        *args: object,
        count: int = 1,
        max_attempts: int = 5,
        timeout: float | None = None,
        extras: str | None = None,
    ) -> list[str]:
        """Enqueue *count* jobs, as accepted; their ids."""
        payload = repr([list(args), {}]).replace("'", '"').encode()
        limit = None if timeout is None else round(timeout * 1_000_000)
        plain = NewJob(b"", task, QUEUE, 0, 0, 0, max_attempts, limit, payload, extras=extras)
        jobs = [plain._replace(id=ids.new()) for _ in range(count)]
        for _ in jobs:
            self.history.write("asked")
        self.store.run(self.store.operations.enqueue(jobs))
        names = [ids.text(job.id) for job in jobs]
        for name in names:
            self.history.write("accepted", name)
        return names

    def see(self, job: str) -> JobInfo:
        """The record of *job*."""
        return see(self.store, ids.parse(job))

    def is_(self, job: str, state: State, patience: float = SETTLING) -> JobInfo:
        """Wait until *job* is in *state*."""
        until(lambda: self.see(job).state is state, patience=patience)
        return self.see(job)

    def starts(self, job: str) -> list[Record]:
        """How often *job* was started, and as what."""
        return [record for record in self.history.read() if record.kind == "started" and record.job == job]

    def runs(self, job: str) -> list[Run]:
        """The executions of *job*."""
        return sorted(run for run in runs_of(self.history.read()) if run.job == job)

    def started(self, job: str, times: int = 1) -> None:
        """Wait until *job* has been started so many times."""
        until(lambda: len(self.starts(job)) >= times, patience=SETTLING)

    def dead(self) -> int:
        """How many runners have lost their lease and are not forgotten yet."""
        return self.store.run(self.store.operations.dead_runners())

    def report(self) -> Report:
        """What the checker says."""
        return check(self.history.read(), read_tables(self.url))

    def close(self) -> None:
        """End all, and show what they said."""
        for process in self.processes:
            process.kill()
            print(f"--- {process.log.name}: pid {process.pid}\n{process.said}")  # noqa: T201 - pytest shows it when the test failed
        self.store.close()
