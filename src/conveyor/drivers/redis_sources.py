"""Where connections to Redis come from: a server, or whichever server some Sentinels name as the primary just now."""

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
BLOCKING: Final[Any] = redis
ASYNC: Final[Any] = redis.asyncio
_SENTINEL: Final[Any] = redis.sentinel
_ASENTINEL: Final[Any] = redis.asyncio.sentinel
"""Much of them has no types."""
USUAL: Final[dict[str, Any]] = {
    "protocol": 2,
    "socket_timeout": DEADLINE,
    "socket_connect_timeout": CONNECTING,
    "socket_keepalive": True,
    "client_name": "conveyor",
}

ASKED: Final[dict[str, Any]] = {"protocol": 2, "socket_timeout": ASKING, "socket_connect_timeout": ASKING}
"""For connections to Sentinels."""
UNTIMED: Final[dict[str, Any]] = USUAL | {"socket_timeout": None}
"""For async connections: the library makes a task of each send that has a time, and whoever uses one bounds it."""
Node = tuple[str, int]
"""A server's host and port."""


class Source(Protocol):
    """Makes pools of connections; connects to nothing by itself. redis-py sends nothing again by itself."""

    @property
    def clustered(self) -> bool:
        """Whether it is a Cluster."""
        ...

    def node(self, tag: str) -> Node | None:
        """Where the keys of a tag are; ``None`` where there is only one place."""
        ...

    async def anode(self, tag: str) -> Node | None:
        """The same for async code."""
        ...

    def known(self, tag: str) -> Node | None:
        """Where they are, as far as that is known; it asks nobody."""
        ...

    def forget(self) -> None:
        """What is known of nodes is out of date."""
        ...

    def pool(self, node: Node | None, seconds: float = DEADLINE) -> Any:
        """Of blocking connections to it, which have *seconds* at most to be there: for each step of that."""
        ...

    def apool(self, node: Node | None) -> Any:
        """Of async ones, for one event loop."""
        ...

    def listener(self) -> Any:
        """An async connection, to be made, that waits as long as it takes for what it is told."""
        ...


class OnePlace:
    """A source that has no nodes."""

    clustered = False

    def node(self, tag: str) -> Node | None:  # noqa: ARG002 - as Source has it
        """See ``Source``."""
        return None

    async def anode(self, tag: str) -> Node | None:  # noqa: ARG002 - as Source has it
        """See ``Source``."""
        return None

    def known(self, tag: str) -> Node | None:  # noqa: ARG002 - as Source has it
        """See ``Source``."""
        return None

    def forget(self) -> None:
        """See ``Source``."""


class Server(OnePlace):
    """One server."""

    def __init__(self, url: str) -> None:
        """Raises ``UsageError`` for a URL that means nothing."""
        self._url = url
        try:
            self.pool(None)
        except (ValueError, TypeError) as error:
            raise UsageError(f"the Redis URL cannot be read: {error}") from None

    def pool(self, node: Node | None, seconds: float = DEADLINE) -> Any:  # noqa: ARG002 - there is one
        """See ``Source``."""
        settings = within(seconds) | waiting(seconds)
        return BLOCKING.BlockingConnectionPool.from_url(self._url, retry=Retry(NoBackoff(), 0), **settings)

    def apool(self, node: Node | None) -> Any:  # noqa: ARG002 - as above
        """See ``Source``."""
        settings = UNTIMED | waiting(DEADLINE)
        return ASYNC.BlockingConnectionPool.from_url(self._url, retry=AsyncRetry(NoBackoff(), 0), **settings)

    def listener(self) -> Any:
        """See ``Source``."""
        return self.apool(None).make_connection()


class Sentinels(OnePlace):
    """The primary of a service, as Sentinels tell it; they are asked anew for each new connection."""

    def __init__(
        self, hosts: list[tuple[str, int]], service: str, options: dict[str, object], asking: dict[str, object]
    ) -> None:
        """*options* are for connections to the servers, *asking* for those to the Sentinels."""
        self._hosts = hosts
        self._service = service
        self._options = options
        self._asking = ASKED | asking

    def pool(self, node: Node | None, seconds: float = DEADLINE) -> Any:  # noqa: ARG002 - there is one
        """See ``Source``."""
        retry = Retry(NoBackoff(), 0)
        sentinel = _SENTINEL.Sentinel(self._hosts, sentinel_kwargs=self._asking | {"retry": retry})
        settings = within(seconds) | self._options | waiting(seconds) | {"retry": retry}
        return _Bounded(self._service, sentinel, **settings)

    def apool(self, node: Node | None) -> Any:  # noqa: ARG002 - as above
        """See ``Source``."""
        retry = AsyncRetry(NoBackoff(), 0)
        sentinel = _ASENTINEL.Sentinel(self._hosts, sentinel_kwargs=self._asking | {"retry": retry})
        settings = UNTIMED | self._options | waiting(DEADLINE) | {"retry": retry}
        return _AsyncBounded(self._service, sentinel, **settings)

    def listener(self) -> Any:
        """See ``Source``."""
        pool = self.apool(None)
        pool.connection_class = type("Listening", (_Listening, pool.connection_class), {})
        connection = pool.make_connection()
        connection.its_pool = pool
        return connection


class _Listening:
    """A connection that has a pool to itself, which it keeps: the library's own reference to it is a weak one."""

    its_pool: Any

    async def disconnect(self, *args: Any, **options: Any) -> None:
        """Close it, and those to the Sentinels."""
        await cast(Any, super()).disconnect(*args, **options)
        await self.its_pool.disconnect()


class _Bounded(_SENTINEL.SentinelConnectionPool, BLOCKING.BlockingConnectionPool):  # type: ignore[misc]  # untyped
    """Whoever finds all connections in use waits for one. Those to the Sentinels are closed when all others are."""

    def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - as the library has it
        """Close them; the library does so with the idle ones, when it hears of another primary."""
        above: Any = super()
        above.disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels if inuse_connections else ():
            sentinel.connection_pool.disconnect()


class _AsyncBounded(_ASENTINEL.SentinelConnectionPool, ASYNC.BlockingConnectionPool):  # type: ignore[misc]  # untyped
    """The same for async code."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - as the library has it
        """As above."""
        above: Any = super()
        await above.disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels if inuse_connections else ():
            await sentinel.connection_pool.disconnect()


def within(seconds: float) -> dict[str, Any]:
    """The usual, for who has only so long: what a new connection begins with is said in that time as well."""
    return USUAL | {"socket_timeout": seconds, "socket_connect_timeout": min(CONNECTING, seconds)}


def waiting(seconds: float) -> dict[str, Any]:
    """For a connection that others use."""
    return {"max_connections": MOST, "timeout": seconds}
