"""The whole measure: servers are put up on this machine, for as long as it takes."""

import time
from collections import Counter
from contextlib import closing
from functools import partial
from typing import Final, TypedDict

import psycopg
import redis

from benchmarks.machine import about
from benchmarks.scaling.drains import PER_CALL, SLOTS, Drained, Idle, Servers, drained, idle
from benchmarks.scaling.measure import (
    Sample,
    Samples,
    bell_of_postgres,
    bell_of_redis,
    calls,
    cpu_of_redis,
    cpu_of_tree,
)
from conveyor.app import Conveyor
from conveyor.cli.bench.tasks import measured as bench
from conveyor.cli.bench.workers import working
from conveyor.store.redis.place import Place
from tests.support.cluster import Clustered
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

JOBS: Final = 20_000
LONGER: Final = 40_000
"""Where the seconds count."""
DURABLE: Final = {"appendonly": "yes", "appendfsync": "everysec"}
ROUNDS: Final = 3
SHARDS: Final = (1, 2, 3)
SOURCES: Final = 6
LOOKED: Final = 3.0
CONNECTIONS: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Kind(TypedDict):
    """What was measured of one kind of store, in rounds."""

    version: str
    calls: list[Samples]
    bell: list[list[Sample]]
    drains: list[list[Drained]]
    """By one and by two workers."""


class Figures(TypedDict):
    """All of it, as it goes to the JSON file."""

    date: str
    machine: dict[str, str]
    rounds: int
    redis: Kind
    postgresql: Kind
    connections: list[int]
    """Of one worker to PostgreSQL, at rest, and at the most while it works."""
    nodes: dict[str, list[Drained]]
    """On a Cluster, by the number of shards."""
    placed: dict[str, list[str]]
    """On which node each shard is, by their number."""
    idle: dict[str, Idle]
    """The same, of a worker with nothing to do."""
    bells: dict[str, int]
    """Which node of the Cluster six workers listen at, and how many there."""


def measured(rounds: int = ROUNDS) -> Figures:
    """Everything, in about five minutes."""
    one, other = _redis(rounds), _postgresql(rounds)
    nodes, placed, resting, bells = _cluster(rounds)
    return Figures(
        date=time.strftime("%d %B %Y").lstrip("0"),
        machine=about(),
        rounds=rounds,
        redis=one,
        postgresql=other[0],
        connections=other[1],
        nodes=nodes,
        placed=placed,
        idle=resting,
        bells=bells,
    )


def _redis(rounds: int) -> Kind:
    with RedisServer("valkey", **DURABLE) as server:
        cpu = partial(cpu_of_redis, server.port)
        found = Kind(version=_version(server), calls=[], bell=[], drains=[])
        for _ in range(rounds):
            found["calls"].append(calls(server.url(), cpu))
            found["bell"].append(bell_of_redis(server.port))
            drains: list[Drained] = []
            for workers in (1, 2):
                server.flush()
                drains.append(drained(server.url(), {"node": cpu}, LONGER, workers, [server.port]))
            found["drains"].append(drains)
            server.flush()
    return found


def _version(server: RedisServer) -> str:
    with closing(redis.Redis(port=server.port)) as client:
        facts = client.info("server")
    name = "valkey_version" if "valkey_version" in facts else "redis_version"
    return f"{name.partition('_')[0].capitalize()} {facts[name]}"


def _postgresql(rounds: int) -> tuple[Kind, list[int]]:
    with PostgresServer("17", durable=True, max_connections="300", shared_buffers="512MB") as server:
        assert server.process is not None  # noqa: S101 - it is started
        pid = server.process.pid
        cpu = partial(cpu_of_tree, pid)
        found = Kind(version="PostgreSQL 17", calls=[], bell=[], drains=[])
        for number in range(rounds):
            url = server.create_database(f"calls{number}")
            with closing(Conveyor(url)) as app:
                app.migrate()
            found["calls"].append(calls(url, cpu))
            found["bell"].append(bell_of_postgres(url, pid))
            drains: list[Drained] = []
            for workers in (1, 2):
                url = server.create_database(f"drain{number}_{workers}")
                with closing(Conveyor(url)) as app:
                    app.migrate()
                drains.append(drained(url, {"node": cpu}, LONGER, workers))
            found["drains"].append(drains)
        return found, _connections(url)


def _connections(url: str) -> list[int]:
    """Of one worker: at rest, and at the most that is seen while it works."""
    tasks = bench(url)
    with (
        closing(tasks.app) as app,
        psycopg.connect(url, autocommit=True) as looking,
        working(url, 1, SLOTS, None, lambda: sum(runner.alive for runner in app.jobs.runners())),
    ):
        app.enqueue_many(tasks.nothing.bind(number) for number in range(PER_CALL))
        app.close()  # so that ours are not counted
        seen: list[int] = []
        end = time.monotonic() + LOOKED
        while time.monotonic() < end:
            row = looking.execute(CONNECTIONS).fetchone()
            seen.append(int(row[0]) if row else 0)
        return [seen[-1], max(seen)]


def _cluster(rounds: int) -> tuple[dict[str, list[Drained]], dict[str, list[str]], dict[str, Idle], dict[str, int]]:
    nodes: dict[str, list[Drained]] = {}
    placed: dict[str, list[str]] = {}
    resting: dict[str, Idle] = {}
    with Clustered("valkey", **DURABLE) as cluster:
        primaries = cluster.nodes[:3]
        ports = {f"node {place}": node.port for place, node in enumerate(primaries, 1)}
        names = {port: name for name, port in ports.items()}
        servers: Servers = {name: partial(cpu_of_redis, port) for name, port in ports.items()}
        for shards in SHARDS:
            url = cluster.url(f"?shards={shards}")
            owners = [cluster.owner(tag) for tag in Place.of(url).tags]
            placed[str(shards)] = [names[owner.port] for owner in owners if owner]
            for _ in range(rounds):
                cluster.flush()
                nodes.setdefault(str(shards), []).append(drained(url, servers, JOBS, 1, list(ports.values())))
            cluster.flush()
            resting[str(shards)] = idle(url, ports, servers)
        bells = Counter(names[_listens_at(url)] for _ in range(SOURCES))
    return nodes, placed, resting, dict(bells)


def _listens_at(url: str) -> int:
    """The port of the node at which a new worker listens."""
    place = Place.of(url)
    place.source.node(place.tags[0])  # it has taken its lease before
    return int(place.source.listener().port)
