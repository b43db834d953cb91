"""Real workers on real servers: what a job costs each node, and what a worker with nothing to do asks of each."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final, TypedDict

import redis

from conveyor.app import Conveyor
from conveyor.cli.bench.proc import cpu_seconds
from conveyor.cli.bench.tasks import measured
from conveyor.cli.bench.workers import Workers, working
from conveyor.core.errors import ConveyorError
from conveyor.core.model import COUNTED
from conveyor.store.ground import QUEUE

PER_CALL: Final = 1_000
SLOTS: Final = 200
IDLE: Final = 10.0
FEWEST: Final = 5
"""Looks that tell a rate."""
REST: Final = 3.0
"""Seconds that a worker gets to come to rest."""
SCRIPTS: Final = ("cmdstat_evalsha", "cmdstat_eval")

Servers = Mapping[str, Callable[[], float]]
"""By its name, what reads a server's CPU seconds."""


class Drained(TypedDict):
    """One run."""

    jobs: int
    workers: int
    seconds: float
    """From the resume of the queue until all have ended."""
    enqueue: Mapping[str, float]
    """CPU seconds of each server while the jobs were enqueued."""
    drain: Mapping[str, float]
    """The same while they were worked off."""
    client: float
    """CPU seconds of the enqueuing process."""
    worker: float
    """CPU seconds of all workers."""
    calls: float
    """Scripts that Redis ran while the jobs were worked off."""
    rate: float
    """Jobs a second once all is under way: a worker takes a while to notice that the queue was resumed."""


class Idle(TypedDict):
    """One worker with nothing to do."""

    seconds: float
    calls: Mapping[str, float]
    """Scripts that each server ran."""
    connections: Mapping[str, float]
    """What the worker holds to each server."""
    cpu: Mapping[str, float]


def drained(url: str, servers: Servers, jobs: int, workers: int, ports: Sequence[int] = ()) -> Drained:
    """Enqueue *jobs* while the queue is paused, and let *workers* have them."""
    tasks = measured(url)
    with closing(tasks.app) as app:
        app.queues.pause(QUEUE)
        before, client = _read(servers), time.process_time()
        for first in range(0, jobs, PER_CALL):
            app.enqueue_many(tasks.nothing.bind(number) for number in range(first, first + PER_CALL))
        client, enqueue = time.process_time() - client, _since(servers, before)
        with working(url, workers, SLOTS, None, lambda: _alive(app)) as running:
            before, calls, own = _read(servers), scripts(ports), _cpu(running)
            begun, left = time.perf_counter(), Left(app)
            app.queues.resume(QUEUE)
            running.wait(lambda: not left.look(), lambda: float(jobs - left.look()))
            seconds, worker = time.perf_counter() - begun, _cpu(running) - own
            drain, calls = _since(servers, before), scripts(ports) - calls
        if (succeeded := app.jobs.counts()["succeeded"]) < min(jobs, 10_000):
            raise ConveyorError(f"of {jobs:,} jobs {succeeded:,} have succeeded; the measure says nothing")
    return Drained(
        jobs=jobs,
        workers=workers,
        seconds=seconds,
        enqueue=enqueue,
        drain=drain,
        client=client,
        worker=worker,
        calls=calls,
        rate=left.rate or jobs / seconds,
    )


class Left:
    """How many jobs have not ended, look by look."""

    def __init__(self, app: Conveyor) -> None:
        """Has not looked yet."""
        self._app = app
        self._seen: list[tuple[float, int]] = []

    def look(self) -> int:
        """Look once more."""
        left = _unfinished(self._app)
        self._seen.append((time.perf_counter(), left))
        return left

    @property
    def rate(self) -> float:
        """Jobs a second between the first look at which they could be counted and the last but the end; 0 for none."""
        exact = [(at, left) for at, left in self._seen if 0 < left < COUNTED]
        if len(exact) < FEWEST:
            return 0.0
        (begun, most), (ended, least) = exact[0], exact[-1]
        return (most - least) / (ended - begun)


def idle(url: str, ports: Mapping[str, int], servers: Servers) -> Idle:
    """One worker that has come to rest."""
    with closing(measured(url).app) as app:
        alone = {name: connected(port) for name, port in ports.items()}
        return _idle(app, url, ports, servers, alone)


def _idle(app: Conveyor, url: str, ports: Mapping[str, int], servers: Servers, alone: Mapping[str, float]) -> Idle:
    with working(url, 1, SLOTS, None, lambda: _alive(app)):
        app.close()
        time.sleep(REST)
        connections = {name: connected(port) - alone[name] for name, port in ports.items()}
        before, cpu = {name: scripts([port]) for name, port in ports.items()}, _read(servers)
        begun = time.perf_counter()
        time.sleep(IDLE)
        seconds = time.perf_counter() - begun
        calls = {name: scripts([port]) - before[name] for name, port in ports.items()}
        return Idle(seconds=seconds, calls=calls, connections=connections, cpu=_since(servers, cpu))


def scripts(ports: Sequence[int]) -> float:
    """How many scripts the servers have run."""
    found = 0
    for port in ports:
        with closing(redis.Redis(port=port)) as client:
            facts = client.info("commandstats")
        found += sum(int(facts[name]["calls"]) for name in SCRIPTS if name in facts)
    return float(found)


def connected(port: int) -> float:
    """How many clients a server has."""
    with closing(redis.Redis(port=port)) as client:
        return float(client.info("clients")["connected_clients"])


def _read(servers: Servers) -> dict[str, float]:
    return {name: read() for name, read in servers.items()}


def _since(servers: Servers, before: Mapping[str, float]) -> dict[str, float]:
    return {name: now - before[name] for name, now in _read(servers).items()}


def _cpu(workers: Workers) -> float:
    return sum(cpu_seconds(process) for process in workers.processes)


def _alive(app: Conveyor) -> int:
    return sum(runner.alive for runner in app.jobs.runners())


def _unfinished(app: Conveyor) -> int:
    counts = app.jobs.counts()
    return counts["ready"] + counts["running"] + counts["retryable"]
