"""Jobs as they come on any day, for a soak: most succeed, some fail first or for good, wait, or are called off."""

import heapq
import random
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

from conveyor.app import Conveyor
from conveyor.cli.chaos.sending import Enqueue
from conveyor.cli.chaos.tasks import Tasks
from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.job import Job

DELAY: Final = (0.5, 5.0)
CALLED_OFF: Final = (0.2, 0.6)
"""Seconds from its enqueueing until a job is called off."""
LONG: Final = 3.0
"""Seconds that it takes, or waits, if it is not."""


class Doomed:
    """A call whose job is to be called off."""

    def __init__(self, call: Enqueue) -> None:
        """*call* enqueues it."""
        self._call = call

    def __call__(self) -> Job[object]:
        """Enqueue it."""
        return self._call()


class CalledOff:
    """Calls jobs off, while they wait for their time or run."""

    def __init__(self, app: Conveyor, chance: random.Random) -> None:
        """None yet."""
        self._app = app
        self._chance = chance
        self._due: list[tuple[float, str]] = []

    def soon(self, job: str) -> None:
        """Call *job* off, but not at once."""
        heapq.heappush(self._due, (time.monotonic() + self._chance.uniform(*CALLED_OFF), job))

    def look(self) -> None:
        """Call off what is due."""
        while self._due and self._due[0][0] <= time.monotonic():
            with suppress(StoreUnavailable, OutcomeUnknown):  # it runs to its end then, as any other
                self._app.jobs.cancel(heapq.heappop(self._due)[1])


def everyday(tasks: Tasks, chance: random.Random, slow: float, paying: float) -> dict[Enqueue, int]:
    """What is enqueued, and how often each in two hundred: one in twenty fails, one in a hundred is called off."""
    more = tasks.everyday

    def waiting() -> timedelta:
        return timedelta(seconds=chance.uniform(*DELAY))

    paid: dict[Enqueue, int] = {
        partial(tasks.pay.enqueue, 0.0): 14,
        partial(tasks.apay.enqueue, 0.0): 14,
        partial(tasks.pay.enqueue, paying): 4,
        partial(tasks.apay.enqueue, paying): 4,
    }
    return (paid if tasks.transactions else {}) | {
        tasks.nothing.enqueue: 47,
        tasks.quick.enqueue: 31,
        partial(tasks.nap.enqueue, slow): 16,
        partial(tasks.doze.enqueue, slow): 10,
        more.stumble.enqueue: 6,
        more.trip.enqueue: 4,
        more.talk.enqueue: 14,
        more.tell.enqueue: 14,
        lambda: tasks.nothing.using(run_after=waiting()).enqueue(): 10,
        lambda: tasks.quick.using(run_after=waiting()).enqueue(): 10,
        Doomed(partial(tasks.nap.enqueue, LONG)): 1,
        Doomed(tasks.nothing.using(run_after=timedelta(seconds=LONG)).enqueue): 1,
    }
