"""``app.queues``: how full the queues are, and whether anything is taken from them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from conveyor.core.clock import MICROSECOND
from conveyor.core.errors import UsageError
from conveyor.core.model import QueueInfo
from conveyor.core.options import Duration, microseconds
from conveyor.core.scaling import Load
from conveyor.core.text import checked_name
from conveyor.store.contract import Store
from conveyor.store.measuring import measured, served
from conveyor.store.rounds import adrive, drive

TARGET: Final = 10.0
"""Seconds that a job may wait for a worker, unless somebody says otherwise."""


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
        return drive(self._store(), measured(self._store().operations, _target(target_wait)))

    async def aload(self, target_wait: Duration = TARGET) -> Sequence[Load]:
        """``load`` for async code."""
        return await adrive(self._store(), measured(self._store().operations, _target(target_wait)))

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
