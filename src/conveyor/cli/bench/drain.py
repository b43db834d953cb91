"""How fast workers get through what is there already."""

import time
from typing import Final

from conveyor.cli.bench.figures import Run
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.site import Parts, Site, joined, reported, site
from conveyor.store.ground import QUEUE

JOBS: Final = 50_000
NO_WAIT: Final = "in a drain jobs wait for the worker, and never the worker for them"


def measure_drain(settings: Settings) -> Parts:
    """Jobs per second of workers that are up when the first job may start, from its claim to the end of the last.

    With cells the job is a plain function.
    """
    with site(settings) as here:
        return {"": drained(here, settings.jobs or JOBS)}


def drained(here: Site, jobs: int) -> Run:
    """Enqueue *jobs* while the queue is paused, let workers have them, and look for every one in history."""
    empty = here.ground.written()
    here.app.queues.pause(QUEUE)
    enqueued = time.perf_counter()
    here.fill(here.tasks.plain if here.settings.cells else here.tasks.nothing, jobs)
    enqueued = time.perf_counter() - enqueued
    before = here.counted()
    with here.working() as workers:
        begun = here.moment(workers)
        here.app.queues.resume(QUEUE)
        here.finished(workers)
        ended = here.moment(workers)
    counted = here.counted().since(before)
    found = here.check(jobs)
    more = {"history_rows": found["history_rows"], "enqueue_per_second": jobs / enqueued}
    whole = ended.since(empty).values
    if "wal_bytes" in whole:
        more["wal_bytes_per_job_with_enqueue"] = whole["wal_bytes"] / jobs
    return reported(jobs, found["worked"], joined(ended.since(begun), counted), more, NO_WAIT)
