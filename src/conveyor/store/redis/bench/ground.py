"""A prefix of its own on the server that was named: see ``store.ground.Ground``."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import PurePath
from typing import Final, cast

from conveyor.core.errors import ConveyorError
from conveyor.core.lifecycle import FINAL, State
from conveyor.drivers.lent import Kind
from conveyor.drivers.redis import translated
from conveyor.store.ground import ELSEWHERE, FILLED, QUEUE, NotHere, Reading, Server, Tally
from conveyor.store.redis.bench import probe
from conveyor.store.redis.bench.scratch import Scratch
from conveyor.store.redis.place import Place
from conveyor.store.redis.scripts import call

SOME: Final = 1_000
"""Jobs that one call makes, or looks at."""
CALLS: Final = ("cmdstat_evalsha", "cmdstat_eval")
SAME: Final = ("run_id",)
"""What tells a server from any other, and from itself before a restart."""
NO_FSYNCS: Final = "Redis keeps no count of it"
NO_LOG: Final = "the append-only file is off"
NEW_LOG: Final = "the server has begun a new append-only file meanwhile"
OTHERS: Final = "a server was restarted, or another one has taken over, meanwhile"
NO_ROWS: Final = "Redis has none"
ONE_MEMORY: Final = "Redis has one memory for everything"
NO_SNAPSHOT: Final = (
    "Redis has no dead rows that a held snapshot could keep; measure PostgreSQL: --store postgresql://..."
)


class RedisGround:
    """See ``store.ground.Ground``. What the server counts is what all its users do."""

    def __init__(self, url: str, who: str = "bench") -> None:
        """Takes the prefix, on the server of *url*."""
        self._scratch = Scratch(url, who)
        self._shards = range(self._scratch.shards)
        self._first = self._scratch.facts()
        self.about: Mapping[str, str] = self._about()

    @property
    def url(self) -> str:
        """See ``Ground``."""
        return self._scratch.url

    @property
    def kind(self) -> Kind:
        """See ``Ground``."""
        return "redis"

    @property
    def servers(self) -> Sequence[Server]:
        """See ``Ground``; without replicas."""
        return [_server(facts) for facts in self._first]

    def written(self) -> Reading:
        """See ``Ground``: the size of the append-only files."""
        found = self._scratch.facts()
        if any(facts.get("aof_enabled") != "1" for facts in found):
            return Reading({}, {"wal_bytes": NO_LOG})
        if _told(found, "aof_base_size", *SAME) != _told(self._first, "aof_base_size", *SAME):
            return Reading({}, {"wal_bytes": NEW_LOG})
        return Reading({"wal_bytes": _sum(found, "aof_current_size")}, {})

    def counted(self, *, alone: bool = True) -> Reading:  # noqa: ARG002 - it counts at once
        """See ``Ground``: a transaction is a call of a script."""
        found, own = self._scratch.facts(), self._scratch.spoken
        missing = {"fsyncs": NO_FSYNCS, "dead_tuples": NO_ROWS}
        if _told(found, *SAME) != _told(self._first, *SAME):
            return Reading({}, {**missing, "transactions": OTHERS})
        told = [facts[name] for facts in found for name in CALLS if name in facts]
        calls = sum(int(text.partition("calls=")[2].partition(",")[0]) for text in told)
        return Reading({"transactions": calls - own}, missing)

    def sizes(self) -> Reading:
        """See ``Ground``: what the servers use more than before."""
        used = _sum(self._scratch.facts(), "used_memory") - _sum(self._first, "used_memory")
        whole = dict.fromkeys(("table_bytes", "index_bytes", "history_bytes"), ONE_MEMORY)
        return Reading({"memory_bytes": max(used, 0)}, {**whole, "dead_tuples": NO_ROWS})

    def unfinished(self) -> bool:
        """See ``Ground``."""
        return any(self._scratch.carried(call("bench/unfinished", QUEUE), shard) for shard in self._shards)

    def tally(self) -> Tally:
        """See ``Ground``: a thousand jobs at a time."""
        unfinished = sum(self._part("live", shard)[0] for shard in self._shards)
        ends = [(state, self._part(f"past:{state}", shard)) for state in sorted(FINAL) for shard in self._shards]
        began = min((began for _, (_, began, _) in ends if began), default=0)
        ended = max(ended for _, (*_, ended) in ends)
        succeeded = sum(jobs for state, (jobs, *_) in ends if state is State.SUCCEEDED)
        return Tally(unfinished, sum(jobs for _, (jobs, *_) in ends), succeeded, began, ended)

    def _part(self, index: str, shard: int) -> tuple[int, int, int]:
        """How many jobs of an index there are in a shard; the first start and the last end of them."""
        number, first, latest, last = 0, 0, 0, b""
        while True:
            answer = self._scratch.carried(call("bench/tally", index, last, FILLED, SOME), shard)
            after, jobs, began, ended = cast("tuple[bytes | None, int, bytes, bytes]", answer)
            if after is None:
                return number, first, latest
            number, last, latest = number + jobs, after, max(latest, int(ended))
            first = min(first or int(began), int(began) or first)

    def fill(self, waiting: int, finished: int) -> None:
        """See ``Ground``: each where its id says."""
        shards = len(self._shards)
        for name, count in (("bench/fill_waiting", waiting), ("bench/fill_finished", finished)):
            for first in range(1, count + 1, SOME):
                numbers = (first, min(first + SOME - 1, count), count)
                for shard in self._shards:
                    self._scratch.carried(call(name, *numbers, FILLED, QUEUE, ELSEWHERE, shard, shards), shard)

    def held(self) -> AbstractContextManager[None]:
        """See ``Ground``."""
        raise NotHere(NO_SNAPSHOT)

    def analyze(self) -> None:
        """See ``Ground``: nothing here plans by statistics."""

    def probe(self, count: int, rate: float) -> Sequence[float]:
        """See ``Ground``."""
        place = Place.of(self.url)
        with translated(writes=False):
            return probe.measured(place.source, f"{place.tags[0]}:probe", count, rate)

    def close(self) -> None:
        """See ``Ground``."""
        self._scratch.drop()

    def _about(self) -> Mapping[str, str]:
        """What is not the same on all servers is named as each has it."""
        each = [
            _about(facts, partial(self._configured, "appendfsync", shard))
            for facts, shard in zip(self._first, self._scratch.heads(), strict=True)
        ]
        names = dict.fromkeys(name for about in each for name in about)
        about = {name: ", ".join(sorted({about.get(name, "-") for about in each})) for name in names}
        several = {"servers": str(len(each)), "shards": str(len(self._shards))}
        return about if len(self._shards) == 1 else about | several

    def _configured(self, name: str, shard: int) -> str:
        """A setting of the server's, where it tells that: services often do not."""
        try:
            found = cast("list[bytes]", self._scratch.said("CONFIG", "GET", name, shard=shard))
        except ConveyorError:
            return "?"
        return found[1].decode() if found else "?"


def _server(facts: Mapping[str, str]) -> Server:
    program = PurePath(facts.get("executable", "redis-server")).name
    return Server(int(facts["process_id"]), f":{facts.get('tcp_port', '')}", program, alone=True)


def _told(found: Sequence[Mapping[str, str]], *names: str) -> Sequence[Sequence[str | None]]:
    return [[facts.get(name) for name in names] for facts in found]


def _sum(found: Sequence[Mapping[str, str]], name: str) -> int:
    return sum(int(facts[name]) for facts in found)


def _about(facts: Mapping[str, str], appendfsync: Callable[[], str]) -> Mapping[str, str]:
    valkey = facts.get("valkey_version")
    log = facts.get("aof_enabled") == "1"
    return {
        "server_version": f"{valkey} (Valkey)" if valkey else facts["redis_version"],
        "appendonly": "yes" if log else "no",
        **({"appendfsync": appendfsync()} if log else {}),
        "maxmemory_policy": facts.get("maxmemory_policy", "?"),
        "io_threads_active": facts.get("io_threads_active", "0"),
    }
