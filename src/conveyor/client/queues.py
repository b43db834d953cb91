"""``app.queues``: how full the queues are, and whether anything is taken from them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from conveyor.client.rounds import Rounds, adrive, drive, step
from conveyor.core.clock import MICROSECOND
from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter, QueueInfo, Runner
from conveyor.core.options import Duration, microseconds
from conveyor.core.scaling import Load, loads
from conveyor.core.text import checked_name
from conveyor.store.contract import Store

TARGET: Final = 10.0
"""Seconds that a job may wait for a worker, unless somebody says otherwise."""
LOOKED_AT: Final = 500
"""Jobs that ended, the newest, of which it is looked how long they waited and ran."""


class Queues:
    """``app.queues``. Names need no declaration: a queue exists once something is said of it."""

    def __init__(self, store: Callable[[], Store]) -> None:
        """Made by the app."""
        self._store = store

    def list(self) -> Sequence[QueueInfo]:
        """The queues that have unfinished jobs, are paused, or are served by a running worker; by name."""
        store = self._store()
        return served(store.run(store.operations.queues()), store.run(store.operations.runners()))

    async def alist(self) -> Sequence[QueueInfo]:
        """``list`` for async code."""
        store = self._store()
        found = await store.arun(store.operations.queues())
        return served(found, await store.arun(store.operations.runners()))

    def load(self, target_wait: Duration = TARGET) -> Sequence[Load]:
        """How busy each queue is, and how many workers it needs so that what is due starts within *target_wait*.

        For who starts and stops workers; see ``core.scaling.desired_workers``. *target_wait*: seconds or ``timedelta``.
        """
        return drive(self._store(), self._loads(_target(target_wait)))

    async def aload(self, target_wait: Duration = TARGET) -> Sequence[Load]:
        """``load`` for async code."""
        return await adrive(self._store(), self._loads(_target(target_wait)))

    def _loads(self, target: timedelta) -> Rounds[Sequence[Load]]:
        operations = self._store().operations
        found = yield from step(operations.queues())
        runners = yield from step(operations.runners())
        ended = JobFilter(states=(State.SUCCEEDED, State.FAILED))
        latest = yield from step(operations.list(ended, limit=LOOKED_AT, after=None, direction="newest"))
        return loads(served(found, runners), runners, latest, target, datetime.now(UTC))

    def pause(self, name: str) -> None:
        """Let nothing more of the queue start. What runs goes on; enqueueing too."""
        store = self._store()
        store.run(store.control.pause(checked_name("queue", name)))

    async def apause(self, name: str) -> None:
        """``pause`` for async code."""
        store = self._store()
        await store.arun(store.control.pause(checked_name("queue", name)))

    def resume(self, name: str) -> None:
        """Let its jobs start again."""
        store = self._store()
        store.run(store.control.resume(checked_name("queue", name)))

    async def aresume(self, name: str) -> None:
        """``resume`` for async code."""
        store = self._store()
        await store.arun(store.control.resume(checked_name("queue", name)))


def _target(wait: Duration) -> timedelta:
    target = microseconds("target_wait", wait) * MICROSECOND
    if not target:
        raise UsageError("target_wait must be above 0: no number of workers starts a job before it is due")
    return target


def served(found: Sequence[QueueInfo], runners: Sequence[Runner]) -> Sequence[QueueInfo]:
    """With the workers of each, and the queues that have nothing but workers."""
    served = [name for runner in runners if runner.alive for name in runner.info.queues]
    known = {queue.name for queue in found}
    empty = [QueueInfo(name, None, 0, 0, 0, 0, None) for name in sorted({*served} - known)]
    every = [replace(queue, workers=served.count(queue.name)) for queue in (*found, *empty)]
    return sorted(every, key=lambda queue: queue.name)
