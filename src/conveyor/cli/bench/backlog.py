"""Whether many waiting and finished jobs make anything slow."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Final

from conveyor.cli.bench.drain import drained
from conveyor.cli.bench.figures import Run
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.site import MS, Parts, Site, site
from conveyor.cli.progress import progress
from conveyor.core.lifecycle import State
from conveyor.store.ground import QUEUE

JOBS: Final = 5_000
TIMES: Final = 5
"""Each question is asked so often; the median counts, and the first answer does not."""
FINGERPRINT: Final = "bench1"


def measure_backlog(settings: Settings) -> Parts:
    """The same jobs, and the same questions, on an empty store and on a full one."""
    jobs = settings.jobs or JOBS
    with site(settings) as here:
        empty = _measured(here, jobs, 0, 0)
    with site(settings) as here, progress("fill", 1) as advance:
        advance(0)
        here.ground.fill(settings.waiting, settings.finished)
        full = _measured(here, jobs, settings.waiting, settings.finished)
    compared = {
        f"times_{name}": full.values[name] / empty.values[name]
        for name in ("seconds", "enqueue_per_second", "worker_cpu_us_per_job", "server_cpu_us_per_job")
        if empty.values.get(name) and name in full.values
    }
    return {"empty": empty, "full": replace(full, values=full.values | compared)}


def _measured(here: Site, jobs: int, waiting: int, finished: int) -> Run:
    run = drained(here, jobs)
    return replace(run, values=run.values | {"waiting": waiting, "finished": finished} | _looks(here))


def _looks(here: Site) -> dict[str, float]:
    """Milliseconds that each question takes that commands and dashboards ask."""
    jobs = here.app.jobs
    some = {state: jobs.list(state=state, limit=1) for state in (State.READY, State.SUCCEEDED)}
    questions: dict[str, Callable[[], object]] = {
        "status": jobs.counts,
        "queues": here.app.queues.list,
        "jobs": jobs.list,
        "jobs_ready": lambda: jobs.list(state=State.READY),
        "jobs_scheduled": lambda: jobs.list(state=State.SCHEDULED),
        "jobs_succeeded": lambda: jobs.list(state=State.SUCCEEDED),
        "jobs_failed": lambda: jobs.list(state=State.FAILED),
        "jobs_by_error": lambda: jobs.list(error=FINGERPRINT),
        "jobs_by_queue": lambda: jobs.list(queue=QUEUE),
        "failures": jobs.failures,
    }
    for state, found in some.items():
        questions |= {f"why_{state}": partial(jobs.why, info.id) for info in found}
    return {f"{name}_ms": _timed(ask) for name, ask in questions.items()}


def _timed(ask: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(TIMES + 1):
        begun = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begun) * MS)
    return median(times[1:])
