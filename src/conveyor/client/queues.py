"""``app.queues``: how full the queues are, and whether anything is taken from them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from conveyor.core.model import QueueInfo, Runner
from conveyor.core.text import checked_name
from conveyor.store.contract import Store


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


def served(found: Sequence[QueueInfo], runners: Sequence[Runner]) -> Sequence[QueueInfo]:
    """With the workers of each, and the queues that have nothing but workers."""
    served = [name for runner in runners if runner.alive for name in runner.info.queues]
    known = {queue.name for queue in found}
    empty = [QueueInfo(name, None, 0, 0, 0, 0, None) for name in sorted({*served} - known)]
    every = [replace(queue, workers=served.count(queue.name)) for queue in (*found, *empty)]
    return sorted(every, key=lambda queue: queue.name)
