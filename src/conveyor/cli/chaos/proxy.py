"""A proxy between a client and PostgreSQL that loses the answers to COMMITs, and some COMMITs.

It reads the client's messages, and cuts only connections that have sent what it was told to look for: so whoever
works through it besides works on.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto

from conveyor.cli.chaos.between import Between, first, rest
from conveyor.cli.chaos.losing import LosingLine


class Cut(Enum):
    """What becomes of a COMMIT, and of the connection with it."""

    BEFORE = auto()
    """The server never hears of it."""
    AFTER = auto()
    """The server commits, and the client never hears of it."""
    LATE = auto()
    """The client is cut off, and the server hears of it only when the test says so."""
    HELD = auto()
    """Nothing is lost, but the server hears of it only when the test says so."""


class Proxy(Between["_Line"]):
    """See above; *choose* is asked at each COMMIT of a connection that has sent *mark*."""

    def __init__(self, url: str, mark: str, choose: Callable[[], Cut | None]) -> None:
        super().__init__(url)
        self._mark = mark.encode()
        self._choose = choose
        self._released = asyncio.Event()
        self.cuts: Counter[Cut] = Counter()
        """What has been done, or begun."""

    def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "_Line":
        """See ``Between``."""
        return _Line(self, reader, writer)

    def release(self) -> None:
        """Let the server hear of late COMMITs."""
        self.soon(self._released.set)

    def commit(self, *, marked: bool) -> Cut | None:
        """What becomes of this COMMIT."""
        cut = self._choose() if marked else None
        if cut is not None:
            self.cuts[cut] += 1
        return cut

    def marks(self, message: bytes) -> bool:
        """Whether *message* is what marks its connection."""
        return self._mark in message

    async def released(self) -> None:
        """Wait for ``release``."""
        await self._released.wait()


class _Line(LosingLine):
    """One connection."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._proxy = proxy
        self._said = b""

    async def up(self, to_server: asyncio.StreamWriter) -> None:
        """See ``LosingLine``."""
        to_server.write(await first(self._from_client, self._to_client))
        marked = False
        while True:
            kind = await self._from_client.readexactly(1)
            message = kind + await rest(self._from_client)
            marked = marked or self._proxy.marks(message)
            cut = self._proxy.commit(marked=marked) if _is_commit(message) else None
            if cut is Cut.HELD:
                await self._proxy.released()
            elif cut is not None:
                await self._cut(to_server, message, cut)
                return
            to_server.write(message)
            await to_server.drain()

    async def _cut(self, to_server: asyncio.StreamWriter, message: bytes, cut: Cut) -> None:
        if cut is Cut.BEFORE:
            return
        self.silent = True
        if cut is Cut.LATE:
            self._to_client.transport.abort()
            await self._proxy.released()
        await self.lose(to_server, message)

    def answers(self, data: bytes) -> bool:
        """See ``LosingLine``."""
        self._said += data
        return b"COMMIT\0" in self._said or b"ROLLBACK\0" in self._said


def _is_commit(message: bytes) -> bool:
    """As a simple query, or as a statement to be parsed, with no name."""
    text = message[5:].lstrip(b"\0").split(b"\0")[0]
    return message[:1] in b"QP" and text.strip(b"; \n").upper() == b"COMMIT"
