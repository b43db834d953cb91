"""Tasks that do what no task should."""

import time
from functools import partial

from conveyor.cli.bench.proc import cpu_seconds
from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.history import runs_of
from conveyor.cli.chaos.processes import SELDOM, within
from conveyor.cli.chaos.site import DRAIN, SHORT, Site, charged
from conveyor.cli.chaos.tables import Tables
from conveyor.cli.chaos.tasks import POISONS, THROWN
from conveyor.store.ground import NotHere

CRASHES = 3
"""After so many, a job is put into quarantine."""
SPARED = 1
"""Deaths that cannot be told to be a job's, before it runs alone."""
SHORTER = 5.0
FIRST = 100
BLOCKS = 4
"""A task blocks for so many leases."""
BUSY = 0.8
"""Of one processor: a worker that uses more of it, and has nothing to do, runs in a circle."""


def p05(site: Site) -> Tables:
    """Jobs that kill what runs them, among a load of innocents: they are put away, and nobody else suffers."""
    site.lease = SHORT
    site.load()
    worker = site.worker()
    site.working(worker)
    poison: dict[str, str] = {}
    for _ in site.rounds():
        for kind in POISONS:
            for task in (site.tasks.poison, site.tasks.apoison):
                poison[site.enqueue(partial(task.enqueue, kind))] = kind
                site.injected(kind)
        over = within(lambda: bool(site.alive()) and not site.waits(poison), max(DRAIN, site.seconds), SELDOM)
        if not over:
            break
    tables = site.drain()
    rows = {row.job: row for row in tables.past}
    free = [job for job in poison if job not in rows or rows[job].state != "quarantined"]
    if free:
        site.wrong(f"{many(len(free))} that kill their workers were not put into quarantine: {free[0]}")
    starts = [sum(run.job == job for run in runs_of(site.history.read())) for job in poison]
    if max(starts) > CRASHES + SPARED:
        site.wrong(f"a job that kills its workers was started {max(starts)} times")
    harmed = [row.job for row in tables.past if row.job not in poison and row.state != "succeeded"]
    if harmed:
        site.wrong(f"{many(len(harmed))} that did no harm did not succeed: {harmed[0]}")
    site.note(f"at most {max(starts)} starts until quarantine")
    return tables


def p06(site: Site) -> Tables:
    """Block the event loop for four leases: the lease is kept, and nothing is run twice."""
    site.lease = SHORTER
    site.load()
    for worker in (site.worker(), site.worker()):
        site.working(worker)
    tree = any(len(worker.members) > 1 for worker in site.workers)
    tasks = [site.tasks.block, site.tasks.grip] if tree else [site.tasks.block]
    if not tree:
        site.note("not tried: a C call that holds the interpreter's lock (these workers are single processes)")
    for _ in site.rounds():
        for task in tasks:
            site.started({site.enqueue(partial(task.using(priority=FIRST).enqueue, BLOCKS * site.lease))})
            site.injected()
        site.pause((BLOCKS + 1) * site.lease)
    named = any(task.definition.name in worker.said for worker in site.workers for task in tasks)
    site.note("the workers have named the task" if named else "the workers have not named the task")
    tables = site.drain()
    if lost := charged(tables):
        site.wrong(f"{many(len(lost))} were taken from a living worker whose loop was blocked: {lost[0].job}")
    return tables


def p08(site: Site) -> Tables:
    """Raise what is no error (``SystemExit``, ``CancelledError`` ...), and swallow what is: recorded, and no more."""
    site.load()
    worker = site.worker()
    site.working(worker)
    jobs: dict[str, str] = {}
    for _ in site.rounds():
        for kind in THROWN:
            for task in (site.tasks.throw, site.tasks.athrow):
                jobs[site.enqueue(partial(task.enqueue, kind))] = kind
                site.injected()
        jobs[site.enqueue(partial(site.tasks.athrow.enqueue, "swallows"))] = ""
        if not within(lambda: not site.waits(jobs) or not worker.lives, DRAIN):
            break
    if not worker.lives:
        site.wrong(f"the worker has ended: {worker.said[-500:]}")
    site.unload()
    within(lambda: site.left() == 0, DRAIN)
    _idle(site)
    tables = site.drain()
    ends = {row.job: row.state for row in tables.past}
    other = [f"{kind} ({ends.get(job, 'nothing')})" for job, kind in jobs.items() if kind and ends.get(job) != "failed"]
    if other:
        site.wrong(f"raised, and not recorded as failed: {', '.join(sorted(set(other)))}")
    return tables


def _idle(site: Site) -> None:
    """A worker that has nothing to do must do nothing."""
    try:
        before = {pid: cpu_seconds(pid) for worker in site.workers for pid in worker.members}
        begun = time.monotonic()
        site.pause(1.0)
        used = sum(cpu_seconds(pid) - seconds for pid, seconds in before.items()) / (time.monotonic() - begun)
    except NotHere as error:
        site.note(f"not measured: the time on the processor ({error})")
        return
    site.note(f"{used:.0%} of a processor when all was done")
    if used > BUSY:
        site.wrong(f"the worker uses {used:.0%} of a processor, and has nothing to do")
