"""A prefix of keys for one measure, which nobody else has, and which is gone with all its keys in the end.

Why not a database of the server's by number: clusters and many services have only one.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from conveyor.core.errors import ConveyorError
from conveyor.drivers.redis import Argument, Carried, Moving, carry, packed, translated
from conveyor.drivers.redis_cluster import Cluster
from conveyor.drivers.redis_links import Links
from conveyor.drivers.redis_sources import Node
from conveyor.plan import Statement
from conveyor.store.redis.opened import MOVING
from conveyor.store.redis.place import Place
from conveyor.store.redis.sharding import grouped

logger = logging.getLogger("conveyor.bench")

SCANNED: Final = 1_000
"""Keys that the server looks at in one go."""
_told: Final[set[str]] = set()


class Scratch:
    """The prefix, and a connection to where its keys are. A set of the server's knows the prefixes in use."""

    def __init__(self, url: str, who: str = "bench") -> None:
        """Takes a new one on the server of *url*. ``UsageError`` and ``StoreUnavailable`` as a store."""
        self._known = f"conveyor-{who}"
        self.name = f"{self._known}-{secrets.token_hex(6)}"
        self.url = beside(url, self.name)
        place = Place.of(self.url)
        self._source, self._tags = place.source, place.tags
        self._links = Links(place.source, [*place.tags, self._known])
        self.shards = len(place.tags)
        self._apart = self.shards
        """Behind the shards: where the set of prefixes is, which on a Cluster is a node like any other."""
        self.spoken = 0
        """Scripts that this object has called."""
        self._tell_left()
        self.said("SADD", self._known, self.name, shard=self._apart)

    def said(self, *words: Argument, shard: int = 0) -> object:
        """What the server of a *shard* answers to a command."""
        with translated(writes=False), self._links.link() as to:
            connection = to(shard)
            connection.send_packed_command(packed(*words))
            return connection.read_response()

    def carried(self, statement: Statement, shard: int = 0) -> object:
        """What a script answers in a *shard*."""
        self.spoken += 1
        with self._links.link() as to:
            carried = Carried(self._links.forget, writes=False)
            there = replace(statement, params={**statement.params, "shard": shard})
            return carry(to, self._tags, carried)(there).rows[0][0]

    def heads(self) -> Sequence[int]:
        """The first shard on each server that has any."""
        with translated(writes=False), self._links.link() as to:
            first: dict[int, int] = {}
            for shard in range(self.shards):
                first.setdefault(id(to(shard)), shard)
            return list(first.values())

    def facts(self) -> Sequence[Mapping[str, str]]:
        """What each of these servers says of itself."""
        return [_read(cast(bytes, self.said("INFO", "everything", shard=shard))) for shard in self.heads()]

    def drop(self) -> None:
        """Remove the keys; a failure is told, with what to do."""
        try:
            self._patiently(self._drop)
        except ConveyorError as error:
            logger.warning("keys are left over, remove them: %s: %s", self._removal(self.name), error)
        finally:
            self._links.close()

    def _patiently(self, do: Callable[[], None]) -> None:
        """*do*, again when a slot is on its way to another node."""
        for pause in MOVING:
            try:
                return do()
            except Moving:
                self._links.forget()
                time.sleep(pause)
        return do()

    def _drop(self) -> None:
        for shard in self.heads():
            for keys in self._keys(shard):
                for tag, ours in grouped(keys, self._tag_of).items():  # those of one command must be of one slot
                    if tag is not None:
                        self.said("UNLINK", *ours, shard=self._tags.index(tag))
        self.said("SREM", self._known, self.name, shard=self._apart)

    def _tag_of(self, key: bytes) -> str | None:
        """The tag that *key* bears; ``None`` for one that is not ours."""
        return next((tag for tag in self._tags if key.startswith(f"{tag}:".encode())), None)

    def _keys(self, shard: int) -> Iterator[list[bytes]]:
        """Those of the server that has that *shard*."""
        cursor = b"0"
        while True:
            answer = self.said("SCAN", cursor, "MATCH", f"{{{self.name}:*", "COUNT", SCANNED, shard=shard)
            cursor, keys = cast(tuple[bytes, list[bytes]], answer)
            yield keys
            if cursor == b"0":
                return

    def _tell_left(self) -> None:
        """Say what a run that was killed has left behind; to remove it is the user's decision."""
        for name in cast("list[bytes]", self.said("SMEMBERS", self._known, shard=self._apart)):
            left = name.decode("utf-8", "replace")
            if left not in _told:
                _told.add(left)
                logger.warning("keys of another run are there; if it has ended, remove them: %s", self._removal(left))

    def _removal(self, name: str) -> str:
        return removal(name, self._source.primaries if isinstance(self._source, Cluster) else ())


def _read(info: bytes) -> Mapping[str, str]:
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, _, value in lines if value}


def beside(url: str, prefix: str) -> str:
    """*url* with another prefix; all else as it was."""
    parts = urlsplit(url)
    rest = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "prefix"]
    return parts._replace(query=urlencode([*rest, ("prefix", prefix)])).geturl()


def removal(name: str, nodes: Sequence[Node] = ()) -> str:
    """The command that removes what is left of a run; of a Cluster each of its *nodes* has a part."""
    known = name.rpartition("-")[0]
    if not nodes:
        return f"redis-cli --scan --pattern '{{{name}:*' | xargs redis-cli unlink; redis-cli srem {known} {name}"
    hosts = " ".join(f"'{host} -p {port}'" for host, port in nodes)
    host, port = nodes[0]
    each = f"redis-cli -h $at --scan --pattern '{{{name}:*' | xargs -n 1 redis-cli -c -h $at unlink"
    return f"for at in {hosts}; do {each}; done; redis-cli -c -h {host} -p {port} srem {known} {name}"
