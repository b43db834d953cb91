"""Long runs without any fault."""

import time
from typing import Final

from conveyor.cli.chaos import tree
from conveyor.cli.chaos.growth import grown, grows
from conveyor.cli.chaos.samples import look
from conveyor.cli.chaos.site import Site
from conveyor.cli.chaos.tables import Tables

USUAL: Final = 20.0
"""The lease that workers have unless they are told."""
RATE: Final = 100.0
"""Jobs a second at most, of each of two who enqueue: each waits for his answers, so that it becomes less."""
POINTS: Final = 400
"""At most so many samples, however long it takes."""
CORE: Final = ("supervisor", "runner")
"""What is there from the beginning to the end."""
SHOWN: Final = 6
"""Lines of their logs that are shown when it is not."""
OFTEN: Final = 1.0
"""Seconds between two samples, at least."""


def r01(site: Site) -> Tables:
    """Jobs of all kinds for as long as one likes: nothing that a worker holds grows."""
    site.lease = USUAL
    for _ in range(2):
        site.load(RATE, 0.3, "--everyday")
    workers = {number: site.worker() for number in (1, 2)}
    for worker in workers.values():
        site.working(worker)
    core = [pid for worker in workers.values() for part in CORE for pid in worker.parts().get(part, ())]
    begun, every = time.monotonic(), max(site.seconds / POINTS, OFTEN)
    for number in site.rounds():
        site.pause(max(begun + number * every - time.monotonic(), 0.0))
        at = time.monotonic() - begun
        site.found.series.append({"at": round(at, 1), **look(site.url, workers)})
        if ended := [worker for worker in workers.values() if not worker.lives]:
            site.wrong(f"a worker has ended, and nobody had told it to: {ended[0].said[-500:]}")
            break
    if gone := sum(not tree.lives(pid) for pid in core):
        lines = [line for worker in workers.values() for line in worker.said.splitlines() if "runner" in line]
        site.wrong(f"{gone} supervisors or runners ended, and nothing was done to them: {lines[:SHOWN]}")
    said = sum(len(worker.said) for worker in workers.values())
    tables = site.drain()
    jobs = max(len(tables.past), 1)
    for violation in grown(site.found.series, jobs):
        site.wrong(violation)
    for note in grows(site.found.series):
        site.note(note)
    site.note(f"{jobs / site.found.series[-1]['at']:.0f} jobs a second, {said / jobs:.0f} bytes of log for each")
    return tables
