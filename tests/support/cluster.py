"""A Redis Cluster of three primaries and three replicas on 127.0.0.1, gone without a trace."""

import contextlib
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import redis
from redis.crc import key_slot

from tests.support.redis import RedisServer
from tests.support.server import Together
from tests.support.waiting import until

SLOTS: Final = 16_384
SILENCE: Final = 1_000
"""Milliseconds after which a node takes another one for dead."""
STARTING: Final = 40.0


class Node(RedisServer):
    """One server of it."""

    def __init__(self, version: str, **settings: str) -> None:
        """Make the data folder; start() starts the server on it."""
        super().__init__(version, cluster_enabled="yes", cluster_node_timeout=str(SILENCE), **settings)

    def free_port(self) -> int:
        """See ``Server``: with its other one, for the nodes among themselves, which must be free too."""
        while True:
            port = super().free_port()
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 10_000)):
                return port

    def ask(self, *words: object) -> object:
        """The answer to a command."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            return client.execute_command(*words)

    @property
    def name(self) -> str:
        """Its id in the Cluster."""
        return str(self.ask("CLUSTER MYID"))

    @property
    def leads(self) -> bool:
        """Whether it is a primary."""
        with redis.Redis(port=self.port) as client:
            return client.info("replication")["role"] == "master"


class Clustered(Together):
    """The whole of it."""

    def __init__(self, version: str, **settings: str) -> None:
        """*settings* go to all six servers."""
        super().__init__()
        self._version = version
        self._settings = settings
        self.nodes: list[Node] = []

    def begin(self, stack: ExitStack) -> None:
        """See ``Together``."""
        self.nodes = [stack.enter_context(Node(self._version, **self._settings)) for _ in range(6)]
        primaries, replicas = self.nodes[:3], self.nodes[3:]
        for number, node in enumerate(primaries):
            first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3
            node.ask("CLUSTER", "ADDSLOTS", *range(first, last))
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        names = [node.name for node in self.nodes]
        until(lambda: all(all(name in self._seen(node) for name in names) for node in self.nodes), patience=STARTING)
        for primary, replica in zip(primaries, replicas, strict=True):
            replica.ask("CLUSTER", "REPLICATE", primary.name)
        until(lambda: all(self._well(node) for node in self.nodes), patience=STARTING)

    def url(self, options: str = "") -> str:
        """Its address."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}/0{options}"

    def flush(self) -> None:
        """Have nothing in it any more."""
        for node in self.alive():
            if node.leads:
                node.ask("FLUSHALL")

    def alive(self) -> list[Node]:
        """The nodes that were not killed."""
        return [node for node in self.nodes if node.process is not None]

    def owner(self, tag: str) -> Node | None:
        """The primary of a tag's slot; ``None`` while there is none."""
        slot = key_slot(tag.encode())
        found = (node for node in self.alive() if node.leads and any(a <= slot <= b for a, b in self._ranges(node)))
        return next(found, None)

    def move(self, tag: str, target: Node, between: Callable[[], None] = lambda: None) -> None:
        """Move a tag's slot to another primary, a few keys at a time; *between* each few something else is done."""
        slot, source = key_slot(tag.encode()), self.owner(tag)
        assert source is not None
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.name)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.name)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 20):
            assert isinstance(keys, list)
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
            between()
        for node in (target, source, *self.alive()):
            if node.leads:
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.name)

    @staticmethod
    def _ranges(node: Node) -> list[tuple[int, int]]:
        slots = node.ask("CLUSTER", "SLOTS")
        assert isinstance(slots, list)
        return [(first, last) for first, last, primary, *_ in slots if primary[1] == node.port]

    @staticmethod
    def _seen(node: Node) -> str:
        return str(node.ask("CLUSTER NODES"))

    @staticmethod
    def _well(node: Node) -> bool:
        with redis.Redis(port=node.port, decode_responses=True) as client:
            state = client.execute_command("CLUSTER INFO")
            role = client.info("replication")
        good = state.get("cluster_state") == "ok" if isinstance(state, dict) else "cluster_state:ok" in state
        return good and (role["role"] == "master" or role["master_link_status"] == "up")
