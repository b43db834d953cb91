"""A few connections, kept while they are good. No threads and no tasks of its own: nothing to close in a script.

psycopg's own pool works with background workers, which must be started in each loop, stopped before a fork, and
joined at exit; a library that is used from a five-line script cannot ask for that.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import psycopg
from psycopg import AsyncConnection, Connection, conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from conveyor.core.errors import StoreUnavailable
from conveyor.drivers.postgres import adapt, unreachable

MOST: Final = 8
"""Connections at a time, for each process, and for each event loop."""
DEADLINE: Final = 10.0
"""Seconds that one round trip of ours may take."""
_DEFAULTS: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "application_name": "conveyor",
}


def dsn(url: str) -> str:
    """*url* with deadlines for its connections, where it names none itself."""
    given = conninfo.conninfo_to_dict(url)
    return conninfo.make_conninfo(url, **{k: v for k, v in _DEFAULTS.items() if k not in given})


def connect(text: str) -> Connection[TupleRow]:
    """A blocking connection; ``StoreUnavailable`` when there is none to be had."""
    try:
        connection = psycopg.connect(text, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    adapt(connection)
    return connection


async def aconnect(text: str) -> AsyncConnection[TupleRow]:
    """An async connection; ``StoreUnavailable`` when there is none to be had."""
    try:
        async with asyncio.timeout(DEADLINE):
            connection = await AsyncConnection.connect(text, autocommit=True, prepare_threshold=None)
    except (psycopg.OperationalError, TimeoutError) as error:
        raise unreachable(error) from error
    adapt(connection)
    return connection


class Links:
    """Blocking connections of one process."""

    def __init__(self, text: str) -> None:
        """Connects to nothing yet."""
        self._text = text
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._idle: list[Connection[TupleRow]] = []
        self._room = threading.BoundedSemaphore(MOST)

    @contextmanager
    def link(self) -> Generator[Connection[TupleRow]]:
        """A connection for one operation; one that broke is not kept."""
        if self._owner != os.getpid():
            self._reset()  # the parent's connections are the parent's: not used here, not closed here
        if not self._room.acquire(timeout=DEADLINE):
            raise StoreUnavailable(f"all {MOST} connections are busy for {DEADLINE:.0f} s")
        try:
            connection = self._idle.pop() if self._idle else connect(self._text)
            try:
                yield connection
            finally:
                self._put_back(connection)
        finally:
            self._room.release()

    def _put_back(self, connection: Connection[TupleRow]) -> None:
        if connection.info.transaction_status is TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle."""
        if self._owner == os.getpid():
            while self._idle:
                self._idle.pop().close()


class AsyncLinks:
    """Async connections: each event loop has its own."""

    def __init__(self, text: str) -> None:
        """Connects to nothing yet."""
        self._text = text
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopLinks] = weakref.WeakKeyDictionary()

    @asynccontextmanager
    async def link(self) -> AsyncGenerator[AsyncConnection[TupleRow]]:
        """A connection for one operation; one that broke, or was interrupted, is not kept."""
        links = self._loops.setdefault(asyncio.get_running_loop(), _LoopLinks())
        async with links.room:
            connection = links.idle.pop() if links.idle else await aconnect(self._text)
            try:
                yield connection
            finally:
                if connection.info.transaction_status is TransactionStatus.IDLE:
                    links.idle.append(connection)
                else:
                    await connection.close()

    async def aclose(self) -> None:
        """Close what is idle in the running loop."""
        links = self._loops.get(asyncio.get_running_loop())
        while links and links.idle:
            await links.idle.pop().close()


class _LoopLinks:
    def __init__(self) -> None:
        self.idle: list[AsyncConnection[TupleRow]] = []
        self.room = asyncio.Semaphore(MOST)
