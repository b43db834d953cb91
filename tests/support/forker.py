"""Processes as forks of a Python that has loaded Conveyor: see ``forked.py``."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import conveyor
from tests.support import forked

SOURCE = Path(conveyor.__file__).parents[1]
PATIENCE = 40.0
"""Seconds that a fork gets to be made, or reaped."""


class Forker:
    """Makes forks."""

    def __init__(self) -> None:
        """Start it; it ends with this process."""
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", forked.__file__, str(theirs.fileno())],
                env=plain_environment() | {"PYTHONPATH": str(SOURCE)},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._socket = ours
        self._wire = ours.makefile("rw")

    def start(
        self, what: str, words: Sequence[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path
    ) -> "Fork":
        """Run a module, or a file, in *folder*; what it says is added to the files *out* and *err*, which are there."""
        named = {"what": what, "folder": str(folder), "out": str(out), "err": str(err)}
        return Fork(self, self.ask({**named, "words": list(words), "environment": dict(environment)}))

    def ask(self, request: object) -> int:
        """The answer to a request."""
        self._wire.write(json.dumps(request) + "\n")
        self._wire.flush()
        return int(self._wire.readline())

    def close(self) -> None:
        """No more forks."""
        self._wire.close()
        self._socket.close()
        self._process.wait(PATIENCE)


class Fork:
    """One process, as ``subprocess.Popen`` has it."""

    def __init__(self, forker: Forker, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forker = forker
        self._file = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its status, once it has ended."""
        return self._ended(0)

    def wait(self, timeout: float) -> int:
        """Its status, within *timeout* seconds."""
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._file, number)

    def kill(self) -> None:
        """Whatever it is doing."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._file], [], [], timeout)[0]:
            self.returncode = self._forker.ask(self.pid)
            os.close(self._file)
        return self.returncode


@cache
def forker() -> Forker:
    """The one of this test process."""
    made = Forker()
    atexit.register(made.close)
    return made


def plain_environment() -> dict[str, str]:
    """Our environment, without what would speak to Conveyor or change the output."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CONVEYOR_", "PYTHON"))}
