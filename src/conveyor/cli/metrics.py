"""``/metrics`` of a worker, for Prometheus: its processes, and how busy the queues of its store are."""

import threading
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from conveyor.app import Conveyor
from conveyor.core.errors import ConveyorError
from conveyor.core.scaling import Load
from conveyor.worker.supervisor.state import RunnerState, WorkerState

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

MOST: Final = 100
"""Queues that are told of, the fullest: whoever can make up names must not make up time series without end."""
FRESH: Final = 5.0
"""Seconds for which an answer of the store stands, however often somebody asks."""

RUNNERS: Final = {
    "running": "Jobs that run in a runner and its cells",
    "cells": "Processes for plain functions",
    "claim_age": "Seconds since a runner last claimed, had no room, or learnt that nothing is due",
    "loop_age": "Seconds since its event loop last turned",
    "memory": "Bytes of it and its cells",
}
QUEUES: Final = {
    "ready": "Due jobs; 10001 stands for more than 10000",
    "running": "Running jobs",
    "oldest": "Seconds that the oldest due job has been waiting",
    "wait_p95": "Seconds that 95 of 100 jobs waited at most that started in the last ten minutes",
    "run_time": "Seconds that jobs run, on average",
    "workers": "Runners that serve the queue",
    "desired": "Runners that it needs",
}


class Metrics:
    """Makes the page. Asked from the threads that answer probes."""

    def __init__(self) -> None:
        """Needs ``prometheus_client``."""
        import prometheus_client

        self.kind = prometheus_client.CONTENT_TYPE_LATEST
        self._app: Conveyor | None = None
        self._turn = threading.Lock()
        self._asked = -FRESH
        self._loads: Sequence[Load] | None = None

    def knows(self, url: str, listen_url: str | None) -> None:
        """The store's address, as a runner has told it."""
        if self._app is None or self._app.url != url:
            self._app = Conveyor(url, listen_url=listen_url)

    def page(self, state: WorkerState) -> bytes:
        """All of it, as text."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.registry import Collector

        loads = self._measured()

        class Present(Collector):
            def collect(self) -> "Iterable[Metric]":
                yield from _worker(state, loads is not None)
                yield from _queues(loads or ())

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Present())
        return generate_latest(registry)

    def _measured(self) -> Sequence[Load] | None:
        """``None`` while the store does not answer."""
        with self._turn:
            if self._app is not None and time.monotonic() - self._asked > FRESH:
                try:
                    self._loads = self._app.queues.load()
                except ConveyorError:
                    self._loads = None
                self._asked = time.monotonic()
            return self._loads


def _worker(state: WorkerState, reached: bool) -> "Iterable[Metric]":  # noqa: FBT001 - a fact, not a switch
    from prometheus_client.metrics_core import GaugeMetricFamily

    yield GaugeMetricFamily("conveyor_worker_ready", "Whether it makes progress", value=state.ready)
    yield GaugeMetricFamily("conveyor_store_up", "Whether the store answers this worker's metrics", value=reached)
    for name, meaning in RUNNERS.items():
        family = GaugeMetricFamily(f"conveyor_runner_{_unit(name)}", meaning, labels=["runner"])
        for place, runner in enumerate(state.runners, 1):  # by place: names go on for ever
            value = _of_runner(runner, name)
            if value is not None:
                family.add_metric([str(place)], value)
        yield family


def _queues(loads: Sequence[Load]) -> "Iterable[Metric]":
    from prometheus_client.metrics_core import GaugeMetricFamily

    told = sorted(loads, key=lambda load: (-load.ready, load.queue))[:MOST]
    for name, meaning in QUEUES.items():
        family = GaugeMetricFamily(f"conveyor_queue_{_unit(name)}", meaning, labels=["queue"])
        for load in told:
            value = getattr(load, name)
            if value is not None:
                family.add_metric([load.queue], value.total_seconds() if isinstance(value, timedelta) else value)
        yield family
    left = len(loads) - len(told)
    yield GaugeMetricFamily("conveyor_queues_left_out", f"Queues that are not told of: more than {MOST}", value=left)


def _of_runner(runner: RunnerState, name: str) -> float | None:
    value: float | None = getattr(runner, name)
    return value


def _unit(name: str) -> str:
    """A name with its unit, as Prometheus wants it."""
    seconds = {"claim_age", "loop_age", "oldest", "wait_p95", "run_time"}
    return f"{name}_seconds" if name in seconds else "memory_bytes" if name == "memory" else name
