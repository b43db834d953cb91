"""Connections to Redis, kept while they are good: redis-py's own pools, for each process and each event loop one."""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, cast

from redis import exceptions

from conveyor.core.errors import ConveyorError, OutcomeUnknown, StoreRefused, StoreUnavailable
from conveyor.drivers import redis_sources
from conveyor.drivers.redis import AsyncConnection, Connection, Moving, packed, said
from conveyor.drivers.redis_hands import AsyncHands, Hands
from conveyor.drivers.redis_sources import DEADLINE, Node, Source

Held = dict[Node | None, Any]


class _Unreachable:
    """Around the making of a connection: where it cannot be made, nothing was sent."""

    def __enter__(self) -> None:
        """It begins."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Errors of redis-py's are ours."""
        match error:
            case exceptions.AuthenticationError() | exceptions.NoPermissionError():
                raise StoreRefused(f"Redis: {error}") from error
            case exceptions.ClusterDownError():
                raise Moving(f"Redis: {error}") from error
            case exceptions.RedisError() | OSError() | TimeoutError():
                raise StoreUnavailable(f"Redis cannot be reached: {said(error)}") from error
            case _:
                return


UNREACHABLE: Final = _Unreachable()


class Links:
    """Blocking and async connections to a store's servers."""

    def __init__(self, source: Source, tags: Sequence[str], seconds: float = DEADLINE) -> None:
        """*tags* of the store's shards. Connects to nothing yet. A blocking connection has *seconds* to be there."""
        self._source = source
        self._tags = tags
        self._seconds = seconds
        self._pools: dict[Node | None, Hands] = {}
        self._apools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Node | None, AsyncHands]] = (
            weakref.WeakKeyDictionary()
        )

    @contextmanager
    def link(self, seconds: float = DEADLINE) -> Generator[Callable[[int], Connection]]:
        """Gives connections to shards, whose round trips have *seconds*; ``StoreUnavailable`` for one not to be had."""
        held: Held = {}

        def to(shard: int) -> Connection:
            with UNREACHABLE:
                node = self._source.node(self._tags[shard])
                if node not in held:
                    held[node] = self._pool(node).take()
                    allow(held[node], seconds)
            return cast(Connection, held[node])

        try:
            yield to
        except BaseException as error:
            if doubtful(error):
                for connection in held.values():
                    connection.disconnect()
            raise
        finally:
            for node, connection in held.items():
                self._pool(node).lay_down(connection)

    def alink(self) -> "_AsyncLink":
        """The same for the running event loop; who uses one bounds each round trip."""
        return _AsyncLink(self._source, self._tags, self._apool)

    @asynccontextmanager
    async def subscribed(self, *channels: str) -> AsyncGenerator["Subscription"]:
        """A connection of its own that hears what is said in *channels*."""
        connection = self._source.listener()
        try:
            async with asyncio.timeout(DEADLINE):
                await connection.connect()
                await connection.send_packed_command(packed("SUBSCRIBE", *channels))
                for _ in channels:
                    await connection.read_response()
            yield Subscription(connection)
        finally:
            await connection.disconnect(nowait=True)

    @property
    def clustered(self) -> bool:
        """Whether the servers are a Cluster, of which none knows who listens at the others."""
        return self._source.clustered

    def place(self, shard: int) -> str:
        """The server that has a shard; nothing where there is only one. Raises as ``link``."""
        with UNREACHABLE:
            node = self._source.node(self._tags[shard])
        return f"{node[0]}:{node[1]}" if node else ""

    def where(self, shard: int) -> str:
        """Of several shards, which one this is, and where, as far as that is known: to begin an error with."""
        if len(self._tags) == 1:
            return ""
        node = self._source.known(self._tags[shard])
        return f"shard {shard} of {len(self._tags)}{f', at {node[0]}:{node[1]}' if node else ''}: "

    def forget(self) -> None:
        """What is known of where shards are is out of date."""
        self._source.forget()

    def close(self) -> None:
        """Close the blocking ones."""
        self._bury()
        for hands in self._pools.values():
            hands.pool.disconnect()

    async def aclose(self) -> None:
        """Close those of the running event loop."""
        for hands in self._apools.pop(asyncio.get_running_loop(), {}).values():
            await hands.pool.disconnect()

    def _pool(self, node: Node | None) -> Hands:
        hands = self._pools.get(node)
        if hands is None:
            hands = self._pools.setdefault(node, Hands(self._source.pool(node, self._seconds)))
        return hands

    def _apool(self, node: Node | None) -> AsyncHands:
        loop = asyncio.get_running_loop()
        if loop not in self._apools:
            self._bury()
            self._apools[loop] = {}
        pools = self._apools[loop]
        if node not in pools:
            pools[node] = AsyncHands(_brisk(self._source.apool(node)))
        return pools[node]

    def _bury(self) -> None:
        """Close the connections of event loops that are over: they hold their loop, and so would stay for ever."""
        for loop in [loop for loop in self._apools if loop.is_closed()]:
            for hands in self._apools.pop(loop).values():
                pool = hands.pool
                for connection in (*pool._available_connections, *pool._in_use_connections):  # noqa: SLF001 - as below
                    _hang_up(connection)


class _AsyncLink:
    """The block of ``alink``. Each call of the user's enters one: ``asynccontextmanager`` costs three times as much."""

    __slots__ = ("_held", "_pool", "_source", "_tags")

    def __init__(self, source: Source, tags: Sequence[str], pool: Callable[[Node | None], AsyncHands]) -> None:
        self._source, self._tags, self._pool = source, tags, pool
        self._held: Held = {}

    async def __aenter__(self) -> Callable[[int], Awaitable[AsyncConnection]]:
        """What gives connections to shards."""
        return self._to

    async def _to(self, shard: int) -> AsyncConnection:
        with UNREACHABLE:
            node = await self._source.anode(self._tags[shard])
            if node not in self._held:
                self._held[node] = await self._pool(node).take()
        return cast(AsyncConnection, self._held[node])

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Whatever happened, the connections go back."""
        try:
            if error is not None and doubtful(error):
                for connection in self._held.values():
                    await connection.disconnect(nowait=True)
        finally:
            for node, connection in self._held.items():
                await self._pool(node).lay_down(connection)


def _hang_up(connection: Any) -> None:
    """Close the socket of a connection whose event loop is over; uvloop has done so by itself."""
    writer, connection._writer, connection._reader = connection._writer, None, None  # noqa: SLF001 - no other way
    sock = writer and writer.transport.get_extra_info("socket")
    inner = getattr(sock, "_sock", None)
    if inner is not None:
        inner.close()


def doubtful(error: BaseException) -> bool:
    """Whether connections should not be used again after *error*: they may have an answer to come, or lead nowhere."""
    return not isinstance(error, ConveyorError) or isinstance(error, StoreUnavailable | OutcomeUnknown)


class _Brisk:
    """An async connection that is there in ``CONNECTING``, and has had answers to all that it begins with.

    Each of these would take whatever time there is: a worker that is to end would wait for a mute server so long.
    """

    async def connect(self) -> None:
        """Connect, unless that is done."""
        async with asyncio.timeout(redis_sources.CONNECTING):
            await cast(Any, super()).connect()


def _brisk(pool: Any) -> Any:
    pool.connection_class = type("Brisk", (_Brisk, pool.connection_class), {})
    return pool


class Subscription:
    """What is heard in channels."""

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


def allow(connection: Any, seconds: float) -> None:
    """Let each round trip of a blocking *connection* from now on last for *seconds*."""
    connection.socket_timeout = seconds
    if connection._sock is not None:  # noqa: SLF001 - redis-py has no other way to change it
        connection._sock.settimeout(seconds)  # noqa: SLF001 - as above
