"""New code takes the place of old."""

from collections.abc import Collection, Sequence
from functools import partial

from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.history import again
from conveyor.cli.chaos.processes import Worker, until, within
from conveyor.cli.chaos.site import DRAIN, GRACE, Site, charged
from conveyor.cli.chaos.tables import Tables
from conveyor.cli.chaos.tasks import made

EVERY = 1.5
"""Seconds between two workers' ends."""
LONG = 2 * GRACE
"""Seconds that the longest jobs take: some of these run where the next worker ends."""
LEAVE = 20.0
"""Seconds that a worker gets after its grace."""
NEWER = 25
FIRST = 100
"""They are before the load: behind it nobody would come to them at all."""
FEW = 20.0
"""Jobs a second: these are about the others."""
EACH = 3
"""Jobs of each task whose arguments have changed."""


def p03(site: Site) -> Tables:
    """Replace one worker after the other by SIGTERM, while some jobs outlast the grace; it must cost no attempt."""
    load = site.load()
    for worker in (site.worker(), site.worker(), site.worker()):
        site.working(worker)
    long = set[str]()
    for _ in site.rounds():
        for task in (site.tasks.nap, site.tasks.doze):
            site.enqueue(partial(task.using(priority=FIRST).enqueue, site.chance.uniform(0.1, LONG)))
            long.add(site.enqueue(partial(task.using(priority=FIRST).enqueue, LONG)))
        worker = site.chance.choice(_running(site, long))
        worker.terminate()
        site.injected()
        site.workers.remove(worker)
        site.worker()
        if worker.ends(GRACE + LEAVE) is None:
            site.wrong(f"a worker was still there {GRACE + LEAVE:.0f} s after SIGTERM; its grace was {GRACE:.0f} s")
        site.kill(worker)
        site.pause(EVERY if load.lives else 0)
    tables = site.drain()
    if spent := charged(tables):
        site.wrong(f"{many(len(spent))} spent an attempt on a deploy: {spent[0].job}")
    outlasted = again(site.history.read()) & long
    site.note(f"{many(len(outlasted))} that outlasted the grace started again")
    if not outlasted:
        site.wrong("no job outlasted the grace of a worker, so this says nothing")
    return tables


def _running(site: Site, jobs: Collection[str]) -> Sequence[Worker]:
    """Wait until any of *jobs* runs, and give the workers that run some."""
    until(lambda: bool(site.at_work(jobs)), DRAIN, lambda: "no worker runs a long job")
    return site.at_work(jobs) or site.alive()


def u01(site: Site) -> Tables:
    """Enqueue jobs that the workers' version does not know; they must wait for one that does, unharmed."""
    site.load()
    old = site.worker(app="old")
    site.working(old)
    jobs = [site.enqueue(site.tasks.newer.using(priority=FIRST).enqueue) for _ in range(NEWER)]
    site.injected()
    known = site.enqueue(site.tasks.nothing.using(priority=FIRST).enqueue)
    if not within(partial(site.over, [known]), DRAIN):
        site.wrong("no worker came to a job that lay behind those that it does not know, so this says nothing of them")
    site.pause(site.seconds / 2)
    waiting = {row.job: row for row in site.hot()}
    touched = [job for job in jobs if job and (job not in waiting or waiting[job].attempt or waiting[job].numbers)]
    if touched:
        site.wrong(f"{many(len(touched))} that no worker knows did not wait unharmed: {touched[0]}")
    site.working(site.worker())
    tables = site.drain()
    if failed := [row.job for row in tables.past if row.job in jobs and (row.state, row.attempt) != ("succeeded", 1)]:
        site.wrong(f"{many(len(failed))} did not succeed at once with the new version: {failed[0]}")
    return tables


def u03(site: Site) -> Tables:
    """Give a worker jobs whose arguments are those of other code: parked, with the reason, until such code comes."""
    site.load(FEW)
    tasks = {"app": site.tasks, "old": made(site.url, site.folder, old=True)}
    jobs = set[str]()
    for number in site.rounds():
        runs, sends = ("app", "old") if number % 2 else ("old", "app")
        sent = [site.enqueue(call) for call in tasks[sends].changed for _ in range(EACH)]
        jobs |= set(sent)
        site.injected(f"of {'older' if sends == 'old' else 'newer'} code")
        worker = _working(site, runs)
        if not within(partial(_parked, site, sent), DRAIN):
            site.wrong(f"jobs with arguments of other code were not given back with the reason within {DRAIN:.0f} s")
        site.stop(worker)
        worker = _working(site, sends)
        if not within(partial(site.over, sent), DRAIN):
            site.wrong(f"I13: jobs have not ended {DRAIN:.0f} s after the code came that takes their arguments")
        site.stop(worker)
    tasks["old"].app.close()
    tables = site.drain()
    if failed := [row.job for row in tables.past if row.job in jobs and (row.state, row.attempt) != ("succeeded", 1)]:
        site.wrong(f"{many(len(failed))} did not succeed at once with code that takes their arguments: {failed[0]}")
    return tables


def _working(site: Site, app: str) -> Worker:
    worker = site.worker(app=app)
    site.working(worker)
    return worker


def _parked(site: Site, jobs: Collection[str]) -> bool:
    """Whether they wait, with the reason, and no attempt was spent."""
    waiting = {row.job: row for row in site.hot()}
    return all(job in waiting and waiting[job].unfit and not waiting[job].numbers for job in jobs)
