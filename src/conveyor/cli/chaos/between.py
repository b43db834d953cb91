"""What stands between clients and a server, in a thread of its own, and carries what they say to each other."""

import asyncio
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Final, Generic, Self, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

LENGTH: Final = struct.Struct("!I")
PATIENCE: Final = 30.0
AT_ONCE: Final = 65_536
"""Bytes that are read of what is only passed on."""
_ENCRYPTION: Final = {80877103, 80877104}
"""The codes of requests for TLS and GSSAPI; both are told no, for what is encrypted cannot be read."""


class Line(ABC):
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._from_client, self._to_client = reader, writer
        self._to_server: asyncio.StreamWriter | None = None

    @abstractmethod
    async def carry(self, host: str | None, port: int | None) -> None:
        """Connect to the server, and forward until either side is gone."""

    def reset(self) -> None:
        """End it on both sides, at once."""
        for side in (self._to_client, self._to_server):
            if side is not None:
                side.transport.abort()


L = TypeVar("L", bound=Line)


class Between(ABC, Generic[L]):
    """``url`` is the database's address through here, from ``with`` on."""

    def __init__(self, url: str, host: str = "127.0.0.1") -> None:
        where = urlsplit(url)
        self._server = (where.hostname, where.port)
        self._where = where
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__)
        self.lines: dict[L, asyncio.Task[None]] = {}
        """The connections that there are."""
        self.opened = 0

    @abstractmethod
    def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> L:
        """The connection of a client that has just come."""

    @property
    def url(self) -> str:
        """The database's address, through here."""
        user, at, _ = self._where.netloc.rpartition("@")
        return self._where._replace(netloc=f"{user}{at}{self._host}:{self.port}").geturl()

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, coroutine: Coroutine[object, object, T]) -> T:
        """What *coroutine* gives in our loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def soon(self, function: Callable[[], object]) -> None:
        """Call *function* in our loop."""
        self._loop.call_soon_threadsafe(function)

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._serve, self._host, 0, backlog=500)
        self.port: int = self._listener.sockets[0].getsockname()[1]

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = self.line(reader, writer)
        self.opened += 1
        task = self.lines[line] = self._loop.create_task(line.carry(*self._server))

        def gone(_: object) -> None:
            del self.lines[line]
            line.reset()  # its task may have been cancelled before it began

        task.add_done_callback(gone)

    async def _close(self) -> None:
        self._listener.close()
        tasks = list(self.lines.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """A message without its kind: its length, and what that tells the length of."""
    head = await reader.readexactly(4)
    return head + await reader.readexactly(LENGTH.unpack(head)[0] - 4)


async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """A client's first message, which has no kind. A request for encryption may come before it, and is refused."""
    while True:
        message = await rest(reader)
        if LENGTH.unpack(message[4:8])[0] not in _ENCRYPTION:
            return message
        writer.write(b"N")
