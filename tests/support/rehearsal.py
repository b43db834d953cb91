"""An upgrade as it is done in production: processes of two versions on one store, and what they have written down.

The app below is imported by both versions, each from its own source; it uses what both have.
"""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
APP = '''
import os, signal, sys, threading, time
from conveyor import Conveyor, current

app = Conveyor()
runs = os.open(os.environ["REHEARSAL_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@app.task(max_attempts=1)
async def step(sent: float) -> float:
    os.write(runs, f"{current().job.id} {time.time()} {sent}\\n".encode())
    return sent


def produce(rate: int, note: str) -> None:
    """So many jobs a second in batches, ten batches a second, until SIGTERM; what is late is made up for."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    keeps = [step, step.using(keep=0), step.using(keep=3600), step.using(keep=7 * 86400), step.using(keep=None)]
    begin, done = time.time(), 0
    with open(note, "w", buffering=1) as file:
        while not stop.is_set():
            sent = time.time()
            jobs = app.enqueue_many(keeps[n % len(keeps)].bind(sent) for n in range(rate // 10))
            done += 1
            file.write(f"{sent} {time.time() - sent} {' '.join(job.id for job in jobs)}\\n")
            stop.wait(max(0.0, begin + done / 10 - time.time()))


if __name__ == "__main__":
    produce(int(sys.argv[1]), sys.argv[2])
'''


class Run(NamedTuple):
    """One execution of the task."""

    job: str
    at: float
    sent: float


class Batch(NamedTuple):
    """One call of a producer that was answered."""

    at: float
    took: float
    jobs: tuple[str, ...]


def older(commit: str, folder: Path) -> Path:
    """The source of *commit*; needs a clone that has it."""
    told = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=False)
    if told.returncode:
        raise RuntimeError(f"the rehearsal needs commit {commit} and so a whole clone: {told.stderr.decode()}")
    with tarfile.open(fileobj=BytesIO(told.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


class Stage:
    """Where processes of both versions run, and their output is kept."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.runs_file = folder / "runs"
        self.runs_file.touch()
        self._read, self._counted = self.runs_file.open("rb"), 0
        (folder / "stage_app.py").write_text(APP)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, source: Path, *command: str) -> None:
        """Run ``python *command*`` with the package from *source*."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command], stdout=log, stderr=log, cwd=self.folder, env=self._environment(source)
            )

    def worker(self, name: str, source: Path) -> None:
        self.start(name, source, "-m", "conveyor", "worker", "--app", "stage_app", "--log-level", "warning")

    def producer(self, name: str, source: Path, rate: int) -> None:
        self.start(name, source, "stage_app.py", str(rate), str(self.folder / f"{name}.batches"))

    def migrate(self, source: Path) -> str:
        """What ``conveyor migrate`` says."""
        command = [sys.executable, "-m", "conveyor", "migrate", "--app", "stage_app"]
        done = subprocess.run(command, cwd=self.folder, env=self._environment(source), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def end(self, name: str) -> int:
        """Ask it to stop; its exit status."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self._read.close()

    def count(self) -> int:
        """How many times the task has run so far."""
        self._counted += self._read.read().count(b"\n")
        return self._counted

    def runs(self) -> list[Run]:
        lines = (line.split() for line in self.runs_file.read_text().splitlines())
        return [Run(job, float(at), float(sent)) for job, at, sent in lines]

    def batches(self) -> list[Batch]:
        return sorted(batch for file in self.folder.glob("*.batches") for batch in _batches(file))

    def complaints(self) -> list[str]:
        """What any process has said: each has a reason to be silent."""
        files = self.folder.glob("*.log")
        return [f"{file.name}: {line}" for file in files for line in file.read_text().splitlines()]

    def _environment(self, source: Path) -> dict[str, str]:
        ours = {"PYTHONPATH": str(source), "CONVEYOR_URL": self.url, "REHEARSAL_RUNS": str(self.runs_file)}
        return os.environ | ours


def _batches(file: Path) -> Iterator[Batch]:
    for line in file.read_text().splitlines():
        at, took, *jobs = line.split()
        yield Batch(float(at), float(took), tuple(jobs))


def stall(moments: Sequence[float], since: float, until: float) -> float:
    """The longest time between *since* and *until* in which nothing happened, in seconds."""
    inside = sorted(moment for moment in moments if since <= moment <= until)
    return max((after - before for before, after in pairwise([since, *inside, until])), default=0.0)


def told(stage: Stage, marks: dict[str, float]) -> str:
    """The figures, for people."""
    runs, batches = stage.runs(), stage.batches()
    moments = list(marks.items())
    lines = []
    for (name, since), (_, until) in pairwise(moments):
        took = [batch.took for batch in batches if since <= batch.at < until]
        waits = sorted(run.at - run.sent for run in runs if since <= run.at < until)
        if waits:
            lines.append(
                f"{name:32} {until - since:6.1f} s, {len(waits) / (until - since):5.0f} jobs/s, "
                f"longest without a job {stall([run.at for run in runs], since, until) * 1000:5.0f} ms, "
                f"enqueue to run p50 {waits[len(waits) // 2] * 1000:5.1f} max {waits[-1] * 1000:5.0f} ms, "
                f"longest enqueue {max(took, default=0) * 1000:5.0f} ms"
            )
    return "\n".join(lines)


def lost(stage: Stage) -> set[str]:
    """Jobs whose enqueue was answered, and that have not run."""
    ran = {run.job for run in stage.runs()}
    return {job for batch in stage.batches() for job in batch.jobs} - ran


def doubled(stage: Stage) -> list[str]:
    """Jobs that have run more than once."""
    return [job for job, times in Counter(run.job for run in stage.runs()).items() if times > 1]


def now() -> float:
    """The clock by which all is written down."""
    return time.time()
