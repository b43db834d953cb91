"""Too much at once: of work for the processor, and of wishes for one job."""

import os
import subprocess
import sys
from collections.abc import Collection
from functools import partial

from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.processes import within
from conveyor.cli.chaos.site import Site, charged
from conveyor.cli.chaos.tables import Tables

LOOPS = 10
"""Busy processes for each processor."""
CIRCLE = "while True: pass"
RACES = 20
FIRST = 100
"""They are claimed before the load: else most would be cancelled while they wait, and race with nothing."""
ANSWERS = {"asked": "was running", "over": "had ended"}
"""What who cancels is told, and of which jobs: some of each are waited for. Who waits is left to chance."""
BRIEF, LONG = 0.1, 8.0
"""Seconds of a job that may be over when it is cancelled, and of one that is not."""
HEARD = 6.0
"""Seconds within which a running job that was asked to stop has stopped."""


def r04(site: Site) -> Tables:
    """Starve the workers of the processor with many busy loops: no lease is lost."""
    site.load()
    for worker in (site.worker(), site.worker()):
        site.working(worker)
    count = LOOPS * (os.cpu_count() or 1)
    loops = [subprocess.Popen([sys.executable, "-c", CIRCLE], start_new_session=True) for _ in range(count)]  # noqa: S603 - ourselves
    try:
        for _ in site.rounds():
            site.injected()
            site.pause(min(site.seconds, 5.0))
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    site.note(f"{count} busy processes")
    if any(not worker.lives for worker in site.workers):
        site.wrong("a worker has ended for want of the processor")
    tables = site.drain()
    if lost := charged(tables):
        site.wrong(f"{many(len(lost))} were taken from workers that were only slow: {lost[0].job}")
    return tables


def x02(site: Site) -> Tables:
    """Cancel jobs while they start, run and end: each has one end, and who cancelled was told the truth."""
    site.load()
    for worker in (site.worker(), site.worker()):
        site.working(worker)
    told: dict[str, tuple[str, bool]] = {}
    for _ in site.rounds():
        for number in range(RACES):
            job, long = _racing(site, number)
            answer = site.tasks.app.jobs.cancel(job)
            told[job] = ("cancelled" if answer.jobs else "asked" if answer.asked else "over", long)
            site.injected(told[job][0])
        site.pause(HEARD)
        late = [row.job for row in site.hot() if row.job in told]
        if late:
            site.wrong(f"{many(len(late))} went on for {HEARD:.0f} s after they were asked to stop: {late[0]}")
            break
    _said_all(site, {said for said, _ in told.values()})
    tables = site.drain()
    ends = {row.job: row.state for row in tables.past}
    allowed = {("cancelled", False): {"cancelled"}, ("cancelled", True): {"cancelled"}, ("asked", True): {"cancelled"}}
    either = {"cancelled", "succeeded"}
    wrong = [job for job, said in told.items() if ends.get(job) not in allowed.get(said, either)]
    if wrong:
        site.wrong(f"{many(len(wrong))} did not end as who cancelled was told ({told[wrong[0]][0]}): {wrong[0]}")
    return tables


def _racing(site: Site, number: int) -> tuple[str, bool]:
    """A job that is to be cancelled now, and whether it is a long one: then it runs. Each fifth has ended."""
    long, ended = number % 5 == 0, number % 5 == 1
    job = site.enqueue(partial(site.tasks.nap.using(priority=FIRST).enqueue, LONG if long else BRIEF))
    if long:
        site.started({job})
    if ended:
        within(partial(site.over, {job}), HEARD)
    site.pause(max(site.chance.uniform(-BRIEF, 2 * BRIEF), 0.0))
    return job, long


def _said_all(site: Site, said: Collection[str]) -> None:
    """A race that none of the jobs was in has not been won."""
    for answer, state in ANSWERS.items():
        if answer not in said:
            site.wrong(f"no job {state} when it was cancelled, so this says nothing of such")
