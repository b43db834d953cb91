"""Group commit: callers that come while a write is under way share the next one; alone, nobody waits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from conveyor.core.errors import StoreRefused
from conveyor.core.stalled import stalled

I = TypeVar("I")  # noqa: E741 - an item
O = TypeVar("O")  # noqa: E741 - an outcome

Write = Callable[[Sequence[I]], Awaitable[O]]


class Batcher(Generic[I]):
    """Gathers items of concurrent callers of one event loop into few writes."""

    def __init__(self, write: Callable[[Sequence[I]], Awaitable[None]], limit: int) -> None:
        """*write* gets at most *limit* items; what it refuses is found by halving."""
        self._write = write
        self._limit = limit
        self._waiting: list[tuple[I, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, item: I) -> None:
        """Write *item*; returns when it is written, and raises what kept it from being written."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append((item, done))
        if self._writer is None:
            self._writer = loop.create_task(self._drain(), context=Context())
        with stalled():
            await done

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._write_all([one for one in batch if not one[1].done()])  # some have given up
        finally:
            self._writer = None  # a task holds its event loop, and the loop is the key that we are kept by

    async def _write_all(self, batch: Sequence[tuple[I, asyncio.Future[None]]]) -> None:
        """Each learns its own end: what was written before the store went away must not be called unwritten."""

        async def write(part: Sequence[tuple[I, asyncio.Future[None]]]) -> None:
            try:
                await self._write([item for item, _ in part])
            except StoreRefused:
                raise
            except BaseException as error:  # noqa: BLE001 - its callers wait, also when this task is cancelled
                _end(part, error)
            else:
                _end(part, None)

        if batch:
            for part, refusal in await halved(write, batch):
                _end(part, refusal)


async def halved(
    write: Callable[[Sequence[I]], Awaitable[O]], items: Sequence[I]
) -> list[tuple[Sequence[I], O | StoreRefused]]:
    """Write *items*; when they are refused, find the bad ones by halving, so that they hold back nobody else."""
    try:
        return [(items, await write(items))]
    except StoreRefused as refusal:
        if len(items) == 1:
            return [(items, refusal)]
    middle = len(items) // 2
    return [*await halved(write, items[:middle]), *await halved(write, items[middle:])]


def _end(batch: Sequence[tuple[I, asyncio.Future[None]]], error: BaseException | None) -> None:
    for _, done in batch:
        if not done.done():
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
