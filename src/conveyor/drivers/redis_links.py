"""Connections to Redis, kept while they are good: redis-py's own pools, for each process and each event loop one."""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, cast

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.drivers.redis import AsyncConnection, Connection, packed, said

DEADLINE: Final = 9.5
"""Seconds that one round trip of ours may take."""
CONNECTING: Final = 5.0
"""Seconds to connect in."""
MOST: Final = 8
"""Connections at a time, for each process, and for each event loop."""
_BLOCKING: Final[Any] = redis
_ASYNC: Final[Any] = redis.asyncio
"""Much of them has no types."""
_POOL: Final[dict[str, Any]] = {"max_connections": MOST, "timeout": DEADLINE}


class Links:
    """Blocking and async connections to one server."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet. Raises ``UsageError`` for a URL that means nothing."""
        self._url = url
        self._apools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()
        try:
            self._pool: Any = _BLOCKING.BlockingConnectionPool.from_url(
                url, retry=Retry(NoBackoff(), 0), **_settings(), **_POOL
            )
        except (ValueError, TypeError) as error:
            raise UsageError(f"the Redis URL cannot be read: {error}") from None

    @contextmanager
    def link(self, seconds: float = DEADLINE) -> Generator[Connection]:
        """A connection whose round trips have *seconds*. ``StoreUnavailable`` when there is none to be had."""
        with unreachable():
            connection = self._pool.get_connection()
        try:
            allow(connection, seconds)
            yield cast(Connection, connection)
        except exceptions.ResponseError:  # an answer, and the connection is good
            raise
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)

    @asynccontextmanager
    async def alink(self, seconds: float = DEADLINE) -> AsyncGenerator[AsyncConnection]:
        """The same for the running event loop."""
        pool = self._apool()
        with unreachable():
            async with asyncio.timeout(DEADLINE):
                connection = await pool.get_connection()
        try:
            async with asyncio.timeout(seconds):
                yield cast(AsyncConnection, connection)
        except exceptions.ResponseError:
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncGenerator["Subscription"]:
        """A connection of its own that hears what is said in *channel*."""
        settings = _settings() | {"socket_timeout": None}
        pool = _ASYNC.ConnectionPool.from_url(self._url, retry=AsyncRetry(NoBackoff(), 0), **settings)
        connection = pool.make_connection()
        try:
            async with asyncio.timeout(DEADLINE):
                await connection.connect()
                await connection.send_packed_command(packed("SUBSCRIBE", channel))
                await connection.read_response()
            yield Subscription(connection)
        finally:
            await connection.disconnect(nowait=True)

    def close(self) -> None:
        """Close the blocking ones."""
        self._pool.disconnect()

    async def aclose(self) -> None:
        """Close those of the running event loop."""
        pool = self._apools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.disconnect()

    def _apool(self) -> Any:
        loop = asyncio.get_running_loop()
        pool = self._apools.get(loop)
        if pool is None:
            # Its own timeout would make a task of each send; whoever uses a connection has one around all.
            settings = _settings() | _POOL | {"socket_timeout": None}
            pool = _ASYNC.BlockingConnectionPool.from_url(self._url, retry=AsyncRetry(NoBackoff(), 0), **settings)
            self._apools[loop] = pool
        return pool


class Subscription:
    """What is heard in a channel."""

    def __init__(self, inner: Any) -> None:
        """*inner* is a connection of redis-py's: its own subscriptions do much for each message."""
        self._inner = inner

    async def heard(self, seconds: float) -> bytes | None:
        """The next that is said, within *seconds*; empty for a sign of life, ``None`` for none."""
        said = cast("list[bytes] | None", await self._inner.read_response(timeout=seconds))
        if said is None:
            return None
        return said[2] if said[0] == b"message" else b""

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self._inner.send_packed_command(packed("PING"))


def _settings() -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": DEADLINE,
        "socket_connect_timeout": CONNECTING,
        "socket_keepalive": True,
        "client_name": "conveyor",
    }


def allow(connection: Any, seconds: float) -> None:
    """Let each round trip of a blocking *connection* from now on last for *seconds*."""
    connection.socket_timeout = seconds
    if connection._sock is not None:  # noqa: SLF001 - redis-py has no other way to change it
        connection._sock.settimeout(seconds)  # noqa: SLF001 - as above


@contextmanager
def unreachable() -> Generator[None]:
    """A connection that could not be made: nothing was sent."""
    try:
        yield
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"Redis cannot be reached: {said(error)}") from error
