"""Connections to Redis, kept while they are good: redis-py's own pools, for each process and each event loop one."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

from redis import exceptions

from conveyor.core.errors import StoreUnavailable
from conveyor.drivers.redis import AsyncConnection, Connection, passes, said
from conveyor.drivers.redis_sources import DEADLINE, Source


class Links:
    """Blocking and async connections to a store's server."""

    def __init__(self, source: Source, seconds: float = DEADLINE) -> None:
        """Connects to nothing yet. A blocking connection has *seconds* to be there."""
        self._source = source
        self._pool = source.pool(seconds)
        self._apools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    @contextmanager
    def link(self, seconds: float = DEADLINE) -> Generator[Connection]:
        """A connection whose round trips have *seconds*. ``StoreUnavailable`` when there is none to be had."""
        with unreachable():
            connection = self._pool.get_connection()
        try:
            allow(connection, seconds)
            yield cast(Connection, connection)
        except exceptions.ResponseError as error:
            if passes(error):  # another server may be the one to ask by now
                connection.disconnect()
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
            connection = await pool.get_connection()
        try:
            async with asyncio.timeout(seconds):
                yield cast(AsyncConnection, connection)
        except exceptions.ResponseError as error:
            if passes(error):
                await connection.disconnect(nowait=True)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncGenerator["Subscription"]:
        """A connection of its own that hears what is said in *channel*."""
        client = self._source.listener()
        try:
            async with client.pubsub() as subscription:
                async with asyncio.timeout(DEADLINE):
                    await subscription.subscribe(channel)
                yield Subscription(subscription)
        finally:
            with contextlib.suppress(exceptions.RedisError, OSError):
                await client.aclose()

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
            pool = self._apools[loop] = self._source.apool()
        return pool


class Subscription:
    """What is heard in a channel."""

    def __init__(self, inner: Any) -> None:
        """*inner* is redis-py's."""
        self._inner = inner

    async def heard(self, seconds: float) -> bytes | None:
        """The next that is said, within *seconds*; empty for a sign of life, ``None`` for none."""
        message = await self._inner.get_message(timeout=seconds)
        if message is None:
            return None
        return cast(bytes, message["data"]) if message["type"] == "message" else b""

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self._inner.ping()


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
