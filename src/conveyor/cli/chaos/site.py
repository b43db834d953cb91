"""Where a scenario takes place: a scratch store, workers and a load on it, and what was found."""

import contextlib
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from conveyor.cli.chaos import tree
from conveyor.cli.chaos.checker import Report, check, violations
from conveyor.cli.chaos.freezer import Signals, Stopping
from conveyor.cli.chaos.history import History, running
from conveyor.cli.chaos.hits import Hits
from conveyor.cli.chaos.keys import Scratch, keys, on_redis
from conveyor.cli.chaos.options import Settings
from conveyor.cli.chaos.processes import LAST, LOOK, SELDOM, SETTLING, Process, Watch, Worker, until, within
from conveyor.cli.chaos.sending import Enqueue, enqueue
from conveyor.cli.chaos.sound import unsound
from conveyor.cli.chaos.tables import (
    Row,
    Tables,
    locked,
    make_effects,
    read_effects,
    registered,
    sqlite,
    sqlite_file,
)
from conveyor.cli.chaos.tasks import PROMISES, Tasks, made
from conveyor.cli.chaos.view import View
from conveyor.core.errors import ConveyorError
from conveyor.store.openers import open_ground

LEASE: Final = 10.0
"""Seconds; half of what is usual."""
SHORT: Final = 3.0
"""Where workers are to be taken for dead: so short that much happens in little time. On a machine that is too busy, a
living one may lose it as well."""
SLOTS: Final = 10
GRACE: Final = 3.0
DRAIN: Final = 60.0
"""Seconds within which all is done once there are no faults any more,"""
PACE: Final = 50.0
"""and one more for each so many jobs that have piled up."""
TOLERANCE: Final = 0.2
"""Seconds by which the death of a process may be seen too late."""
RATE: Final = 60.0


@dataclass
class Found:
    """What a scenario came to."""

    report: Report | None = None
    faults: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    series: list[Mapping[str, float]] = field(default_factory=list[Mapping[str, float]])
    """What was sampled; ``at`` is the second."""


class Site(View):
    """See above."""

    def __init__(self, url: str, folder: Path, settings: Settings, say: Callable[[str], None]) -> None:
        """*url* is the scratch store's, *folder* for what processes write; *say* tells people how far it is."""
        self.url, self.folder = url, folder
        self.through = url
        """Where workers and producers find the store."""
        self.kept = contextlib.ExitStack()
        """What is to be closed with all the rest."""
        self.lease, self.slots = LEASE, SLOTS
        self.chance = random.Random(settings.seed)  # noqa: S311 - a seed gives the same choices again
        self.history = History(folder)
        self.tasks: Tasks = made(url, folder)
        self.found = Found()
        self.hits = Hits()
        self.workers: list[Worker] = []
        self._settings = settings
        self._say = say
        self._watch = Watch(self.history)
        self._guard = Process(["conveyor.cli.chaos.guard"], self.environment(), folder / "guard.log")
        self._loads: list[Process] = []
        self._started = 0
        self._begun = time.monotonic()

    @property
    def file(self) -> Path:
        """The file of the store, where it is one."""
        return sqlite_file(self.url)

    def prepare(self) -> None:
        """Make the tables."""
        self.tasks.app.migrate()
        make_effects(self.url)

    def forward(self, url: str) -> None:
        """The store is at *url* from now on, and what was the store has its outbox."""
        self.tasks.app.close()
        self.outbox, self.url, self.through = self.url, url, url
        self.tasks = made(url, self.folder, outbox=self.outbox)

    # ------------------------------------------------------- what goes on

    def rounds(self, least: int = 1) -> Iterator[int]:
        """The numbers of the rounds: as many as were asked for, or until the time is over, at *least* some."""
        begun, number = time.monotonic(), 0
        while self._more(number, least, time.monotonic() - begun):
            number += 1
            yield number
            self._say(f"round {number}, {len(self.found.violations)} violations")

    def _more(self, number: int, least: int, lasted: float) -> bool:
        if self._settings.rounds is not None:
            return number < self._settings.rounds
        return number < least or lasted < self._settings.seconds

    @property
    def seconds(self) -> float:
        """How long the faults are to go on."""
        return self._settings.seconds

    def pause(self, seconds: float) -> None:
        """Let the others work."""
        time.sleep(seconds)

    def worker(self, *options: str, app: str = "app", before: Sequence[str] = (), **environment: str) -> Worker:
        """Start one more worker, by what stands *before*, with more in its *environment*."""
        words = ["--app", f"conveyor.cli.chaos.serve:{app}", "-q", f"default={self.slots}", "--grace", f"{GRACE:g}"]
        words += ["--lease", f"{self.lease:g}", "--beat", f"{self.lease / 5:g}", *options]
        self._started += 1
        self.workers.append(Worker(self._started, words, self.environment() | environment, self.folder, before))
        return self.workers[-1]

    def working(self, worker: Worker) -> None:
        """Wait until a worker has its lease, and is known."""

        def known() -> bool:
            return bool(registered(self.url) & worker.members.keys())

        until(known, SETTLING, lambda: f"a worker does not begin to work ({worker.said[-LAST:]})")

    def load(self, rate: float = RATE, slow: float = 0.3, *more: str, **environment: str) -> Process:
        """Start to enqueue; *more* are options of the producer, which may have more in its *environment*."""
        seed = str(self.chance.randrange(1_000_000))
        words = ["conveyor.cli.chaos.producer", "--rate", f"{rate:g}", "--slow", f"{slow:g}", "--seed", seed, *more]
        log = self.folder / f"load-{self.chance.randrange(1_000_000)}.log"
        self._loads.append(Process(words, self.environment() | environment, log))
        return self._loads[-1]

    def enqueue(self, call: Enqueue) -> str:
        """Enqueue one job; gives its id."""
        return enqueue(call, self.history)

    def unload(self) -> None:
        """Enqueue no more; whoever did must have come to no harm."""
        for load in list(self._loads):
            self.relieve(load)

    def relieve(self, load: Process) -> None:
        """Have one enqueue no more."""
        load.terminate()
        if (status := load.ends()) not in {0, -signal.SIGTERM}:  # it may have had no time to begin
            raise ConveyorError(f"who enqueues has ended with {status} ({load.said[-LAST:]})")
        self._loads.remove(load)

    # -------------------------------------------------------------- faults

    def injected(self, what: str = "") -> None:
        """Count one fault."""
        self.hits.add(what)

    def kill(self, worker: Worker, part: str = "whole") -> None:
        """Kill a worker, or a part of it; what lived through that part alone must be gone soon after."""
        if part == "whole":
            while members := worker.members:
                self._watch.gone(tree.send(members, signal.SIGKILL))
                time.sleep(LOOK)
            worker.ends()
            return
        members = worker.members
        there = [pid for pid in worker.parts().get(part, ()) if pid in members]
        busy = running(self.history.read())  # the death of a cell that runs nothing is no fault
        victim = self.chance.choice([pid for pid in there if pid in busy] or there or [worker.pid])
        family = tree.below(victim, members)
        self._watch.gone(tree.send([victim], signal.SIGKILL))
        if not within(lambda: not any(map(tree.lives, family)), self.lease + SETTLING):
            self.wrong(f"a {part} was killed, and what it had started lived on")

    def killed(self, process: Process) -> None:
        """Kill a process of one."""
        self._watch.gone(tree.send([process.pid], signal.SIGKILL))
        process.ends()
        if process in self._loads:
            self._loads.remove(process)

    def freeze(self, worker: Worker, part: str = "whole") -> list[int]:
        """Stop a worker, or a part of it; gives what stands."""
        return self.suspend(Signals(), lambda: worker.parts().get(part, []))

    def suspend(self, by: Stopping, pids: Callable[[], Collection[int]]) -> list[int]:
        """Stop *pids* at one moment; gives what stands.

        Not in the middle of a write to SQLite: its lock would stop everybody else, which is another scenario.
        """
        for _ in range(100):
            frozen = by.freeze(pids)
            if not sqlite(self.url) or not locked(self.file):
                for pid in frozen:
                    self.history.write("stopped", pid=pid)
                return frozen
            by.thaw(frozen)
            time.sleep(LOOK)
        raise ConveyorError("a worker cannot be stopped but in the middle of a write; the scenario says nothing")

    def thaw(self, pids: Sequence[int], by: Stopping | None = None) -> None:
        """Let them go on."""
        for pid in pids:
            self.history.write("resumed", pid=pid)
        (by or Signals()).thaw(pids)

    def alive(self) -> list[Worker]:
        """The workers that have not ended; as many new ones as have, as any service manager starts them."""
        ended = [worker for worker in self.workers if not worker.lives]
        for worker in ended:
            self.workers.remove(worker)
            self.kill(worker)  # what it has left behind
            self.worker()
        return self.workers

    # ------------------------------------------------------------ findings

    def at_work(self, jobs: Collection[str]) -> list[Worker]:
        """Those of ``alive`` one of whose processes runs any of *jobs*."""
        busy = running(self.history.read(), jobs)
        return [worker for worker in self.alive() if busy & worker.members.keys()]

    def wrong(self, what: str) -> None:
        """One more violation."""
        self.found.violations.append(what)

    def note(self, what: str) -> None:
        """Something worth to be known."""
        self.found.notes.append(what)

    def started(self, jobs: Collection[str]) -> None:
        """Wait until all of *jobs* run, or have run."""

        def all_run() -> bool:
            waiting = any(row.job in jobs and not row.attempt for row in self.hot())
            return bool(self.alive()) and not waiting

        until(all_run, DRAIN, lambda: "jobs are not started")

    def drain(self) -> Tables:
        """The faults are over: all must be worked off. Gives what the database holds then."""
        self.unload()
        if not self.alive():
            self.worker()
        patience = DRAIN + self.left() / PACE
        if not within(lambda: self.alive() != [] and self.left() == 0, patience, SELDOM):
            held = sum(row.state == "running" for row in self.hot())
            left = f"{self.left():,} jobs, {held:,} of them in somebody's hands"
            self.wrong(f"I13: {left}, have not ended {patience:.0f} s after the last fault")
        self.stop()
        return self.tables()

    def stop(self, *workers: Worker) -> None:
        """Stop *workers*, or all of them, as an operator does."""
        ending = workers or tuple(self.workers)
        for worker in ending:
            worker.terminate()
        for worker in ending:
            if worker.ends(GRACE + SETTLING) is None:
                self.wrong("a worker did not stop when it was told to")
            self.kill(worker)
            self.workers.remove(worker)

    def judge(self, tables: Tables) -> Found:
        """What the checker says of all that has happened."""
        self._watch.stop()
        found, effects = self.found, read_effects(self.url)
        if on_redis(self.url):
            with keys(self.url) as here:
                found.violations += [f"the indexes are not sound: {line}" for line in unsound(here)]
        notice = self.lease
        found.report = check(self.history.read(), tables, effects, PROMISES, notice=notice, tolerance=TOLERANCE)
        found.violations[:0] = violations(found.report)
        if not found.report.executions:
            self.wrong("no job has run, so this says nothing")
        found.faults, found.seconds = len(self.hits), time.monotonic() - self._begun
        found.notes[:0] = self.hits.told(found.report.recoveries)
        return found

    def close(self) -> None:
        """End all that was started."""
        self._watch.stop()
        tree.end(tree.RUN, str(self.folder))
        for process in (*self.workers, *self._loads, self._guard):
            process.leave()
        self.tasks.app.close()
        self.kept.close()

    def environment(self) -> dict[str, str]:
        """What processes of this run find in theirs, and are found by."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVEYOR_")}
        # The URL travels in the environment: arguments are there for every user of the host to see.
        # What workers leave for `conveyor health` is to go with the rest.
        places = {"TMPDIR": str(self.folder), tree.RUN: str(self.folder)}
        where = {"CONVEYOR_URL": self.through} | ({"CONVEYOR_OUTBOX_URL": self.outbox} if self.outbox else {})
        return kept | where | places


class _Ground(Protocol):
    @property
    def url(self) -> str: ...

    def close(self) -> None: ...


def _ground(url: str) -> _Ground:
    """A new, empty store beside the one at *url*."""
    return Scratch(url) if on_redis(url) else open_ground(url, "chaos")


@contextmanager
def site(settings: Settings, say: Callable[[str], None]) -> Generator[Site]:
    """A new one, of which nothing is left when the block ends."""
    with (
        contextlib.closing(_ground(settings.url)) as ground,
        tempfile.TemporaryDirectory(prefix="conveyor-chaos-") as folder,
        contextlib.closing(Site(ground.url, Path(folder), settings, say)) as here,
    ):
        here.prepare()
        yield here


def charged(tables: Tables) -> list[Row]:
    """The jobs that have spent more than one attempt."""
    return [row for row in (*tables.hot, *tables.past) if row.attempt > 1 or row.taken]
