"""Where connections to Redis come from: a server, or whichever server some Sentinels name as the primary just now."""

import asyncio
from typing import Any, Final, Protocol, cast

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from conveyor.core.errors import UsageError

DEADLINE: Final = 9.5
"""Seconds that one round trip of ours may take."""
CONNECTING: Final = 5.0
"""Seconds to connect in."""
ASKING: Final = 1.0
"""Seconds that one Sentinel gets to answer."""
MOST: Final = 8
"""Connections at a time, for each process, and for each event loop."""
_BLOCKING: Final[Any] = redis
_ASYNC: Final[Any] = redis.asyncio
"""Much of them has no types."""
_USUAL: Final[dict[str, Any]] = {
    "protocol": 2,
    "socket_timeout": DEADLINE,
    "socket_connect_timeout": CONNECTING,
    "socket_keepalive": True,
    "client_name": "conveyor",
}


class Source(Protocol):
    """Makes pools of connections; connects to nothing by itself. redis-py sends nothing again by itself."""

    def pool(self, seconds: float = DEADLINE) -> Any:
        """Of blocking ones, which have *seconds* at most to be there: for each step of that."""
        ...

    def apool(self) -> Any:
        """Of async ones, for one event loop."""
        ...

    def listener(self) -> Any:
        """A client of the running loop's that waits as long as it takes for what it is told."""
        ...


class Server:
    """One server."""

    def __init__(self, url: str) -> None:
        """Raises ``UsageError`` for a URL that means nothing."""
        self._url = url
        try:
            self.pool()
        except (ValueError, TypeError) as error:
            raise UsageError(f"the Redis URL cannot be read: {error}") from None

    def pool(self, seconds: float = DEADLINE) -> Any:
        """See ``Source``."""
        settings = _within(seconds) | _waiting(seconds)
        return _BLOCKING.BlockingConnectionPool.from_url(self._url, retry=Retry(NoBackoff(), 0), **settings)

    def apool(self) -> Any:
        """See ``Source``."""
        settings = _USUAL | _waiting(DEADLINE)
        return _brisk(_ASYNC.BlockingConnectionPool.from_url(self._url, retry=AsyncRetry(NoBackoff(), 0), **settings))

    def listener(self) -> Any:
        """See ``Source``."""
        settings = _USUAL | {"socket_timeout": None}
        return _ASYNC.Redis.from_url(self._url, retry=AsyncRetry(NoBackoff(), 0), **settings)


class Sentinels:
    """The primary of a service, as Sentinels tell it; they are asked anew for each new connection."""

    def __init__(self, hosts: list[tuple[str, int]], service: str, options: dict[str, Any]) -> None:
        """*options* are for connections to the servers; Sentinels are asked without a password."""
        self._hosts = hosts
        self._service = service
        self._options = options

    def pool(self, seconds: float = DEADLINE) -> Any:
        """See ``Source``."""
        sentinel = _BLOCKING.sentinel.Sentinel(self._hosts, sentinel_kwargs=_asking(Retry(NoBackoff(), 0)))
        settings = _within(seconds) | self._options | {"retry": Retry(NoBackoff(), 0)}
        return sentinel.master_for(self._service, **settings).connection_pool

    def apool(self) -> Any:
        """See ``Source``."""
        return _brisk(self._client(_USUAL).connection_pool)

    def listener(self) -> Any:
        """See ``Source``."""
        return self._client(_USUAL | {"socket_timeout": None})

    def _client(self, settings: dict[str, Any]) -> Any:
        asking = _asking(AsyncRetry(NoBackoff(), 0))
        sentinel = _ASYNC.sentinel.Sentinel(self._hosts, sentinel_kwargs=asking)
        return sentinel.master_for(self._service, **settings | self._options, retry=AsyncRetry(NoBackoff(), 0))


class _Brisk:
    """An async connection that is there in ``CONNECTING``, and has had answers to all that it begins with.

    Each of these has the time of any round trip else: a worker that is to end would wait for a mute server so long.
    """

    async def connect(self) -> None:
        """Connect, unless that is done."""
        async with asyncio.timeout(CONNECTING):
            await cast(Any, super()).connect()


def _brisk(pool: Any) -> Any:
    pool.connection_class = type("Brisk", (_Brisk, pool.connection_class), {})
    return pool


def _within(seconds: float) -> dict[str, Any]:
    """The usual, for who has only so long: what a new connection begins with is said in that time as well."""
    return _USUAL | {"socket_timeout": seconds, "socket_connect_timeout": min(CONNECTING, seconds)}


def _waiting(seconds: float) -> dict[str, Any]:
    """For a connection that others use."""
    return {"max_connections": MOST, "timeout": seconds}


def _asking(retry: Any) -> dict[str, Any]:
    return {"protocol": 2, "socket_timeout": ASKING, "socket_connect_timeout": ASKING, "retry": retry}
