"""Whether all stays as it is when jobs come and go for minutes."""

import contextlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from conveyor.cli.bench.figures import Run, Sample
from conveyor.cli.bench.flow import Flow
from conveyor.cli.bench.options import MOST, Settings
from conveyor.cli.bench.site import Parts, Site, joined, reported, site
from conveyor.cli.progress import progress
from conveyor.core.errors import ConveyorError

SECONDS: Final = 120.0
PEAK_SECONDS: Final = 5.0
SLICES: Final = 20
"""At least so many samples, however short it is."""
WARM: Final = 0.2
"""The first share of the samples, which later ones are not compared with: tables grow to their size."""


def measure_steady(settings: Settings) -> Parts:
    """A producer and workers at one rate, by default half of the most that both together reach."""
    rate = settings.rate or _peak(settings) / 2
    with site(settings) as here:
        return {"": _measured(here, rate, settings.seconds or SECONDS)}


def _peak(settings: Settings) -> float:
    """Jobs per second that are enqueued and worked off at the same time, as many as go."""
    with site(replace(settings, rate=None)) as here, here.working() as workers, progress("peak", 1) as advance:
        flow = Flow(here, workers, PEAK_SECONDS / SLICES)
        flow.flat_out(MOST, lambda _: advance(0), time.monotonic() + PEAK_SECONDS)
        here.finished(workers)
        workers.stop()
        rate = flow.ended().late(1 - WARM)
    if rate is None:
        raise ConveyorError("the most that is possible could not be told; give --rate")
    return rate


def _measured(here: Site, rate: float, seconds: float) -> Run:
    every = min(here.settings.every, seconds / SLICES)
    before = here.counted()
    with contextlib.ExitStack() as stack:
        if here.settings.hold:
            stack.enter_context(here.ground.held())
        workers = stack.enter_context(here.working())
        advance = stack.enter_context(progress(f"steady, {rate:,.0f}/s", round(rate * seconds)))
        begun = here.moment(workers)
        flow = Flow(here, workers, every)
        flow.at(rate, seconds, advance)
        sent = here.moment(workers).since(begun).values["at"]
        here.finished(workers)
        ended = here.moment(workers)
        workers.stop()
        seen = flow.ended()
    counted = here.counted().since(before)
    more = seen.waits.percentiles() | {
        "history_rows": here.check(flow.sent)["history_rows"],
        "offered_per_second": flow.sent / sent,
    }
    lasted = ended.since(begun)
    run = reported(flow.sent, lasted.values["at"], joined(lasted, counted), more | _drift(seen.samples), "")
    return replace(run, series=seen.samples)


def _drift(samples: Sequence[Sample]) -> dict[str, float]:
    """The second half as a multiple of the first one, once all is warm: what stays as it is has 1."""
    warm = samples[int(len(samples) * WARM) :]
    half = len(warm) // 2
    if not half:
        return {}
    drift: dict[str, float] = {}
    for name in ("jobs_per_second", "p99_ms", "table_bytes", "index_bytes", "dead_tuples"):
        early, late = ([s[name] for s in part if name in s] for part in (warm[:half], warm[half:]))
        if early and late and statistics.median(early):
            drift[f"drift_{name}"] = statistics.median(late) / statistics.median(early)
    return drift
