"""Oban for Python, the open-source edition."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version

import uvloop
from oban import Oban, worker
from oban.job import Job
from oban.schema import install

from benchmarks.peers import common

LIMIT = 200
POOL = 100
"""One connection for each of 100 callers: no peer waits for a pool."""


@worker(queue="default")
class Stamp:
    """The job of all measures."""

    async def process(self, job: Job) -> None:
        """Say that it has started."""
        await common.stamp(job.args["sent"])


class Driver(common.Driver):
    """Embedded, with the pool that its production guide shows; finished jobs stay for a day, as by default."""

    oban: Oban

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("oban"),
            "settings": f"psycopg (binary), uvloop, queue limit {LIMIT}, a pool of {POOL}",
            "unfinished": "SELECT count(*) FROM oban_jobs WHERE state <> 'completed'",
            "kept": "SELECT count(*) FROM oban_jobs WHERE state = 'completed'",
        }

    async def setup(self) -> None:
        """See the base class."""
        async with await self._pool() as pool:
            await install(pool)

    async def _pool(self) -> contextlib.AbstractAsyncContextManager[object]:
        return await Oban.create_pool(self.url, min_size=2, max_size=POOL)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        async with await self._pool() as pool, Oban(pool=pool) as self.oban:
            yield

    async def one(self, sent: int) -> None:
        """See the base class."""
        await self.oban.enqueue(Stamp.new({"sent": sent}))

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class."""
        await self.oban.enqueue_many(Stamp.new({"sent": each}) for each in sent)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        uvloop.run(self._work(10 if as_it_comes else LIMIT))

    async def _work(self, limit: int) -> None:
        async with await self._pool() as pool, Oban(pool=pool, queues={"default": limit}):
            await asyncio.Event().wait()


if __name__ == "__main__":
    common.main(Driver, uvloop.run)
