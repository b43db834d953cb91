"""A proxy between a client and PostgreSQL that loses the answers to COMMITs, and some COMMITs.

It reads the client's messages, and cuts only connections that have sent what it was told to look for: so whoever
works through it besides works on.
"""

import asyncio
import contextlib
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_ENCRYPTION: Final = {80877103, 80877104}
"""The codes of requests for TLS and GSSAPI; both are told no, for what is encrypted cannot be read."""
_LENGTH: Final = struct.Struct("!I")
PATIENCE = 30.0


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


class Proxy:
    """See above; *choose* is asked at each COMMIT of a connection that has sent *mark*."""

    def __init__(self, url: str, mark: str, choose: Callable[[], Cut | None]) -> None:
        where = urlsplit(url)
        self._server = (where.hostname, where.port)
        self._url = url
        self._mark = mark.encode()
        self._choose = choose
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._lines: set[asyncio.Task[Any]] = set()
        self.cuts: Counter[Cut] = Counter()
        """What has been done, or begun."""

    @property
    def url(self) -> str:
        """The database's address, through here."""
        return self._url.replace(f":{self._server[1]}/", f":{self._port}/")

    def release(self) -> None:
        """Let the server hear of late COMMITs."""
        self._loop.call_soon_threadsafe(self._released.set)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    async def _open(self) -> None:
        self._released = asyncio.Event()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port: int = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        for line in self._lines:
            line.cancel()
        if self._lines:
            await asyncio.wait(self._lines)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(_Line(self, reader, writer).carry(*self._server))
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # it may have been cancelled before it began

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


class _Line:
    """One connection."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = reader, writer
        self._silent = False
        self._answered = asyncio.Event()
        self._said = b""

    async def carry(self, host: str | None, port: int | None) -> None:
        self._from_server, self._to_server = await asyncio.open_connection(host, port)
        down = asyncio.create_task(self._down())
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._up()
        finally:
            down.cancel()
            self._to_client.transport.abort()  # at once: what follows may be cancelled
            self._to_server.transport.abort()
            await asyncio.wait([down])

    async def _up(self) -> None:
        await self._begin()
        marked = False
        while True:
            kind = await self._from_client.readexactly(1)
            message = kind + await self._rest()
            marked = marked or self._proxy.marks(message)
            cut = self._proxy.commit(marked=marked) if _is_commit(message) else None
            if cut is Cut.HELD:
                await self._proxy.released()
            elif cut is not None:
                await self._lose(message, cut)
                return
            self._to_server.write(message)
            await self._to_server.drain()

    async def _begin(self) -> None:
        """The first message has no kind; a request for encryption comes before it."""
        while True:
            message = await self._rest()
            if _LENGTH.unpack(message[4:8])[0] not in _ENCRYPTION:
                self._to_server.write(message)
                return
            self._to_client.write(b"N")

    async def _rest(self) -> bytes:
        head = await self._from_client.readexactly(4)
        return head + await self._from_client.readexactly(_LENGTH.unpack(head)[0] - 4)

    async def _lose(self, message: bytes, cut: Cut) -> None:
        if cut is Cut.BEFORE:
            return
        self._silent = True
        if cut is Cut.LATE:
            self._to_client.transport.abort()
            await self._proxy.released()
        self._to_server.write(message)
        async with asyncio.timeout(PATIENCE):
            await self._answered.wait()

    async def _down(self) -> None:
        while data := await self._from_server.read(65536):
            if self._silent:
                self._said += data
                if b"COMMIT\0" in self._said or b"ROLLBACK\0" in self._said:
                    self._answered.set()
            else:
                self._to_client.write(data)
                await self._to_client.drain()
        self._to_client.transport.abort()


def _is_commit(message: bytes) -> bool:
    """As a simple query, or as a statement to be parsed, with no name."""
    text = message[5:].lstrip(b"\0").split(b"\0")[0]
    return message[:1] in b"QP" and text.strip(b"; \n").upper() == b"COMMIT"
