"""What a worker costs that has nothing to do."""

import time
from collections.abc import Callable
from typing import Final

from conveyor.cli.bench.figures import Run
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.proc import pss_bytes
from conveyor.cli.bench.site import Parts, Site, site
from conveyor.store.ground import NotHere

SECONDS: Final = 10.0
SETTLED: Final = {"sqlite": 3.0, "postgresql": 11.0, "redis": 3.0}
"""Seconds that a worker gets to come to rest. PostgreSQL counts what a session did that is silent after 10 s only."""


def measure_idle(settings: Settings) -> Parts:
    """CPU time, transactions and memory of one worker, once it has come to rest."""
    with site(settings) as here:
        return {"": _measured(here, settings.seconds or SECONDS)}


def _measured(here: Site, seconds: float) -> Run:
    with here.working(processes=1) as workers:
        here.app.close()
        time.sleep(SETTLED[here.ground.kind])
        counted, begun = here.ground.counted(alone=False), here.moment(workers)
        time.sleep(seconds)
        lasted = here.moment(workers).since(begun)
        counts = here.ground.counted(alone=False).since(counted)
        values = {"seconds": lasted.values["at"]}
        missing = {"statements": "servers count transactions, and no statements"}
        for name, figure in (("worker_cpu", "cpu_seconds"), ("server_cpu", "server_cpu_seconds")):
            _take(values, missing, figure, lasted.values.get(name), lasted.missing.get(name, ""))
        _take(
            values, missing, "transactions", counts.values.get("transactions"), counts.missing.get("transactions", "")
        )
        _look(values, missing, "pss_bytes", lambda: float(sum(map(pss_bytes, workers.processes))))
    return Run(values, missing)


def _take(values: dict[str, float], missing: dict[str, str], name: str, value: float | None, why: str) -> None:
    if value is None:
        missing[name] = why
    else:
        values[name] = value


def _look(values: dict[str, float], missing: dict[str, str], name: str, look: Callable[[], float]) -> None:
    try:
        values[name] = look()
    except NotHere as error:
        missing[name] = str(error)
