"""Where a measure takes place: a scratch store, the app on it, and the counters around what is measured."""

import contextlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from conveyor.app import Conveyor
from conveyor.cli.bench.figures import Run, completed
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.proc import cpu_seconds, server_cpu_seconds
from conveyor.cli.bench.tasks import Measured, measured
from conveyor.cli.bench.workers import Workers, working
from conveyor.cli.progress import progress
from conveyor.core.errors import ConveyorError
from conveyor.store.ground import Ground, NotHere, Reading
from conveyor.store.openers import open_ground
from conveyor.task import Enqueueable

PER_CALL: Final = 1_000
US: Final = 1_000_000
MS: Final = 1_000
PER_JOB: Final = {"wal_bytes": 1, "transactions": 1, "fsyncs": 1, "dead_tuples": 1}
LEAST: Final = 0.02
"""Seconds of CPU time; some of it is told in steps of 10 ms only, and less than this would be a guess."""
BRIEF: Final = f"less than {LEAST:g} s of CPU time, which is too little to be told: measure more jobs"
CPU: Final = {"worker_cpu": "worker_cpu_us_per_job", "server_cpu": "server_cpu_us_per_job"}


@dataclass(frozen=True)
class Site:
    """A scratch store and its app."""

    settings: Settings
    ground: Ground
    tasks: Measured

    @property
    def app(self) -> Conveyor:
        """The app, in this process."""
        return self.tasks.app

    def working(self, slots: int | None = None, processes: int | None = None) -> AbstractContextManager[Workers]:
        """Workers, as the settings say."""
        count = processes or self.settings.processes
        return working(self.ground.url, count, slots or self.settings.slots, self.settings.cells, self._alive)

    def _alive(self) -> int:
        return sum(runner.alive for runner in self.app.jobs.runners())

    def fill(self, task: Enqueueable[[int], None], jobs: int) -> None:
        """Enqueue *jobs*, many a call."""
        with progress("enqueue", jobs) as advance:
            for start in range(0, jobs, PER_CALL):
                numbers = range(start, min(start + PER_CALL, jobs))
                self.app.enqueue_many(task.bind(number) for number in numbers)
                advance(len(numbers))

    def finished(self, workers: Workers) -> None:
        """Wait until all jobs have ended."""
        workers.wait(lambda: not self.ground.unfinished(), lambda: self.ground.tally().history)

    def counted(self) -> Reading:
        """What the server has counted; our own connections are closed for that."""
        self.app.close()
        return self.ground.counted()

    def moment(self, workers: Workers | None = None) -> Reading:
        """What can be read at any moment, while all goes on."""
        at = Reading({"at": time.perf_counter()}, {})
        server = _read("server_cpu", lambda: sum(map(server_cpu_seconds, self.ground.servers)))
        worker = _read("worker_cpu", partial(_cpu, workers)) if workers else Reading({}, {})
        return joined(at, self.ground.written(), server, worker)

    def check(self, jobs: int) -> Mapping[str, float]:
        """Rows in history, and the seconds from the first claim to the last end. ``ConveyorError`` for lost jobs."""
        tally = self.ground.tally()
        if (tally.unfinished, tally.history, tally.succeeded) != (0, jobs, jobs):
            raise ConveyorError(
                f"of {jobs:,} jobs {tally.succeeded:,} have succeeded, {tally.history:,} are in history and "
                f"{tally.unfinished:,} are unfinished; the measure says nothing"
            )
        return {"history_rows": tally.history, "worked": (tally.ended - tally.began) / US}


@contextmanager
def site(settings: Settings) -> Generator[Site]:
    """A new one, removed when the block ends."""
    with contextlib.closing(open_ground(settings.url)) as ground:
        tasks = measured(ground.url)
        tasks.app.migrate()
        try:
            yield Site(settings, ground, tasks)
        finally:
            tasks.app.close()


def joined(*readings: Reading) -> Reading:
    """All of *readings* in one."""
    values = {name: value for reading in readings for name, value in reading.values.items()}
    return Reading(values, {name: why for reading in readings for name, why in reading.missing.items()})


def per_job(reading: Reading, jobs: int) -> dict[str, float]:
    """What was counted, for each of *jobs*."""
    values = reading.values
    figures = {f"{name}_per_job": values[name] / jobs for name in PER_JOB if name in values}
    return figures | {figure: values[name] / jobs * US for name, figure in CPU.items() if name in values}


def reported(jobs: int, seconds: float, reading: Reading, more: Mapping[str, float], otherwise: str) -> Run:
    """A run of *jobs* in *seconds*; what is not known is so because of *otherwise*, unless *reading* says why."""
    reading = _without_brief(reading)
    missing = {CPU.get(name, f"{name}_per_job"): why for name, why in reading.missing.items()}
    known = {"jobs": jobs, "seconds": seconds, "jobs_per_second": jobs / seconds}
    return completed({**known, **per_job(reading, jobs), **more}, missing, otherwise)


def _without_brief(reading: Reading) -> Reading:
    brief = {name: BRIEF for name in CPU if reading.values.get(name, LEAST) < LEAST}
    return Reading({k: v for k, v in reading.values.items() if k not in brief}, {**reading.missing, **brief})


def _cpu(workers: Workers) -> float:
    return sum(cpu_seconds(process) for process in workers.processes)


def _read(name: str, look: Callable[[], float]) -> Reading:
    try:
        return Reading({name: look()}, {})
    except NotHere as error:
        return Reading({}, {name: str(error)})


Parts = Mapping[str, Run]
"""What a measure gives: runs by the name of its part; one part that is the measure itself is named ''."""
Runs = Sequence[Run]
