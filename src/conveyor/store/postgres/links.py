"""A few connections, kept while they are good. No threads and no tasks of its own: nothing to close in a script.

psycopg's own pool works with background workers, which must be started in each loop, stopped before a fork, and
joined at exit; a library that is used from a five-line script cannot ask for that.
"""

import asyncio
import contextlib
import os
import queue
import time
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Generic, NamedTuple, TypeVar

import psycopg
from psycopg import IsolationLevel, conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from conveyor.core.errors import StoreUnavailable
from conveyor.drivers.postgres import STALE, adapt, unreachable
from conveyor.drivers.postgres_wire import DEADLINE, AsyncWire, Overdue, Wire, limited, usable

LEFT: Final = (Overdue, psycopg.errors.ReadOnlySqlTransaction, *STALE)
"""After these a connection is not used again. A failover may leave it on a server that takes no writes any more, while
a new one would lead to another."""
MOST: Final = 8
"""Connections at a time, for each process, and for each event loop."""
SPARE: Final = 60.0
"""Seconds after which a connection that nobody has needed is closed."""
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


def connect(text: str) -> Wire:
    """A blocking connection; ``StoreUnavailable`` when there is none to be had."""
    try:
        connection = Wire.connect(text, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    adapt(connection)
    return connection


async def aconnect(text: str) -> AsyncWire:
    """An async connection; ``StoreUnavailable`` when there is none to be had."""
    try:
        async with asyncio.timeout(DEADLINE):
            connection = await AsyncWire.connect(text, autocommit=True, prepare_threshold=None)
    except TimeoutError as error:
        raise unreachable(TimeoutError(f"no answer within {DEADLINE:.1f} s")) from error
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    adapt(connection)
    return connection


def lent(text: str) -> Wire:
    """A blocking connection for a transaction of the user's: its session is as the database has it, but watched."""
    connection = connect(text)
    try:
        with limited(connection, DEADLINE):
            connection.execute(_WATCHED, [connection.info.backend_pid])
    except BaseException as error:
        connection.close()
        if isinstance(error, psycopg.Error):
            raise unreachable(error) from error
        raise
    return connection


async def alent(text: str) -> AsyncWire:
    """The same for async code."""
    connection = await aconnect(text)
    try:
        with limited(connection, DEADLINE):
            await connection.execute(_WATCHED, [connection.info.backend_pid])
    except BaseException as error:  # its caller may be cancelled just now
        await connection.close()
        if isinstance(error, psycopg.Error):
            raise unreachable(error) from error
        raise
    return connection


def own(text: str, seconds: float = DEADLINE, *, steady: bool = False) -> Wire:
    """A blocking connection for plans of ours: see ``wraps``. Its round trips have *seconds*; *steady* as of a plan."""
    connection = connect(text)
    try:
        connection.allow(seconds)
        row = connection.execute(_SESSION, [steady, connection.info.backend_pid]).fetchone()
        isolation, prepares = _session(row)
        if isolation != _OURS:
            connection.isolation_level = IsolationLevel.READ_COMMITTED
        connection.prepare_threshold = prepares
    except BaseException as error:
        connection.close()
        if isinstance(error, psycopg.Error):
            raise unreachable(error) from error
        raise
    return connection


async def aown(text: str, *, steady: bool = False) -> AsyncWire:
    """The same for async code."""
    connection = await aconnect(text)
    try:
        connection.allow(DEADLINE)
        row = await (await connection.execute(_SESSION, [steady, connection.info.backend_pid])).fetchone()
        isolation, prepares = _session(row)
        if isolation != _OURS:
            await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        connection.prepare_threshold = prepares
    except BaseException as error:  # its caller may be cancelled just now
        await connection.close()
        if isinstance(error, psycopg.Error):
            raise unreachable(error) from error
        raise
    return connection


def wraps(connection: Wire | AsyncWire) -> bool:
    """Whether even a plan of one statement needs a transaction around it, for its isolation level.

    Our plans are made for READ COMMITTED, and a database or role may have another default. To change that for the
    session would do through a pooler what nobody has asked for: to other sessions.
    """
    return connection.isolation_level is not None


_WATCH: Final = """
    CASE WHEN direct AND current_setting('tcp_keepalives_idle')::int > 60
         THEN set_config('tcp_keepalives_idle', '5', false) || set_config('tcp_keepalives_interval', '2', false)
              || set_config('tcp_keepalives_count', '3', false) || set_config('tcp_user_timeout', '30000', false)
    END
"""
"""Has the server look whether we are still there, where it would not for long. A worker that is cut off in the middle
of a transaction, or whose machine is gone, says no goodbye: by the system's defaults its session, and all that this
holds locked, would last for two hours and more, and keep its jobs from whoever has them next. Nor does the server look
while it waits for an answer of its own to be acknowledged, a quarter of an hour by those defaults: hence the last one.
"""
_WATCHED: Final = f"SELECT {_WATCH} FROM (SELECT pg_backend_pid() = %s AS direct) AS session"  # noqa: S608 - our own words
_SESSION: Final = f"""
    SELECT current_setting('default_transaction_isolation'), steady AND direct,
           CASE WHEN steady AND direct
                THEN set_config('enable_seqscan', 'off', false)
                     || set_config('enable_bitmapscan', 'off', false) || set_config('jit', 'off', false)
                     || set_config('plan_cache_mode', 'force_generic_plan', false) END,
           {_WATCH}
    FROM (SELECT %s::boolean AS steady, pg_backend_pid() = %s AS direct) AS session
"""  # noqa: S608 - our own words
"""Whether steady statements may be planned once: if that is wanted, and the connection leads to the server itself, as
of ``direct_to``, for only then is its session ours.

To plan a claim takes as long as to carry it out. A plan that is made while a table is empty must do when it is full, so
it may neither read a table from end to end nor gather all that an index names before it takes the first; and what the
server knows no other way for would look so dear that it were compiled. What people ask for is asked over other
connections: there it may well be the best way.
"""
_OURS: Final = "read committed"


def _session(row: TupleRow | None) -> tuple[str, int | None]:
    """The default isolation level, and psycopg's threshold: a pooler's next session would know nothing prepared."""
    isolation, steady, *_ = row or ("", False)
    return isolation, 1 if steady else None


W = TypeVar("W", Wire, AsyncWire)


class _Idle(NamedTuple, Generic[W]):
    connection: W
    since: float


async def direct_to(connection: AsyncWire) -> bool:
    """Whether *connection* leads to the server itself: a pooler gives each client a process number of its own."""
    return await (await connection.execute("SELECT pg_backend_pid()")).fetchone() == (connection.info.backend_pid,)


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
        self._idle: dict[bool, list[_Idle[Wire]]] = {True: [], False: []}
        """By whether they are for steady plans."""
        self._ours = True
        """Whether there is such a difference: through a pooler there is none."""
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(MOST):
            self._room.put(None)
        self._owner = os.getpid()  # last: nobody is to use what a parent has left

    @contextmanager
    def link(self, *, steady: bool) -> Generator[Wire]:
        """A connection for one operation, as of ``own``; one that broke is not kept.

        When one has fallen silent, so have those that lay idle beside it, as a rule; and what one has planned in vain,
        they have as well.
        """
        if self._owner != os.getpid():
            self._reset()  # the parent's connections are the parent's: not used here, not closed here
        room = self._room
        try:
            room.get(timeout=DEADLINE)
        except queue.Empty:
            raise _busy() from None
        try:
            steady = steady and self._ours
            connection = self._kept(steady=steady) or self._opened(steady=steady)
            try:
                yield connection
            except LEFT:
                connection.close()
                self.close()
                raise
            finally:
                self._put_back(connection, steady=steady)
        finally:
            room.put(None)

    def _opened(self, *, steady: bool) -> Wire:
        """A new one. Where that would be one too many, an idle one of the other kind makes room."""
        others = self._idle[not steady]
        if len(others) > self._room.qsize():
            with contextlib.suppress(IndexError):  # somebody else has taken it
                others.pop(0).connection.close()
        connection = own(self._text, steady=steady)
        self._ours = self._ours and (not steady or connection.prepare_threshold is not None)
        return connection

    def _kept(self, *, steady: bool) -> Wire | None:
        """One that is idle. Whether there is one is not asked before: somebody else may take the last in between."""
        while True:
            try:
                connection = self._idle[steady].pop().connection
            except IndexError:
                return None
            if usable(connection):
                return connection
            connection.close()

    def _put_back(self, connection: Wire, *, steady: bool) -> None:
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            connection.close()
            return
        now = time.monotonic()
        self._idle[steady].append(_Idle(connection, now))
        for idle in self._idle.values():
            with contextlib.suppress(IndexError):  # somebody else has taken it
                if now - idle[0].since > SPARE:
                    idle.pop(0).connection.close()

    def close(self) -> None:
        """Close what is idle."""
        if self._owner == os.getpid():
            for steady in self._idle:
                while connection := self._kept(steady=steady):
                    connection.close()


class AsyncLinks:
    """Async connections: each event loop has its own."""

    def __init__(self, text: str) -> None:
        """Connects to nothing yet."""
        self._text = text
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopLinks] = weakref.WeakKeyDictionary()

    @asynccontextmanager
    async def link(self, *, steady: bool) -> AsyncGenerator[AsyncWire]:
        """A connection for one operation, as of ``Links.link``; one that was interrupted is not kept either."""
        links = self._loops.setdefault(asyncio.get_running_loop(), _LoopLinks())
        await links.enter()
        try:
            steady = steady and links.ours
            connection = await links.kept(steady=steady) or await links.opened(self._text, steady=steady)
            try:
                yield connection
            except LEFT:
                await connection.close()
                await links.close()
                raise
            finally:
                await links.put_back(connection, steady=steady)
        finally:
            links.leave()

    async def aclose(self) -> None:
        """Close what is idle in the running loop."""
        links = self._loops.get(asyncio.get_running_loop())
        if links is not None:
            await links.close()


class _LoopLinks:
    def __init__(self) -> None:
        self.idle: dict[bool, list[_Idle[AsyncWire]]] = {True: [], False: []}
        self.ours = True
        self._room = asyncio.Semaphore(MOST)
        self._used = 0

    async def enter(self) -> None:
        """Take a place."""
        if not self._room.locked():
            await self._room.acquire()
        else:
            try:
                async with asyncio.timeout(DEADLINE):
                    await self._room.acquire()
            except TimeoutError:
                raise _busy() from None
        self._used += 1

    def leave(self) -> None:
        """Give the place back."""
        self._used -= 1
        self._room.release()

    async def opened(self, text: str, *, steady: bool) -> AsyncWire:
        """See ``Links``."""
        others = self.idle[not steady]
        if self._used + len(others) > MOST:
            await others.pop(0).connection.close()
        connection = await aown(text, steady=steady)
        self.ours = self.ours and (not steady or connection.prepare_threshold is not None)
        return connection

    async def kept(self, *, steady: bool) -> AsyncWire | None:
        """See ``Links``."""
        while self.idle[steady]:
            connection = self.idle[steady].pop().connection
            if usable(connection):
                return connection
            await connection.close()
        return None

    async def put_back(self, connection: AsyncWire, *, steady: bool) -> None:
        """See ``Links``."""
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            await connection.close()
            return
        now = time.monotonic()
        self.idle[steady].append(_Idle(connection, now))
        for idle in self.idle.values():
            if idle and now - idle[0].since > SPARE:
                await idle.pop(0).connection.close()

    async def close(self) -> None:
        """Close what is idle."""
        for idle in self.idle.values():
            while idle:
                await idle.pop().connection.close()


def _busy() -> StoreUnavailable:
    return StoreUnavailable(f"all {MOST} connections are busy for {DEADLINE:.0f} s")
