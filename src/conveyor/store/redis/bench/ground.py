"""A prefix of its own on the server that was named: see ``store.ground.Ground``."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
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
NO_FSYNCS: Final = "Redis keeps no count of it"
NO_LOG: Final = "the append-only file is off"
NEW_LOG: Final = "the server has begun a new append-only file meanwhile"
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
        self._first = self._scratch.facts()
        self.about: Mapping[str, str] = _about(self._first, self._configured("appendfsync"))

    @property
    def url(self) -> str:
        """See ``Ground``."""
        return self._scratch.url

    @property
    def kind(self) -> Kind:
        """See ``Ground``."""
        return "redis"

    @property
    def server(self) -> Server:
        """See ``Ground``."""
        facts = self._first
        program = PurePath(facts.get("executable", "redis-server")).name
        return Server(int(facts["process_id"]), f":{facts.get('tcp_port', '')}", program, alone=True)

    def written(self) -> Reading:
        """See ``Ground``: the size of the append-only file."""
        facts = self._scratch.facts()
        if facts.get("aof_enabled") != "1":
            return Reading({}, {"wal_bytes": NO_LOG})
        if facts.get("aof_base_size") != self._first.get("aof_base_size"):
            return Reading({}, {"wal_bytes": NEW_LOG})
        return Reading({"wal_bytes": int(facts["aof_current_size"])}, {})

    def counted(self, *, alone: bool = True) -> Reading:  # noqa: ARG002 - it counts at once
        """See ``Ground``: a transaction is a call of a script."""
        facts, own = self._scratch.facts(), self._scratch.spoken
        calls = sum(int(facts[name].partition("calls=")[2].partition(",")[0]) for name in CALLS if name in facts)
        return Reading({"transactions": calls - own}, {"fsyncs": NO_FSYNCS, "dead_tuples": NO_ROWS})

    def sizes(self) -> Reading:
        """See ``Ground``: what the server uses more than before."""
        used = int(self._scratch.facts()["used_memory"]) - int(self._first["used_memory"])
        whole = dict.fromkeys(("table_bytes", "index_bytes", "history_bytes"), ONE_MEMORY)
        return Reading({"memory_bytes": max(used, 0)}, {**whole, "dead_tuples": NO_ROWS})

    def unfinished(self) -> bool:
        """See ``Ground``."""
        return bool(self._scratch.carried(call("bench/unfinished", QUEUE)))

    def tally(self) -> Tally:
        """See ``Ground``: a thousand jobs at a time."""
        parts = {name: self._part(name) for name in ("live", *(f"past:{state}" for state in sorted(FINAL)))}
        unfinished, *_ = parts.pop("live")
        began = min((began for _, began, _ in parts.values() if began), default=0)
        ended = max(ended for *_, ended in parts.values())
        history = sum(jobs for jobs, *_ in parts.values())
        return Tally(unfinished, history, parts[f"past:{State.SUCCEEDED}"][0], began, ended)

    def _part(self, index: str) -> tuple[int, int, int]:
        """How many jobs of an index there are; the first start and the last end of them."""
        number, first, latest, last = 0, 0, 0, b""
        while True:
            answer = self._scratch.carried(call("bench/tally", index, last, FILLED, SOME))
            after, jobs, began, ended = cast("tuple[bytes | None, int, bytes, bytes]", answer)
            if after is None:
                return number, first, latest
            number, last, latest = number + jobs, after, max(latest, int(ended))
            first = min(first or int(began), int(began) or first)

    def fill(self, waiting: int, finished: int) -> None:
        """See ``Ground``."""
        for name, count in (("bench/fill_waiting", waiting), ("bench/fill_finished", finished)):
            for first in range(1, count + 1, SOME):
                last = min(first + SOME - 1, count)
                self._scratch.carried(call(name, first, last, count, FILLED, QUEUE, ELSEWHERE))

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

    def _configured(self, name: str) -> str:
        """A setting of the server's, where it tells that: services often do not."""
        try:
            found = cast("list[bytes]", self._scratch.said("CONFIG", "GET", name))
        except ConveyorError:
            return "?"
        return found[1].decode() if found else "?"


def _about(facts: Mapping[str, str], appendfsync: str) -> Mapping[str, str]:
    valkey = facts.get("valkey_version")
    log = facts.get("aof_enabled") == "1"
    return {
        "server_version": f"{valkey} (Valkey)" if valkey else facts["redis_version"],
        "appendonly": "yes" if log else "no",
        **({"appendfsync": appendfsync} if log else {}),
        "maxmemory_policy": facts.get("maxmemory_policy", "?"),
        "io_threads_active": facts.get("io_threads_active", "0"),
    }
