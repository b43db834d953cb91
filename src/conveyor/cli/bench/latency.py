"""How long a job waits for an idle worker."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from conveyor.cli.bench import tape
from conveyor.cli.bench.figures import Run, percentiles, quantile
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.site import MS, Parts, Site, joined, reported, site
from conveyor.cli.progress import Advance, progress
from conveyor.store.ground import NotHere

RATE: Final = 20.0
SECONDS: Final = 10.0
WARM: Final = 5
"""Jobs before those that count: connections are opened, statements are planned."""
PROBED: Final = 200
"""At most so many rows are probed, for each waits until the one before is claimed."""


def measure_latency(settings: Settings) -> Parts:
    """Milliseconds from the call of ``enqueue`` to the start of the function, in another process."""
    rate = settings.rate or RATE
    count = max(round(rate * (settings.seconds or SECONDS)), 1)
    with site(settings) as here:
        probed, missing = _probed(here, min(count, PROBED), rate)
        run = _measured(here, count, rate)
    return {"": _compared(run, probed, missing)}


def _measured(here: Site, count: int, rate: float) -> Run:
    before = here.counted()
    with here.working() as workers, progress(f"latency, {rate:g}/s", count) as advance:
        for _ in range(WARM):
            here.tasks.stamp.enqueue(tape.now())
        here.finished(workers)
        begun, first = here.moment(workers), tape.now()
        here.app.run_async(_sent(here, count, rate, advance))
        here.finished(workers)
        ended = here.moment(workers)
        workers.stop()
        waits = [(at - sent) / MS for sent, at in tape.read(workers.folder) if sent >= first]
    counted = here.counted().since(before)
    found = here.check(WARM + count)
    more = percentiles(waits) | {"history_rows": found["history_rows"]}
    lasted = ended.since(begun)
    return reported(count, lasted.values["at"], joined(lasted, counted), more, "")


async def _sent(here: Site, count: int, rate: float, advance: Advance) -> None:
    """Call ``aenqueue`` *count* times, evenly, as many callers of one program do: none waits for the one before."""
    start = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as calls:
            for number in range(count):
                advance(1)  # before the pause, which swallows what drawing takes
                await asyncio.sleep(max(start + number / rate - time.perf_counter(), 0))
                calls.create_task(here.tasks.stamp.aenqueue(tape.now()))
    finally:
        await here.app.aclose()


def _probed(here: Site, count: int, rate: float) -> tuple[Sequence[float], str]:
    """Milliseconds of the raw probe, ascending; or why there are none."""
    try:
        return sorted(seconds * MS for seconds in here.ground.probe(count, rate)), ""
    except NotHere as error:
        return [], str(error)


def _compared(run: Run, probed: Sequence[float], missing: str) -> Run:
    """With the probe's figures, and how many times as long a job takes."""
    names = ("probe_p50_ms", "probe_p99_ms", "ratio_p50", "ratio_p99")
    if missing:
        return Run(run.values, run.missing | dict.fromkeys(names, missing))
    p50, p99 = quantile(probed, 0.5), quantile(probed, 0.99)
    figures = (p50, p99, run.values["p50_ms"] / p50, run.values["p99_ms"] / p99)
    return Run(run.values | dict(zip(names, figures, strict=True)), run.missing)
