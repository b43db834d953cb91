"""A Redis of a run's own, for a scenario that kills it: nobody else's is."""

import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self, cast

from conveyor.cli.chaos.keys import Keys, keys
from conveyor.cli.chaos.processes import LAST, SETTLING, until
from conveyor.core.errors import StoreUnavailable

PROGRAMS: Final = ("valkey-server", "redis-server")
SHARDS: Final = 3
SETTINGS: Final = """
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
save ""
appendonly yes
appendfsync always
set-proc-title no
"""
"""It is to lose nothing that it has answered for. A title would be written over the environment, and the mark in it."""


def program() -> str | None:
    """The server's, by the name that is found first."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def cannot_serve() -> str:
    """Why none can be started; empty when one can."""
    return "" if program() else "it takes a Redis of its own, and there is no valkey-server or redis-server here"


class Server:
    """One on this machine, with its data in a folder. It ends with the block."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Starts it."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        password = secrets.token_hex(16)
        self.url = f"redis://:{password}@127.0.0.1:{port}/0?shards={SHARDS}"
        self._settings = SETTINGS.format(port=port, password=password, folder=folder).encode()
        self._environment = dict(environment)
        self._log = folder / "redis.log"
        self.start()

    def start(self) -> None:
        """Start it on the data that there is; it answers then."""
        with self._log.open("ab") as out:
            self._popen = subprocess.Popen(  # noqa: S603 - found by name, as in any terminal
                [program() or PROGRAMS[0], "-"],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        if self._popen.stdin is not None:
            self._popen.stdin.write(self._settings)
            self._popen.stdin.close()
        until(self._answers, SETTLING, lambda: f"Redis does not answer ({self._said()})")
        self._rewrite()

    def _rewrite(self) -> None:
        """Have it write its file anew.

        A kill may leave the first half of a script's writes there, which it passes over. Redis 6.2 and 7.0 leave that
        in the file, and execute it at the start after the next; Valkey 9.1.2 does not.
        """
        with keys(self.url) as here:
            here.servers("BGREWRITEAOF")
            until(lambda: _rewritten(here), SETTLING, lambda: f"Redis does not rewrite its file ({self._said()})")

    def kill(self) -> None:
        """End it, without a word."""
        self._popen.kill()
        self._popen.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _answers(self) -> bool:
        try:
            with keys(self.url) as here:
                return here.servers("PING") != [None]
        except StoreUnavailable:
            return False

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace")[-LAST:]


def _rewritten(here: Keys) -> bool:
    facts = cast("dict[str, int]", here.servers("INFO", "persistence")[0])
    return not facts["aof_rewrite_in_progress"] and not facts["aof_rewrite_scheduled"]
