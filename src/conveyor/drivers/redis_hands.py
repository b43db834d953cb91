"""Connections of a pool that stay at hand: the pool's own giving and taking cost as much as a call.

redis-py's pools bound them, make them, and wait for one where all are in use. Who is done with one lays it down here,
unless somebody waits at the pool; who takes it up looks first whether it is still good.
"""

import asyncio
import os
import threading
from typing import Any

from redis import exceptions

from conveyor.drivers.redis_sources import DEADLINE


class Hands:
    """Blocking ones. Threads share them, processes do not: what a child finds here is its parent's."""

    def __init__(self, pool: Any) -> None:
        """*pool* is redis-py's."""
        self.pool = pool
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._free: list[Any] = []
        self._waiting = 0
        self._process = os.getpid()  # last: another thread of a child must not find its parent's connections

    def take(self) -> Any:
        """A connection that is there. Raises redis-py's errors."""
        if self._process != os.getpid():
            self._begin()
        while (connection := self._lifted()) is not None:
            if _leads(self.pool, connection) and _good(connection):
                return connection
            connection.disconnect()
            self.pool.release(connection)
        try:
            return self.pool.get_connection()
        finally:
            with self._lock:
                self._waiting -= 1

    def _lifted(self) -> Any:
        """One that lies here, or ``None``: its caller is to go to the pool, and counts as one that waits there."""
        with self._lock:
            if self._free:
                return self._free.pop()
            self._waiting += 1
            return None

    def lay_down(self, connection: Any) -> None:
        """Somebody else may have it."""
        with self._lock:
            if not self._waiting and connection._sock is not None:  # noqa: SLF001 - redis-py does not say it otherwise
                self._free.append(connection)
                return
        self.pool.release(connection)


def _leads(pool: Any, connection: Any) -> bool:
    """Whether it leads to the primary that Sentinels named last, where a pool asks them: it closes only what it has."""
    primary = getattr(pool, "master_address", None)
    return primary is None or primary == (connection.host, connection.port)


def _good(connection: Any) -> bool:
    """Whether it is there, and has nothing to say: that would be the server, taking its leave."""
    try:
        return connection._sock is not None and not connection.can_read(timeout=0)  # noqa: SLF001 - as above
    except (exceptions.RedisError, OSError):
        return False


class AsyncHands:
    """Async ones of one event loop."""

    def __init__(self, pool: Any) -> None:
        """*pool* is redis-py's."""
        self.pool = pool
        self._free: list[Any] = []
        self._waiting = 0

    async def take(self) -> Any:
        """A connection that is there. Raises redis-py's errors."""
        while self._free:
            connection = self._free.pop()
            if _leads(self.pool, connection) and await _agood(connection):
                return connection
            await connection.disconnect(nowait=True)
            await self.pool.release(connection)
        self._waiting += 1
        try:
            async with asyncio.timeout(DEADLINE):
                return await self.pool.get_connection()
        finally:
            self._waiting -= 1

    async def lay_down(self, connection: Any) -> None:
        """Somebody else may have it."""
        if self._waiting or not connection.is_connected:
            await self.pool.release(connection)
        else:
            self._free.append(connection)


async def _agood(connection: Any) -> bool:
    try:
        return connection.is_connected and not await connection.can_read()
    except (exceptions.RedisError, OSError):
        return False
