"""PgQueuer on asyncpg, which its documentation finds the faster driver."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers import common

BATCH = 100
POOL = 100
"""One connection for each of 100 callers: no peer waits for a pool."""
ENTRYPOINT = "stamp"


class Driver(common.Driver):
    """By its performance guide: a pool for producers, one direct connection for the worker, `pgq autovac`."""

    queries: Queries

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("pgqueuer"),
            "settings": f"asyncpg, uvloop, `batch_size={BATCH}`, durable tables, `pgq autovac`, producers on a pool "
            f"of {POOL}",
            "unfinished": "SELECT count(*) FROM pgqueuer",
            "kept": "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'",
        }

    async def setup(self) -> None:
        """See the base class."""
        connection = await asyncpg.connect(self.url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        async with asyncpg.create_pool(self.url, min_size=5, max_size=POOL) as pool:
            self.queries = Queries(AsyncpgPoolDriver(pool))
            yield

    async def one(self, sent: int) -> None:
        """See the base class."""
        await self.queries.enqueue(ENTRYPOINT, b"%d" % sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class."""
        await self.queries.enqueue([ENTRYPOINT] * len(sent), [b"%d" % each for each in sent], [0] * len(sent))

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        uvloop.run(self._work({} if as_it_comes else {"batch_size": BATCH}))

    async def _work(self, settings: dict[str, int]) -> None:
        queue = PgQueuer.from_asyncpg_connection(await asyncpg.connect(self.url))

        @queue.entrypoint(ENTRYPOINT)
        async def stamp(job: Job) -> None:
            await common.stamp(int(job.payload or b"0"))

        await queue.run(**settings)


if __name__ == "__main__":
    common.main(Driver, uvloop.run)
