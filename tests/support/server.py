"""A server for tests, started from a binary, owned by this process, and gone without a trace; and several together.

A server never outlives the process that made it, not even one killed with SIGKILL: a guard (guard.py) waits
for the end of a pipe that only this process holds. PR_SET_PDEATHSIG would be shorter, but it fires when the
*thread* that started the server ends.
"""

import random
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypedDict

PATIENCE: Final = 30.0
"""Seconds that a server gets to start or to stop."""
SAID: Final = 2_000
"""Characters of its log that are shown where it does not start."""


class ServerError(RuntimeError):
    """A server that could not be found, made, started or stopped."""


class Surroundings(TypedDict, total=False):
    """The arguments of Popen that decide as whom, and how far from us, a process runs."""

    cwd: Path
    stdin: int
    start_new_session: bool
    env: dict[str, str]
    user: int
    group: int
    extra_groups: list[int]


class Server(ABC):
    """One server on 127.0.0.1, in a temporary folder of its own."""

    def __init__(self, kind: str, root: Path) -> None:
        """Guard *root*, which is its own from here on; *kind* is what errors call it."""
        self.kind = kind
        self.root = root
        self.port = self.free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._guard = _start_guard(root)

    def free_port(self) -> int:
        """A port that nobody has."""
        # Below the range that the kernel gives to outgoing connections, one of which could take
        # a port of that range while the server restarts.
        while True:
            port = random.randrange(15_000, 32_000)
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            return port

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is ready."""

    def surroundings(self) -> Surroundings:
        """Popen's arguments for it."""
        # A session of its own: Ctrl+C in the terminal is for pytest, which then stops the server.
        return {"cwd": self.root, "stdin": subprocess.DEVNULL, "start_new_session": True}

    def start(self) -> Self:
        """Start it and return once it answers."""
        if self.process is not None:
            raise ServerError(f"{self.kind} on port {self.port} is already started; stop() it first")
        log = self.root / "server.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(self.command(), stdout=file, stderr=file, **self.surroundings())
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if _ended(self.process) or time.monotonic() > deadline:
                self.process.kill()
                self.gone()
                said = log.read_text(errors="replace")[-SAID:]
                raise ServerError(f"{self.kind} did not start on port {self.port}; its log ends:\n{said}")
        return self

    def stop(self) -> None:
        """Let it end as it does for SIGTERM."""
        if self.process is not None:
            self.process.terminate()
            self.gone()

    def kill(self) -> None:
        """SIGKILL it."""
        if self.process is not None:
            self.process.kill()
            self.gone()

    def gone(self) -> None:
        """Wait until it has ended."""
        if self.process is None:
            return
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerError(
                f"{self.kind} did not stop in {PATIENCE:.0f} s and was killed; it may wait for its clients: "
                "close them first, or kill() it"
            ) from None
        finally:
            self.process = None

    def restart(self) -> None:
        """Stop as stop() does, then start on the same port and data."""
        self.stop()
        self.start()

    def end(self) -> None:
        """How close() ends it."""
        self.kill()

    def close(self) -> None:
        """End it if it runs, and remove all that was made for it."""
        try:
            self.end()
        finally:
            # The guard must go last: until here it is what cleans up if this process dies.
            shutil.rmtree(self.root, ignore_errors=True)
            if self._guard.stdin is not None:
                self._guard.stdin.close()
            self._guard.wait(PATIENCE)

    def __enter__(self) -> Self:
        if self.process is None:
            try:
                self.start()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Together(ABC):
    """Several servers that belong together: all are closed at the end of the block, or when one cannot start."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    @abstractmethod
    def begin(self, stack: ExitStack) -> None:
        """Start them, each in *stack*, and return once all is well."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.begin(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _start_guard(root: Path) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("guard.py")
    command = [sys.executable, "-I", "-S", str(script), str(root)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(0.01)
    except subprocess.TimeoutExpired:
        return False
    return True
