"""A network of its own for one worker, with a cable to this machine that can be cut: a network namespace of Linux."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from conveyor.cli.chaos import left
from conveyor.cli.chaos.left import ip
from conveyor.core.errors import ConveyorError

REACH: Final = 10.0
"""Seconds that a connection out of it gets."""
NOBODY: Final = "02:00:00:00:00:01"
"""A network card that nobody has: what is sent to it is lost, and no one is told."""
_CONNECT: Final = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"


class NotRun(ConveyorError):
    """It cannot be done on this machine; the message says why."""


class Namespace:
    """See above. *host* is this machine's address at the cable."""

    def __init__(self, name: str, host: str, inside: str) -> None:
        self.name = name
        self.host = host
        self._inside = inside
        suffix = name.rpartition("-")[2]
        self._here, self._there = f"cvh{suffix}", f"cvn{suffix}"
        self._deaf = False

    @property
    def command(self) -> Sequence[str]:
        """What is put before a command that is to run in there."""
        return ["ip", "netns", "exec", self.name]

    def make(self) -> None:
        """Make it, and plug in the cable. Raises ``NotRun``."""
        inside = ("-n", self.name)
        steps: Sequence[Sequence[str]] = (
            ("netns", "add", self.name),
            ("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name),
            ("addr", "add", f"{self.host}/30", "dev", self._here),
            ("link", "set", self._here, "up"),
            (*inside, "addr", "add", f"{self._inside}/30", "dev", self._there),
            (*inside, "link", "set", self._there, "up"),
            (*inside, "link", "set", "lo", "up"),
        )
        for step in steps:
            if complaint := ip(*step):
                raise NotRun(f"`ip {' '.join(step[:3])}` was refused: {complaint}")

    def remove(self) -> None:
        """Take it away, whatever of it there is."""
        ip("link", "del", self._here)
        ip("netns", "del", self.name)

    def reaches(self, port: int) -> None:
        """Raise ``NotRun`` unless *port* of ours can be reached from there: a packet filter may be in between."""
        python = [*self.command, sys.executable, "-c", _CONNECT, self.host, str(port)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            if subprocess.run(python, capture_output=True, timeout=REACH, check=False).returncode == 0:  # noqa: S603 - ourselves
                return
        raise NotRun("a network namespace was made, and nothing in it can reach this machine (a firewall?)")

    def down(self) -> None:
        """Pull the cable."""
        self._done("link", "set", self._here, "down")

    def up(self) -> None:
        """Plug it in again."""
        self._done("link", "set", self._here, "up")

    def mute(self) -> None:
        """Lose all packets, both ways, while the cable is there: each side sends to somebody who does not exist."""
        self._done("neigh", "replace", self._inside, "lladdr", NOBODY, "dev", self._here, "nud", "permanent")
        self._done(
            *("-n", self.name, "neigh", "replace", self.host, "lladdr", NOBODY, "dev", self._there, "nud", "permanent")
        )

    def heal(self) -> None:
        """Lose none any more."""
        self._done("neigh", "del", self._inside, "dev", self._here)
        self._done("-n", self.name, "neigh", "del", self.host, "dev", self._there)

    def _done(self, *words: str) -> None:
        if complaint := ip(*words):
            raise ConveyorError(f"`ip {' '.join(words)}` has failed: {complaint}")


def impossible() -> str:
    """Why there can be none here, as far as that is known before it is tried; empty when there can."""
    if sys.platform != "linux":
        return "it takes network namespaces, which only Linux has"
    if os.geteuid() != 0:
        return "it takes root, for a network namespace"
    return "" if shutil.which("ip") else "it takes a network namespace, and there is no `ip` here to make one"


@contextmanager
def namespace(folder: Path) -> Generator[Namespace]:
    """A new one, for the run in *folder*; gone at the end. Raises ``NotRun``."""
    if reason := impossible():
        raise NotRun(reason)
    net = 4 * secrets.randbelow(1 << 15)  # of 198.18.0.0/15, which is kept for tests of networks
    address = f"198.{18 + (net >> 16)}.{net >> 8 & 255}."
    made = Namespace(f"conveyor-{secrets.token_hex(4)}", f"{address}{net % 256 + 1}", f"{address}{net % 256 + 2}")
    left.note(folder, "namespace", made.name)
    try:
        made.make()
        yield made
    finally:
        made.remove()
