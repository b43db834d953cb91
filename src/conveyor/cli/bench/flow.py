"""Jobs that are enqueued and worked off at the same time, for a while, with a look at the store now and then."""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from conveyor.cli.bench import tape
from conveyor.cli.bench.figures import Sample, Waits
from conveyor.cli.bench.site import PER_CALL, US, Site
from conveyor.cli.bench.workers import Workers
from conveyor.store.ground import Reading

TICK: Final = 0.005
"""Seconds between two calls of enqueue, where the rate is higher than one job a tick."""
BACKLOG: Final = 5_000
"""Jobs that wait at most, where as many are enqueued as are worked off."""
PAUSE: Final = 0.002


@dataclass
class Flow:
    """One of them. *every* is in seconds."""

    here: Site
    workers: Workers
    every: float
    sent: int = 0
    begun: int = field(default_factory=tape.now)
    looks: list[tuple[int, Reading]] = field(default_factory=list[tuple[int, Reading]])

    def at(self, rate: float, seconds: float, told: Callable[[int], None]) -> None:
        """Enqueue *rate* jobs a second, evenly, for *seconds*; what is late is made up for."""
        start = time.perf_counter()
        count = max(round(rate * seconds), 1)
        while self.sent < count:
            due = min(int((time.perf_counter() - start) * rate) + 1, count) - self.sent
            if due > 0:
                self._send(min(due, PER_CALL), told)
            self._look()
            wait = start + max((self.sent / rate), 0) - time.perf_counter()
            time.sleep(max(min(wait, self.every), TICK if rate * TICK > 1 else 0))

    def flat_out(self, jobs: int, told: Callable[[int], None], end: float = math.inf) -> None:
        """Enqueue as many as are worked off, until *jobs* have been, or the monotonic clock says *end*."""
        while self.sent < jobs and time.monotonic() < end:
            if self.sent - tape.started(self.workers.folder) < BACKLOG:
                self._send(min(PER_CALL, jobs - self.sent), told)
            else:
                time.sleep(PAUSE)
            self._look()

    def _send(self, count: int, told: Callable[[int], None]) -> None:
        task = self.here.tasks.stamp
        if count == 1:
            task.enqueue(tape.now())
        else:
            self.here.app.enqueue_many(task.bind(now) for now in [tape.now()] * count)
        self.sent += count
        told(count)

    def _look(self) -> None:
        if tape.now() - (self.looks[-1][0] if self.looks else self.begun) >= self.every * US:
            self.workers.check()
            self.looks.append((tape.now(), self.here.ground.sizes()))

    def ended(self) -> "Seen":
        """What was seen, once the workers have stopped."""
        moments = [moment for moment, _ in self.looks]
        slices = [Waits() for _ in range(len(moments) + 1)]  # the last is behind the last look
        for sent, at in tape.read(self.workers.folder):
            slices[bisect_right(moments, at)].add(at - sent)
        samples: list[Sample] = []
        begun = self.begun
        for (moment, sizes), waits in zip(self.looks, slices, strict=False):
            speed = len(waits) / (moment - begun) * US
            since = (moment - self.begun) / US
            samples.append({"at": since, "jobs_per_second": speed, **waits.percentiles(), **sizes.values})
            begun = moment
        whole = Waits()
        for waits in slices:
            whole.merge(waits)
        return Seen(whole, samples)


class Seen(NamedTuple):
    """The waits of all jobs, and what was seen in each slice of time."""

    waits: Waits
    samples: Sequence[Sample]

    def late(self, share: float) -> float | None:
        """Jobs per second over the last *share* of the time; ``None`` when it was not looked at so often."""
        first = round(len(self.samples) * (1 - share))
        if not 0 < first < len(self.samples):
            return None
        spans = [(now, now["at"] - before["at"]) for before, now in pairwise(self.samples[first - 1 :])]
        return sum(sample["jobs_per_second"] * span for sample, span in spans) / sum(span for _, span in spans)
