"""A store on Redis as it is, read with commands and a script of our own.

Of the rest of Conveyor nothing is used but what reads the address: the indexes of unfinished and of ended jobs stand
here for the two tables, and a job's hash for its row.
"""

import json
import secrets
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from conveyor.core.errors import StoreUnavailable, UsageError

HOT: Final = ("live",)
PAST: Final = tuple(f"past:{state}" for state in ("succeeded", "failed", "cancelled", "quarantined"))
TOGETHER: Final = 1_000
"""Keys, or commands, that go in one round trip."""
LOOK: Final = """
local P, found, fields = KEYS[1] .. ':', {}, cjson.decode(ARGV[1])
for n = 2, #ARGV do
  for _, id in ipairs(redis.call('ZRANGE', P .. ARGV[n], 0, -1)) do
    local row = redis.call('HMGET', P .. 'job:' .. id, unpack(fields))
    table.insert(row, 1, id)
    found[#found + 1] = {ARGV[n], row}
  end
end
return found
"""
"""All jobs of some indexes, as of one moment."""

Word = bytes | str | int
Cell = bytes | None
Found = tuple[str, Sequence[Cell]]
"""An index, and a job of it: its id, and the fields that were asked for."""


class _Client(Protocol):
    def execute_command(self, *words: Word) -> object: ...

    def pipeline(self, *, transaction: bool) -> "_Batch": ...


class _Batch(Protocol):
    def execute_command(self, *words: Word) -> object: ...

    def execute(self) -> Sequence[object]: ...


class Keys:
    """The keys of one store, which may have several parts, on several servers."""

    def __init__(self, clients: Mapping[str, _Client]) -> None:
        """*clients* go to the server of each part, by what its keys begin with."""
        self._clients = clients
        self.parts = tuple(clients)

    def call(self, name: str, key: str, *words: Word) -> list[object]:
        """The answers of all parts to a command on one key."""
        return [client.execute_command(name, f"{part}:{key}", *words) for part, client in self._clients.items()]

    def each(self, part: str, commands: Iterable[Sequence[Word]]) -> list[object]:
        """The answers to several commands on keys of one part, which are whole."""
        batch = self._clients[part].pipeline(transaction=False)
        answers: list[object] = []
        for number, words in enumerate(commands, 1):
            batch.execute_command(*words)
            if number % TOGETHER == 0:
                answers += batch.execute()
        return [*answers, *batch.execute()]

    def look(self, indexes: Sequence[str], *fields: str) -> Sequence[Found]:
        """The jobs of *indexes*, with some *fields* of each; each part as of one moment."""
        words = json.dumps(fields), *indexes
        rows = [client.execute_command("EVAL", LOOK, 1, part, *words) for part, client in self._clients.items()]
        found = [one for row in rows for one in cast("list[tuple[bytes, list[Cell]]]", row)]
        return [(index.decode(), cells) for index, cells in found]

    def names(self, part: str) -> list[str]:
        """All keys of a part, without what they begin with."""
        found: set[bytes] = set()
        cursor = 0
        while True:
            answer = self._clients[part].execute_command("SCAN", cursor, "MATCH", f"{part}:*", "COUNT", TOGETHER)
            cursor, some = cast("tuple[int, list[bytes]]", answer)
            found.update(some)
            if not int(cursor):
                return sorted(name.decode().removeprefix(f"{part}:") for name in found)

    def delete(self) -> None:
        """All of them."""
        for part in self.parts:
            self.each(part, (("UNLINK", f"{part}:{name}") for name in self.names(part)))

    def servers(self, *words: Word) -> list[object]:
        """The answers of all servers to a command that has no key."""
        return [client.execute_command(*words) for client in dict.fromkeys(self._clients.values())]


def on_redis(url: str) -> bool:
    """Whether the store at *url* is on a server of Redis or Valkey."""
    return urlsplit(url).scheme.startswith("redis")


@contextmanager
def keys(url: str) -> Generator[Keys]:
    """The keys of the store at *url*. ``StoreUnavailable`` if its server is not there."""
    try:
        import redis
        from redis.exceptions import AskError, ClusterError

        from conveyor.store.redis.place import Place
    except ImportError as error:
        raise UsageError(
            f"Redis needs redis-py ({error}); install Conveyor with its extra: 'conveyor[redis]'"
        ) from error
    source, _, _, parts, _ = Place.of(url)
    pools: dict[object, redis.ConnectionPool] = {}
    try:
        nodes = {part: source.node(part) for part in parts}
        pools |= {node: source.pool(node) for node in set(nodes.values())}
        clients = {node: cast(_Client, redis.Redis(connection_pool=pool)) for node, pool in pools.items()}
        yield Keys({part: clients[node] for part, node in nodes.items()})
    except (redis.ConnectionError, redis.TimeoutError, ClusterError, AskError) as error:
        raise StoreUnavailable(str(error)) from None
    finally:
        for pool in pools.values():
            pool.disconnect()


class Scratch:
    """A new, empty store beside the one at a URL, on the same server; gone when it is closed."""

    def __init__(self, url: str) -> None:
        """Its keys bear a prefix of its own."""
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        given["prefix"] = f"conveyor-chaos-{secrets.token_hex(4)}"
        self.url = parts._replace(query=urlencode(given)).geturl()

    def close(self) -> None:
        """Delete its keys, and no others."""
        with keys(self.url) as here:
            here.delete()


def registered(here: Keys) -> set[int]:
    """The processes that are known as runners, dead or alive."""
    infos = _of_each(here, "runners", "runner", "info")
    return {json.loads(info)["pid"] for _, info in infos if info is not None}


def schedules(here: Keys, *fields: str) -> Sequence[Sequence[Cell]]:
    """The name of each schedule, and some *fields* of it."""
    return _of_each(here, "schedules", "schedule", *fields)


def _of_each(here: Keys, index: str, key: str, *fields: str) -> list[list[Cell]]:
    """The name of each of an index, and some *fields* of its hash."""
    found: list[list[Cell]] = []
    for part, names in zip(here.parts, here.call("ZRANGE", index, 0, -1), strict=True):
        known = cast("list[bytes]", names)
        rows = here.each(part, (("HMGET", f"{part}:{key}:{name.decode()}", *fields) for name in known))
        found += [[name, *cast("list[Cell]", row)] for name, row in zip(known, rows, strict=True)]
    return found


def clock(here: Keys) -> int:
    """What time it is at the first server, in microseconds since 1970."""
    seconds, rest = cast("tuple[int, int]", here.servers("TIME")[0])
    return int(seconds) * 1_000_000 + int(rest)


def memory(here: Keys) -> int:
    """Bytes that the servers use, for all that is in them."""
    return sum(said["used_memory"] for said in cast("list[dict[str, int]]", here.servers("INFO", "memory")))


def clients(here: Keys, name: str) -> int:
    """The connections that say that this is their *name*, whichever store they are for."""
    lists = cast("list[list[dict[str, str]]]", here.servers("CLIENT LIST"))
    return sum(client["name"] == name for known in lists for client in known)
