"""What a forgotten transaction costs: whole cycles while another session holds a snapshot.

ANALYZE runs now and then, also without the snapshot: it is what spoils the planner's statistics, and takes its time.
"""

import contextlib
from dataclasses import replace
from typing import Final

from conveyor.cli.bench.figures import SHARES, Run, Sample
from conveyor.cli.bench.flow import Flow
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.site import Parts, Site, joined, reported, site
from conveyor.cli.progress import progress

JOBS: Final = 100_000
EVERY: Final = 0.5
"""Seconds between samples."""
ANALYZED: Final = 10_000
"""Jobs between two ANALYZE."""
FULL: Final = "as many jobs wait meanwhile as it takes to keep workers busy"
LAST: Final = 1 / 3
"""The share of the time whose rate counts, at its end: what a snapshot costs grows with what it keeps."""


def measure_held(settings: Settings) -> Parts:
    """Jobs per second that are enqueued and worked off at the same time, without a held snapshot and with one."""
    jobs = settings.jobs or JOBS
    with site(settings) as here:
        clean = _measured(here, jobs, hold=False)
    with site(settings) as here:
        held = _measured(here, jobs, hold=True)
    share = held.values["jobs_per_second"] / clean.values["jobs_per_second"]
    return {"clean": clean, "held": replace(held, values=held.values | {"share_of_clean": share})}


def _measured(here: Site, jobs: int, *, hold: bool) -> Run:
    what = "held" if hold else "clean"
    before = here.counted()
    with contextlib.ExitStack() as stack:
        if hold:
            stack.enter_context(here.ground.held())
        workers = stack.enter_context(here.working())
        advance = stack.enter_context(progress(f"held-snapshot, {what}", jobs))
        begun = here.moment(workers)
        flow = Flow(here, workers, EVERY)
        for goal in range(ANALYZED, jobs + ANALYZED, ANALYZED):
            flow.flat_out(min(goal, jobs), advance)
            here.ground.analyze()
        here.finished(workers)
        ended = here.moment(workers)
        workers.stop()
        seen = flow.ended()
    counted = here.counted().since(before)
    rate = seen.late(LAST) or flow.sent / (ended.values["at"] - begun.values["at"])
    more = {"history_rows": here.check(flow.sent)["history_rows"], "jobs_per_second": rate}
    lasted = ended.since(begun)
    run = reported(flow.sent, lasted.values["at"], joined(lasted, counted), more, FULL)
    return replace(run, series=[_without_waits(sample) for sample in seen.samples])


def _without_waits(sample: Sample) -> Sample:
    return {name: value for name, value in sample.items() if name not in SHARES}
