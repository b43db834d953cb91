"""What passes everything on between clients and a server, until it is told to be mute: a half-open connection.

Nobody is told of it: connections stay, whoever comes is let in, and the kernel answers keep-alives as before. What was
said meanwhile arrives in the end, late and in order, as from a network that comes back.
"""

import asyncio
import contextlib
import socket

from conveyor.cli.chaos.between import AT_ONCE, Between, Line

PROBES = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 10}
"""Seconds, seconds, and number. A client whose last words were lost with all packets is asked whether it is there: its
session would stay at the server for two hours else, and those of a few rounds are all that a server has."""


class Forwarder(Between["_Line"]):
    """See above. It reads nothing of what it carries."""

    def __init__(self, url: str, host: str = "127.0.0.1") -> None:
        super().__init__(url, host)
        self.speaks = asyncio.Event()
        self.speaks.set()

    def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "_Line":
        """See ``Between``."""
        return _Line(self, reader, writer)

    def mute(self) -> None:
        """Pass nothing on any more."""
        self.soon(self.speaks.clear)

    def heal(self) -> None:
        """Pass on what was held back, and what comes."""
        self.soon(self.speaks.set)


class _Line(Line):
    """One connection."""

    def __init__(self, forwarder: Forwarder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._forwarder = forwarder

    async def carry(self, host: str | None, port: int | None) -> None:
        """See ``Line``."""
        with contextlib.suppress(OSError):
            _probing(self._to_client)
            from_server, self._to_server = await asyncio.open_connection(host, port)
            await asyncio.gather(
                self._pass(self._from_client, self._to_server), self._pass(from_server, self._to_client)
            )

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To the end, which is passed on too: a session that its client has given up lasts until then."""
        while data := await reader.read(AT_ONCE):
            await self._forwarder.speaks.wait()
            writer.write(data)
            await writer.drain()
        await self._forwarder.speaks.wait()
        writer.write_eof()


def _probing(writer: asyncio.StreamWriter) -> None:
    client = writer.get_extra_info("socket")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in PROBES.items():
        client.setsockopt(socket.IPPROTO_TCP, option, value)
