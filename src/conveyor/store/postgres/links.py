"""A few connections, kept while they are good. No threads and no tasks of its own: nothing to close in a script.

psycopg's own pool works with background workers, which must be started in each loop, stopped before a fork, and
joined at exit; a library that is used from a five-line script cannot ask for that.
"""

import asyncio
import os
import queue
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import psycopg
from psycopg import AsyncConnection, Connection, IsolationLevel, conninfo
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


def own(text: str) -> Connection[TupleRow]:
    """A blocking connection for plans of ours: see ``wraps``."""
    connection = connect(text)
    try:
        if connection.execute(_ISOLATION).fetchone() != _OURS:
            connection.isolation_level = IsolationLevel.READ_COMMITTED
    except BaseException as error:
        connection.close()
        if isinstance(error, psycopg.Error):
            raise unreachable(error) from error
        raise
    return connection


async def aown(text: str) -> AsyncConnection[TupleRow]:
    """The same for async code."""
    connection = await aconnect(text)
    try:
        async with asyncio.timeout(DEADLINE):
            if await (await connection.execute(_ISOLATION)).fetchone() != _OURS:
                await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
    except BaseException as error:  # its caller may be cancelled just now
        await connection.close()
        if isinstance(error, psycopg.Error | TimeoutError):
            raise unreachable(error) from error
        raise
    return connection


def wraps(connection: Connection[TupleRow] | AsyncConnection[TupleRow]) -> bool:
    """Whether even a plan of one statement needs a transaction around it, for its isolation level.

    Our plans are made for READ COMMITTED, and a database or role may have another default. To change that for the
    session would do through a pooler what nobody has asked for: to other sessions.
    """
    return connection.isolation_level is not None


_ISOLATION: Final = "SELECT current_setting('default_transaction_isolation')"
_OURS: Final = ("read committed",)


class Links:
    """Blocking connections of one process.

    A signal handler may come in anywhere and want one too. So places are the items of a queue that is made for that,
    for a semaphore's own lock would be waited for by the handler of the thread that holds it.
    """

    def __init__(self, text: str) -> None:
        """Connects to nothing yet."""
        self._text = text
        self._reset()

    def _reset(self) -> None:
        self._idle: list[Connection[TupleRow]] = []
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(MOST):
            self._room.put(None)
        self._owner = os.getpid()  # last: nobody is to use what a parent has left

    @contextmanager
    def link(self) -> Generator[Connection[TupleRow]]:
        """A connection for one operation; one that broke is not kept."""
        if self._owner != os.getpid():
            self._reset()  # the parent's connections are the parent's: not used here, not closed here
        room = self._room
        try:
            room.get(timeout=DEADLINE)
        except queue.Empty:
            raise StoreUnavailable(f"all {MOST} connections are busy for {DEADLINE:.0f} s") from None
        try:
            connection = self._kept() or own(self._text)
            try:
                yield connection
            finally:
                self._put_back(connection)
        finally:
            room.put(None)

    def _kept(self) -> Connection[TupleRow] | None:
        """One that is idle. Whether there is one is not asked before: somebody else may take the last in between."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _put_back(self, connection: Connection[TupleRow]) -> None:
        if connection.info.transaction_status is TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle."""
        if self._owner == os.getpid():
            while connection := self._kept():
                connection.close()


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
            connection = links.idle.pop() if links.idle else await aown(self._text)
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
