"""A connection whose client may never hear of what the server has done."""

import asyncio
import contextlib
from abc import abstractmethod

from conveyor.cli.chaos.between import AT_ONCE, PATIENCE, Line


class LosingLine(Line):
    """One connection: an heir reads what goes up, and loses what it chooses. What comes down need not be read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.silent = False
        """Whether what the server says is kept from the client."""
        self._answered = asyncio.Event()

    async def carry(self, host: str | None, port: int | None) -> None:
        """See ``Line``."""
        from_server, self._to_server = await asyncio.open_connection(host, port)
        down = asyncio.create_task(self._down(from_server))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self.up(self._to_server)
        finally:
            down.cancel()
            self.reset()  # at once: what follows may be cancelled
            await asyncio.wait([down])

    @abstractmethod
    async def up(self, to_server: asyncio.StreamWriter) -> None:
        """Pass on what the client sends, until something is lost."""

    @abstractmethod
    def answers(self, data: bytes) -> bool:
        """Whether the server has answered, now that *data* has come in the silence, to what was lost."""

    async def lose(self, to_server: asyncio.StreamWriter, message: bytes) -> None:
        """Have the server do what *message* says, and keep the answer from the client."""
        self.silent = True
        to_server.write(message)
        async with asyncio.timeout(PATIENCE):
            await self._answered.wait()

    async def _down(self, from_server: asyncio.StreamReader) -> None:
        while data := await from_server.read(AT_ONCE):
            if not self.silent:
                self._to_client.write(data)
                await self._to_client.drain()
            elif self.answers(data):
                self._answered.set()
        self._to_client.transport.abort()
