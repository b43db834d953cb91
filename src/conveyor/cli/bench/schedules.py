"""How late schedules are, when all of them have the same tick."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from conveyor.cli.bench.figures import Run, percentiles, quantile
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.site import Parts, Site, joined, reported, site
from conveyor.cli.progress import progress
from conveyor.core.model import JobInfo
from conveyor.schedule import every

COUNT: Final = 1_000
SECONDS: Final = 60.0
PERIOD: Final = 10.0
"""Seconds between two ticks."""
LEAD: Final = 5.0
"""Seconds before the first tick, once workers are there."""
PAGE: Final = 1_000
MS: Final = timedelta(milliseconds=1)


def measure_schedules(settings: Settings) -> Parts:
    """Milliseconds from a tick to the time at which its job was made; and to its start."""
    with site(settings) as here:
        return {"": _measured(here, settings.jobs or COUNT, settings.seconds or SECONDS)}


def _measured(here: Site, count: int, seconds: float) -> Run:
    with here.working() as workers:
        ticks = max(int(seconds // PERIOD), 1)
        first = datetime.now(UTC) + timedelta(seconds=LEAD + count / 200)
        rule = every(seconds=PERIOD, start=first)
        end = first + timedelta(seconds=(ticks - 1) * PERIOD)
        with progress("declare", count) as advance:
            for number in range(count):
                here.app.schedule(rule, name=f"bench {number}", args=(number,), end=end)(here.tasks.nothing)
                advance(1)
            here.app.schedules.apply()
        begun, counted = here.moment(workers), here.ground.counted(alone=False)
        time.sleep(max((end - datetime.now(UTC)).total_seconds(), 0.0))
        workers.wait(lambda: here.ground.tally().succeeded >= count * ticks, lambda: here.ground.tally().history)
        lasted = joined(here.moment(workers).since(begun), here.ground.counted(alone=False).since(counted))
        workers.stop()
    found = here.check(count * ticks)  # a tick that was doubled, or missed, would show
    jobs = list(_jobs(here))
    started = sorted((job.started_at - job.tick) / MS for job in jobs if job.started_at and job.tick)
    made = percentiles([(job.enqueued_at - job.tick) / MS for job in jobs if job.tick])
    more = {
        "history_rows": found["history_rows"],
        "schedules": float(count),
        "ticks": float(ticks),
        "started_p99_ms": quantile(started, 0.99),
    }
    return reported(count * ticks, lasted.values["at"], lasted, made | more, "")


def _jobs(here: Site) -> Iterator[JobInfo]:
    after: str | None = None
    while page := here.app.jobs.list(limit=PAGE, after=after):
        yield from page
        after = page[-1].id
