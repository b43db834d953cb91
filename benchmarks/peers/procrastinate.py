"""Procrastinate on its asynchronous psycopg connector."""

import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version

import procrastinate
import uvloop

from benchmarks.peers import common

CONCURRENCY = 30
POOL = 100
"""One connection for each of 100 callers: no peer waits for a pool."""

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ[common.URL], min_size=5, max_size=POOL)
)


@app.task(name="stamp")
async def stamp(sent: int) -> None:
    """Say that it has started."""
    await common.stamp(sent)


class Driver(common.Driver):
    """A worker of several sub-workers, as its guide on concurrency has it; finished jobs stay, as by default."""

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("procrastinate"),
            "settings": f"psycopg (binary), uvloop, `concurrency={CONCURRENCY}`, a pool of {POOL}",
            "unfinished": "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')",
            "kept": "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
        }

    async def setup(self) -> None:
        """See the base class."""
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        async with app.open_async():
            yield

    async def one(self, sent: int) -> None:
        """See the base class."""
        await stamp.defer_async(sent=sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class."""
        await stamp.batch_defer_async(*({"sent": each} for each in sent))

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        uvloop.run(self._work(1 if as_it_comes else CONCURRENCY))

    async def _work(self, concurrency: int) -> None:
        async with app.open_async():
            await app.run_worker_async(concurrency=concurrency)


if __name__ == "__main__":
    common.main(Driver, uvloop.run)
