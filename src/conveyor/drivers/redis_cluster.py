"""A Redis Cluster: which node has the keys of a tag, as the nodes themselves tell.

Of a node that says that it is not, or no more, the one to ask, nothing is believed but that: the nodes are asked anew.
ASK is never followed. While a slot is on its way its keys are in two places, and a script that saw half of them would
act on it; so the shard rests until they are all there.
"""

import random
from collections.abc import Sequence
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from conveyor.drivers.redis_sources import ASKING, ASYNC, BLOCKING, DEADLINE, UNTIMED, USUAL, Node, waiting, within

SLOTS: Final = 16_384
_ASK: Final = {"socket_timeout": ASKING, "socket_connect_timeout": ASKING}


def tag_of(prefix: str, shard: int, shards: int) -> str:
    """The tag of a shard: each of *shards* has a slot in a part of its own of all slots, so that nodes share evenly."""
    if shards == 1:
        return f"{{{prefix}:0}}"
    return next(
        tag
        for number in range(SLOTS * shards)
        if key_slot((tag := f"{{{prefix}:{shard}.{number}}}").encode()) * shards // SLOTS == shard
    )


class Cluster:
    """See ``redis_sources.Source``."""

    clustered = True

    def __init__(self, hosts: Sequence[Node], options: dict[str, object]) -> None:
        """*hosts* are some of the nodes, to begin with; *options* are for connections to all."""
        self._hosts = tuple(hosts)
        self._next = random.randrange(SLOTS)  # noqa: S311 - so that not all workers listen at one node
        self._options = options
        self._known: dict[int, Node] = {}
        """Nodes by their slots, of the tags that were asked for."""
        self._seen: tuple[Node, ...] = ()

    def node(self, tag: str) -> Node | None:
        """See ``Source``."""
        slot = key_slot(tag.encode())
        if slot not in self._known:
            self._learn(slot, self._asked())
        return self._known[slot]

    async def anode(self, tag: str) -> Node | None:
        """See ``Source``."""
        slot = key_slot(tag.encode())
        if slot not in self._known:
            self._learn(slot, await self._aasked())
        return self._known[slot]

    def known(self, tag: str) -> Node | None:
        """See ``Source``."""
        return self._known.get(key_slot(tag.encode()))

    def forget(self) -> None:
        """See ``Source``."""
        self._known = {}

    @property
    def primaries(self) -> Sequence[Node]:
        """The nodes that have slots, as they were told last; before that, those that were named."""
        return self._seen or self._hosts

    def pool(self, node: Node | None, seconds: float = DEADLINE) -> Any:
        """See ``Source``."""
        settings = self._at(node) | within(seconds) | waiting(seconds)
        return BLOCKING.BlockingConnectionPool(**_classed(settings, BLOCKING), retry=Retry(NoBackoff(), 0))

    def apool(self, node: Node | None) -> Any:
        """See ``Source``."""
        settings = self._at(node) | UNTIMED | waiting(DEADLINE)
        return ASYNC.BlockingConnectionPool(**_classed(settings, ASYNC), retry=AsyncRetry(NoBackoff(), 0))

    def listener(self) -> Any:
        """See ``Source``: what is said at one node is heard at all."""
        nodes = tuple(self.primaries)
        self._next += 1  # another one next time, for this one may be gone
        return self.apool(nodes[self._next % len(nodes)]).make_connection()

    def _at(self, node: Node | None) -> dict[str, Any]:
        host, port = cast(Node, node)
        return USUAL | self._options | {"host": host, "port": port}

    def _asked(self) -> object:
        trouble: Exception = exceptions.ConnectionError("no node answers")
        for node in dict.fromkeys((*self._seen, *self._hosts)):
            client = BLOCKING.Redis(**self._at(node) | _ASK, retry=Retry(NoBackoff(), 0))
            try:
                return client.execute_command("CLUSTER", "SLOTS")
            except (exceptions.RedisError, OSError) as error:
                trouble = error
            finally:
                client.close()
        raise trouble

    async def _aasked(self) -> object:
        trouble: Exception = exceptions.ConnectionError("no node answers")
        for node in dict.fromkeys((*self._seen, *self._hosts)):
            client = ASYNC.Redis(**self._at(node) | _ASK, retry=AsyncRetry(NoBackoff(), 0))
            try:
                return await client.execute_command("CLUSTER", "SLOTS")
            except (exceptions.RedisError, OSError) as error:
                trouble = error
            finally:
                await client.aclose()
        raise trouble

    def _learn(self, slot: int, answer: object) -> None:
        """Where *slot* is; raises ``ClusterDownError`` when nobody has it."""
        rows = cast("list[tuple[int, int, tuple[bytes, int]]]", answer)
        ranges = [(first, last, (host.decode(), port)) for first, last, (host, port, *_), *_ in rows]
        self._seen = tuple(dict.fromkeys(node for _, _, node in ranges))
        for first, last, node in ranges:
            if first <= slot <= last:
                self._known = {**self._known, slot: node}
                return
        raise exceptions.ClusterDownError(f"no node serves slot {slot}")


def _classed(settings: dict[str, Any], library: Any) -> dict[str, Any]:
    """*settings* for a pool of the *library*'s: a client knows ``ssl``, and a pool a class of connections."""
    encrypted = settings.pop("ssl", False)
    return settings | ({"connection_class": library.SSLConnection} if encrypted else {})
