"""One peer in one empty database: its driver is called, its workers are started, and its tally is read."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from benchmarks.environments import ROOT
from benchmarks.grounds import Ground
from benchmarks.peers.common import TALLY, URL, About, Started, Tally, Timed
from tests.support.yard import descendants

LOOK = 0.004
"""Seconds between two looks at a tally, and at what is unfinished."""
CALL_PATIENCE = 300.0
Process = subprocess.Popen[bytes]


class Failed(RuntimeError):
    """A peer did not do what was asked of it; its figures would say nothing."""


@dataclass(frozen=True)
class Peer:
    """A library to compare."""

    name: str
    """Of its driver."""
    title: str
    share: float = 1.0
    """Of the jobs of a measure: the slow ones get fewer, so that each measure takes seconds with all."""
    pairs: bool = False
    """It is measured with two processes, and with its worker's defaults, too."""
    of: str = ""
    """The peer whose other settings these are: it has the environment, and only the killed worker is tried here."""

    @property
    def requirements(self) -> str:
        """The folder of its requirements."""
        return self.of or self.name


@dataclass
class Driver:
    """The driver of one peer, run by that peer's Python."""

    peer: Peer
    python: Path
    nowhere: str
    """The address of a server that is not there."""

    @cached_property
    def about(self) -> About:
        """What it says of its library; the database is not asked."""
        return cast(About, self.call({URL: self.nowhere}, "about"))

    def call(self, variables: dict[str, str], *arguments: object) -> object:
        """The answer to one command."""
        command = self.command(*arguments)
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environ(variables),
            capture_output=True,
            text=True,
            timeout=CALL_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{self.peer.title}: {' '.join(map(str, arguments))} failed:\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def command(self, *arguments: object) -> list[str]:
        """How a command is started, in the root folder."""
        return [str(self.python), "-m", f"benchmarks.peers.{self.peer.name}", *map(str, arguments)]

    def environ(self, variables: dict[str, str]) -> dict[str, str]:
        """The environment of its processes; nothing of the one that this runs in may lead them astray."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CONVEYOR", "PG"))}
        # Conveyor is the one in this clone.
        path = os.pathsep.join((str(ROOT), str(ROOT / "src"))) if self.peer.name == "conveyor" else str(ROOT)
        return kept | variables | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


@dataclass
class Place:
    """Where one peer is measured."""

    driver: Driver
    ground: Ground
    url: str
    folder: Path
    """For its tallies and for what its workers say."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self._variables = {URL: self.url, TALLY: str(self.folder)}

    @property
    def peer(self) -> Peer:
        """Whose it is."""
        return self.driver.peer

    def setup(self) -> None:
        """Make the peer's tables."""
        self.driver.call(self._variables, "setup")

    def enqueue(self, how: str, *arguments: object) -> Timed:
        """Have a process enqueue jobs, and hear how long it took."""
        return cast(Timed, self.driver.call(self._variables, how, *arguments))

    @contextlib.contextmanager
    def workers(self, number: int = 1, *options: str) -> Iterator[list[Process]]:
        """Workers at work, each the leader of a group of processes, for what it starts."""
        with self._log.open("ab") as log, contextlib.ExitStack() as stack:
            yield [stack.enter_context(self._worker(log.fileno(), options)) for _ in range(number)]

    @contextlib.contextmanager
    def _worker(self, log: int, options: tuple[str, ...]) -> Iterator[Process]:
        command, environ = self.driver.command("work", *options), self.driver.environ(self._variables)
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            kill(process)

    # -- looking

    @property
    def _log(self) -> Path:
        return self.folder / "workers.log"

    def started(self) -> list[Started]:
        """What each of its processes has started so far."""
        return Tally.read(self.folder)

    def count(self) -> int:
        """How many jobs have been started in all."""
        return sum(one.number for one in self.started())

    @contextlib.contextmanager
    def looking(self) -> Iterator[Callable[[Literal["unfinished", "kept"]], int]]:
        """Ask the server how many jobs are unfinished, or kept as successful."""
        with self.ground.asking(self.url) as ask:
            yield lambda what: ask(self.driver.about[what])

    def until(self, done: Callable[[], object], patience: float, what: str) -> None:
        """Look until *done*; Failed, with the end of what the workers said, when that takes too long."""
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                said = self._log.read_text(errors="replace")[-2_000:]
                raise Failed(f"{self.peer.title}: waited {patience:.0f} s for {what}; its workers said:\n{said}")
            time.sleep(LOOK)


def kill(process: Process) -> None:
    """SIGKILL a worker and all that it started: no library's way to stop is measured, and nothing may be left."""
    for pid in (process.pid, *descendants(process.pid)):  # some are in process groups of their own
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
