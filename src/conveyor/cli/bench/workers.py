"""Workers as anybody starts them: ``conveyor worker``, each a process of its own, looked at from outside."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from conveyor.cli.bench.proc import family
from conveyor.cli.bench.tasks import TAPE
from conveyor.core.errors import ConveyorError
from conveyor.store.ground import QUEUE

MEASURING: Final = "CONVEYOR_BENCH_PROCESS"
"""The process that measures, in the environment of its workers."""
PATIENCE: Final = 30.0
"""Seconds that workers get to start, to stop, or to end one more job."""
LOOK: Final = 0.05
QUIET: Final = 0.5
"""Seconds that a worker gets to do, once it is registered, what comes first: it listens, and looks once."""
LAST: Final = 2_000
"""Characters of what a worker said that are shown when it has died."""


class Workers:
    """Some of them, under way."""

    def __init__(self, folder: Path) -> None:
        """None yet; *folder* is for what they write."""
        self.folder = folder
        """Where they keep their tapes."""
        self._said = folder / "said"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, url: str, slots: int, cells: int | None) -> None:
        """One more."""
        # The URL travels in the environment: arguments are there for every user of the host to see.
        environment = os.environ | {"CONVEYOR_URL": url, TAPE: str(self.folder), MEASURING: str(os.getpid())}
        command = [sys.executable, "-m", "conveyor", "worker", "--app", "conveyor.cli.bench.serve:app"]
        command += ["-q", f"{QUEUE}={slots}", "--log-level", "warning"]
        command += [] if cells is None else ["--cells", str(cells)]
        with self._said.open("ab") as said:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=said)  # noqa: S603 - ourselves
        self._processes.append(process)

    @property
    def processes(self) -> Sequence[int]:
        """Their process ids: of the supervisors, and of all that these have started."""
        return [pid for process in self._processes for pid in family(process.pid)]

    def wait(self, done: Callable[[], bool], progress: Callable[[], float]) -> None:
        """Wait until all is *done*. Raises ``ConveyorError`` when a worker dies, or there is no *progress* for long."""
        looked, before = time.monotonic(), -1.0
        while not done():
            self.check()
            if time.monotonic() - looked > PATIENCE:
                looked, last, before = time.monotonic(), before, progress()
                if before <= last:
                    raise ConveyorError(f"no job has ended for {PATIENCE:.0f} s; the measure says nothing")
            time.sleep(LOOK)

    def check(self) -> None:
        """Raises ``ConveyorError`` when one has died."""
        for process in self._processes:
            if process.poll() is not None:
                said = self._said.read_text("utf-8", "replace")[-LAST:]
                raise ConveyorError(f"a worker ended with status {process.returncode}: {said}")

    def stop(self) -> None:
        """Stop them as an operator does, and wait until they are gone."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def working(url: str, count: int, slots: int, cells: int | None, alive: Callable[[], int]) -> Generator[Workers]:
    """*count* workers with *slots* and at most *cells* each, once all are *alive*; stopped when the block ends."""
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        workers = Workers(Path(folder))
        try:
            for _ in range(count):
                workers.start(url, slots, cells)
            workers.wait(lambda: alive() >= count, alive)
            time.sleep(QUIET)
            yield workers
        finally:
            workers.stop()
