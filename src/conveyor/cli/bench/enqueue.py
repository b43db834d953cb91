"""How fast jobs are stored, through the public face with all its checks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from conveyor.cli.bench.figures import Run, percentiles
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.site import MS, PER_CALL, US, Parts, Site, joined, reported, site
from conveyor.cli.progress import progress
from conveyor.core.errors import ConveyorError

JOBS: Final = 50_000
CALLERS: Final = 100
SINGLE: Final = 20
"""Of so many jobs one is also enqueued alone: each costs a commit of its own."""
NO_WORKER: Final = "no worker takes part"

Times = list[float]


def measure_enqueue(settings: Settings) -> Parts:
    """Jobs per second, and milliseconds of a call: many jobs a call, many callers at a time, one after the other."""
    jobs = settings.jobs or JOBS
    return {
        "bulk": _measured(settings, "1,000 a call", jobs, _bulk),
        "callers": _measured(settings, "100 callers", max(jobs // CALLERS, 1) * CALLERS, _callers),
        "single": _measured(settings, "one at a time", max(jobs // SINGLE, 1), _single),
    }


def _measured(settings: Settings, what: str, jobs: int, send: Callable[[Site, int, str, Times], None]) -> Run:
    times: Times = []
    with site(settings) as here:
        before = here.counted()
        begun, cpu = here.moment(), time.process_time()
        send(here, jobs, f"enqueue, {what}", times)
        ended, cpu = here.moment(), time.process_time() - cpu
        counted = here.counted().since(before)
        stored = here.ground.tally().unfinished
    if stored != jobs:
        raise ConveyorError(f"of {jobs:,} jobs {stored:,} are stored; the measure says nothing")
    lasted = ended.since(begun)
    more = percentiles([seconds * MS for seconds in times]) | {"client_cpu_us_per_job": cpu / jobs * US}
    return reported(jobs, lasted.values["at"], joined(lasted, counted), more, NO_WORKER)


def _bulk(here: Site, jobs: int, what: str, times: Times) -> None:
    with progress(what, jobs) as advance:
        for start in range(0, jobs, PER_CALL):
            numbers = range(start, min(start + PER_CALL, jobs))
            begun = time.perf_counter()
            here.app.enqueue_many(here.tasks.nothing.bind(number) for number in numbers)
            times.append(time.perf_counter() - begun)
            advance(len(numbers))


def _callers(here: Site, jobs: int, what: str, times: Times) -> None:
    async def callers() -> None:
        await asyncio.gather(*(_caller(here, jobs // CALLERS, times) for _ in range(CALLERS)))

    _run(here, jobs, what, times, callers)


def _single(here: Site, jobs: int, what: str, times: Times) -> None:
    _run(here, jobs, what, times, lambda: _caller(here, jobs, times))


async def _caller(here: Site, jobs: int, times: Times) -> None:
    for number in range(jobs):
        begun = time.perf_counter()
        await here.tasks.nothing.aenqueue(number)
        times.append(time.perf_counter() - begun)


def _run(here: Site, jobs: int, what: str, times: Times, send: Callable[[], Awaitable[None]]) -> None:
    """Run *send* in an event loop of its own, and tell once a second how far it is."""

    async def told() -> None:
        with progress(what, jobs) as advance:
            shown = 0
            while True:
                await asyncio.sleep(1)
                advance(len(times) - shown)
                shown = len(times)

    async def both() -> None:
        telling = asyncio.create_task(told())
        try:
            await send()
        finally:
            telling.cancel()
            await here.app.aclose()

    here.app.run_async(both())
