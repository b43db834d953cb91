"""What is far too big for where it is to go."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from conveyor.cli.chaos import tree
from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.giants import KINDS
from conveyor.cli.chaos.keys import PAST, keys, on_redis
from conveyor.cli.chaos.processes import Worker, within
from conveyor.cli.chaos.site import DRAIN, Site
from conveyor.cli.chaos.tables import Tables, asking

MIB: Final = 1024 * 1024
BIGGEST: Final = 1024 * MIB
A_SECOND: Final = 16 * MIB
"""Bytes for each second that is asked for: 1 GB takes a minute."""
IN_LOOP: Final = 16
"""What a task in the event loop makes is by so much smaller: it is the runner's own memory."""
MORE: Final = 32 * MIB
"""What a runner and its supervisor may take beyond what they took before, whatever a cell is full of."""
LITTLE: Final = 20.0
"""Jobs a second besides."""
FIRST: Final = 100
KEPT: Final = 256 * 1024
"""Bytes at most of what is stored with a job."""
LONG: Final = ("attempts", "result", "progress")
LONGEST: Final = "SELECT max(length(attempts)), max(length(result)), max(length(progress)) FROM conveyor_history"


def r08(site: Site) -> Tables:
    """Give, raise, print and log strings of up to 1 GB: refused or cut before they travel."""
    site.load(LITTLE)
    worker = site.worker()
    site.working(worker)
    size = min(BIGGEST, int(site.seconds * A_SECOND))
    jobs: dict[str, str] = {}
    before = _peaks(worker)
    _send(site, jobs, size, cells=True)
    for name, (was, most) in {name: (before[name], most) for name, most in _peaks(worker).items()}.items():
        site.note(f"{name} at most {most / MIB:.0f} MiB ({(most - was) / MIB:+.0f})")
        if most - was > MORE:
            site.wrong(f"I14: the {name} took {(most - was) / MIB:.0f} MiB for what a cell was to give")
    _send(site, jobs, size // IN_LOOP, cells=False)
    site.note(f"strings of {size / MIB:,.0f} MiB")
    tables = site.drain()
    ends = {row.job: row.state for row in tables.past}
    other = sorted(
        {f"{kind} ({ends.get(job, 'nothing')})" for job, kind in jobs.items() if ends.get(job) != KINDS[kind]}
    )
    if other:
        site.wrong(f"{many(len(other))} that were too big did not end as they must: {', '.join(other)}")
    if (kept := _longest(site.url)) > KEPT:
        site.wrong(f"I14: {kept:,} bytes are stored with a job")
    return tables


def _longest(url: str) -> int:
    """Bytes of the longest thing that is stored with a job that has ended."""
    if on_redis(url):
        with keys(url) as here:
            return max((len(cell or b"") for _, row in here.look(PAST, *LONG) for cell in row), default=0)
    with asking(url) as connection:
        (row,) = connection.execute(LONGEST)
    return max(int(str(value or 0)) for value in row)


def _send(site: Site, jobs: dict[str, str], size: int, *, cells: bool) -> None:
    """One after the other: two at once would need twice the memory."""
    task = site.tasks.giants.giant if cells else site.tasks.giants.agiant
    for kind in KINDS:
        job = site.enqueue(partial(task.using(priority=FIRST).enqueue, kind, size))
        jobs[job] = kind
        site.injected(kind)
        if not within(partial(site.over, [job]), DRAIN):
            site.wrong(f"I13: a job with a {kind} of {size / MIB:,.0f} MiB has not ended after {DRAIN:.0f} s")
            return


def _peaks(worker: Worker) -> Mapping[str, int]:
    """Bytes that the supervisor and the runner have had in memory at most."""
    return {name: tree.peak(pids[0]) for name, pids in worker.parts().items() if name in {"supervisor", "runner"}}
