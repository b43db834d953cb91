"""The measures. Each takes a place whose database holds nothing but the peer's empty tables."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.machine import Meter, cpu_of
from benchmarks.peers.common import AS_IT_COMES
from benchmarks.place import Failed, Peer, Place, kill

PATIENCE = 300.0
MICRO = 1_000_000
MILLI_OF_NANO = 1_000_000

Figures = Mapping[str, float]
"""A measure's figures, by the keys of tables.ROWS."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    jobs: int = 40_000
    """In a drain, for a peer whose share is 1; fewer, if they cannot be enqueued in time."""
    per_call: int = 1_000
    callers: int = 100
    rate: float = 20.0
    seconds: float = 5.0
    """How long each measure may take; what is not done then is not counted."""

    def drained(self, peer: Peer) -> int:
        """How many jobs *peer* is to work off."""
        return max(round(self.jobs * peer.share), self.per_call)


def drain(place: Place, meter: Meter, sizes: Sizes) -> Figures:
    """Jobs that wait are worked off by one process; and what it took to put them there."""
    filled, enqueued = fill(place, meter, sizes)
    return {**filled, **work_off(place, meter, enqueued, sizes.seconds, key="drain")}


def drain_by_two(place: Place, meter: Meter, sizes: Sizes) -> Figures:
    """The same by two processes."""
    _, enqueued = fill(place, meter, sizes)
    return work_off(place, meter, enqueued, sizes.seconds, key="drain2", workers=2)


def drain_as_it_comes(place: Place, meter: Meter, sizes: Sizes) -> Figures:
    """The same by one process for which nothing was set."""
    _, enqueued = fill(place, meter, sizes)
    figures = work_off(place, meter, enqueued, sizes.seconds, AS_IT_COMES, key="plain")
    return {"plain": figures["plain"]}


def fill(place: Place, meter: Meter, sizes: Sizes) -> tuple[Figures, int]:
    """Enqueue in bulk; the figures, and how many jobs there are now."""
    before = meter.spent()
    timed = place.enqueue("bulk", sizes.drained(place.peer), sizes.per_call, sizes.seconds)
    spent = meter.spent().since(before)
    figures = {
        "bulk": timed["jobs"] / timed["seconds"],
        "bulk_client": timed["cpu"] / timed["jobs"] * MICRO,
        "bulk_server": spent.cpu / timed["enqueued"] * MICRO,
        **spent.each("bulk", timed["enqueued"]),
    }
    return figures, timed["enqueued"]


def work_off(
    place: Place, meter: Meter, jobs: int, seconds: float, *options: str, key: str, workers: int = 1
) -> Figures:
    """From the moment when every worker is seen to work until the end of the last job is written, or time is up.

    So no worker's start is counted; nor are the jobs that were started before that moment.
    """
    with place.workers(workers, *options) as processes, place.looking() as look:
        place.until(lambda: len(place.started()) >= workers, PATIENCE, "every worker to begin")
        pids = [process.pid for process in processes]
        begun, head, before, cpu = time.monotonic(), place.count(), meter.spent(), cpu_of(*pids)
        end = begun + seconds
        # The tables are not asked before all have started: that would be work for the server.
        place.until(lambda: place.count() >= jobs or time.monotonic() > end, PATIENCE, "jobs to start")
        place.until(lambda: not look("unfinished") or time.monotonic() > end, PATIENCE, "jobs to end")
        took, spent, cpu = time.monotonic() - begun, meter.spent().since(before), cpu_of(*pids) - cpu
        ended = jobs - look("unfinished")
    with place.looking() as look:  # now that nothing changes any more
        kept = look("kept") / max(jobs - look("unfinished"), 1)
    if ended <= head:
        raise Failed(f"{place.peer.title}: of {jobs} jobs {head} began before the measure and {ended} were ended in it")
    done = ended - head
    return {
        key: done / took,
        f"{key}_worker": cpu / done * MICRO,
        f"{key}_server": spent.cpu / done * MICRO,
        **spent.each(key, done),
        f"{key}_kept": kept,
    }


def enqueue(place: Place, meter: Meter, sizes: Sizes) -> Figures:
    """One job a call: from many callers at a time, and one call at a time."""
    before = meter.spent()
    many = place.enqueue("callers", sizes.callers, sizes.seconds)
    spent = meter.spent().since(before)
    alone = place.enqueue("callers", 1, sizes.seconds / 2)
    return {
        "callers": many["jobs"] / many["seconds"],
        "callers_client": many["cpu"] / many["jobs"] * MICRO,
        "callers_server": spent.cpu / many["enqueued"] * MICRO,
        "single": alone["jobs"] / alone["seconds"],
    }


def latency(place: Place, meter: Meter, sizes: Sizes) -> Figures:  # noqa: ARG001 - all measures are called alike
    """Milliseconds from the call of enqueue to the start of the function, in another process."""
    with place.workers():
        timed = place.enqueue("latency", sizes.seconds, sizes.rate)
        place.until(lambda: place.count() >= timed["enqueued"], PATIENCE, "the timed jobs to start")
    waits = sorted(wait for one in place.started() for wait in one.waits)
    return {"p50": percentile(waits, 50) / MILLI_OF_NANO, "p99": percentile(waits, 99) / MILLI_OF_NANO}


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The smallest of *ordered* that *percent* of them do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]


def comes_back(place: Place, patience: float) -> float | None:
    """Kill -9 a worker in the middle of a job, with another one to take over; seconds until the job starts again.

    None if it does not within *patience* seconds.
    """
    place.enqueue("nap")
    with place.workers() as (victim,):
        place.until(lambda: place.count() >= 1, PATIENCE, "the job to start")
        kill(victim)
    killed = time.monotonic()
    with place.workers():
        while time.monotonic() < killed + patience:
            if place.count() > 1:
                return time.monotonic() - killed
            time.sleep(0.05)
    return None
