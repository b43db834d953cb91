"""What calls cost, by the number of their jobs: CPU of the server and of the caller, and seconds."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

import psycopg
import redis

from conveyor.app import Conveyor
from conveyor.cli.bench.proc import family
from conveyor.core import ids
from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed, NewJob, Outcome, RunnerInfo
from conveyor.store.contract import Store

QUEUE: Final = "bench"
TASK: Final = "bench.nothing"
CALLS: Final = {1: 300, 10: 150, 100: 40, 1_000: 8}
"""Calls of each size, by the number of jobs in each."""
LISTENERS: Final = (0, 20, 100)
RINGS: Final = 100
NANO: Final = 1e-9

Cpu = Callable[[], float]
"""Seconds that a server has spent so far."""


class Sample(TypedDict):
    """One kind of call with so many jobs: one turn's figures, in seconds a call."""

    jobs: int
    server: float
    client: float
    took: float


Samples = dict[str, list[Sample]]
"""By the kind of call."""


def cpu_of_redis(port: int) -> float:
    """Seconds of CPU of the server's process, by its INFO; what it wrote anew in a child is not in it."""
    with closing(redis.Redis(port=port)) as client:
        said = client.info("cpu")
    return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])


def cpu_of_tree(pid: int) -> float:
    """Seconds of CPU of a process and all that it has started and that lives."""
    return sum(_spent(member) for member in family(pid)) * NANO


def _spent(pid: int) -> int:
    try:
        return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    except (OSError, ValueError, IndexError):  # it ended meanwhile
        return 0


def new_jobs(count: int) -> Sequence[NewJob]:
    """So many, as ``enqueue`` makes them of a call with one argument."""
    return [NewJob(ids.new(), TASK, QUEUE, 0, 0, 0, 5, None, f"[[{place}],{{}}]".encode()) for place in range(count)]


def calls(url: str, server: Cpu) -> Samples:
    """Enqueue, claim and settle in batches of each size, claim and look in vain; by one blocking caller."""
    found: Samples = {"enqueue": [], "claim": [], "settle": []}
    with closing(Conveyor(url)) as app:
        hand = Hand(app.store)
        for jobs, count in CALLS.items():
            for kind, sample in _turn(hand, server, jobs, count).items():
                found[kind].append(sample)
        found["claim"].insert(0, _timed(server, 0, [partial(hand.claim, 10)] * CALLS[1]))
        found["look"] = [_timed(server, 0, [hand.look] * CALLS[1])]
    return found


class Hand:
    """A runner moved by hand, that remembers where its claims began, as a worker does."""

    def __init__(self, store: Store) -> None:
        """Takes a lease that outlives the measure."""
        self._store = store
        self._runner = os.urandom(16)
        self._sight = store.listener(self._runner).sight
        info = RunnerInfo(host="here", pid=1, queues={QUEUE: 1_000}, tasks=(TASK,), version="0")
        with closing(store.leases(3_600.0)) as leases:
            leases.register(self._runner, info)

    def enqueue(self, batch: Sequence[NewJob]) -> None:
        """Store new jobs."""
        self._store.run(self._store.operations.enqueue(batch))

    def claim(self, jobs: int) -> Sequence[Claimed]:
        """Take so many."""
        operations = self._store.operations
        return self._store.run(operations.claim(self._runner, {QUEUE: jobs}, [TASK], self._sight))

    def claim_anew(self, jobs: int) -> Sequence[Claimed]:
        """Take so many, from the very first."""
        self._sight.forget()
        return self.claim(jobs)

    def settle(self, jobs: Sequence[Claimed]) -> None:
        """Write that they succeeded."""
        ends = [Outcome(job.id, job.token, self._runner, Event.SUCCEED, result=b"null", run_time=7) for job in jobs]
        self._store.run(self._store.operations.settle(ends))

    def look(self) -> None:
        """Ask when something will be due."""
        self._store.run(self._store.operations.next_due([QUEUE], self._sight))


def _turn(hand: Hand, server: Cpu, jobs: int, count: int) -> dict[str, Sample]:
    """*count* calls of each kind, each with so many *jobs*; what one kind made the next one takes."""
    batches = [new_jobs(jobs) for _ in range(count)]
    enqueued = _timed(server, jobs, [partial(hand.enqueue, batch) for batch in batches])
    taken: list[Claimed] = []
    claim = _timed(server, jobs, [lambda: taken.extend(hand.claim(jobs))] * count)
    while len(taken) < jobs * count:  # those of one call come due 1 us apart
        taken.extend(hand.claim_anew(jobs))
    parts = [taken[first : first + jobs] for first in range(0, len(taken), jobs)]
    settled = _timed(server, jobs, [partial(hand.settle, part) for part in parts])
    return {"enqueue": enqueued, "claim": claim, "settle": settled}


def _timed(server: Cpu, jobs: int, acts: Sequence[Callable[[], object]]) -> Sample:
    acts[0]()  # whatever the first one has to prepare
    rest = acts[1:]
    spent, own, begun = server(), time.process_time(), time.perf_counter()
    for act in rest:
        act()
    took, own = time.perf_counter() - begun, time.process_time() - own
    count = len(rest)
    return Sample(jobs=jobs, server=(server() - spent) / count, client=own / count, took=took / count)


# -- the bell


RINGING: Final = "for n = 1, #ARGV do redis.call('PUBLISH', ARGV[n], '!') end"


def bell_of_redis(port: int) -> list[Sample]:
    """What a script costs the server that rings some listeners, each in a channel of its own, by how many they are."""
    found: list[Sample] = []
    for listeners in LISTENERS:
        with closing(redis.Redis(port=port, max_connections=listeners + 2)) as client:
            hearing = {f"bell:{number}": client.pubsub() for number in range(listeners)}
            for channel, one in hearing.items():
                one.subscribe(channel)
                one.get_message(timeout=5.0)
            cpu = partial(cpu_of_redis, port)
            found.append(_timed(cpu, listeners, [partial(client.eval, RINGING, 0, *hearing)] * RINGS))
            for one in hearing.values():
                one.close()
    return found


def bell_of_postgres(url: str, pid: int) -> list[Sample]:
    """What a NOTIFY in a transaction of its own costs the server, by how many listen."""
    found: list[Sample] = []
    for listeners in LISTENERS:
        hearing = [psycopg.connect(url, autocommit=True) for _ in range(listeners)]
        for one in hearing:
            one.execute("LISTEN bell")
        with psycopg.connect(url, autocommit=True) as connection:

            def ring(hearing: Sequence[psycopg.Connection] = hearing) -> None:
                connection.execute("NOTIFY bell")
                for one in hearing:
                    next(one.notifies(timeout=5.0, stop_after=1))

            found.append(_timed(partial(cpu_of_tree, pid), listeners, [ring] * (RINGS // 5)))
        for one in hearing:
            one.close()
    return found
