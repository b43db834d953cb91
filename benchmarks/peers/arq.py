"""arq, whose worker polls."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version

import uvloop
from arq import ArqRedis, Worker, create_pool, func
from arq.connections import RedisSettings

from benchmarks.peers import common

JOBS = 100
POLL = 0.01


async def stamp(_context: dict[str, object], sent: int) -> None:
    """Say that it has started."""
    await common.stamp(sent)


class Driver(common.Driver):
    """More jobs at a time and a shorter poll than by default; results stay for an hour, as by default."""

    pool: ArqRedis

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("arq"),
            "settings": f"uvloop, `max_jobs={JOBS}`, `poll_delay={POLL}`, results for 1 h, `job_timeout` 300 s (its "
            "defaults)",
            "unfinished": "return redis.call('ZCARD', 'arq:queue')",
            "kept": "return #redis.call('KEYS', 'arq:result:*')",
        }

    async def setup(self) -> None:
        """See the base class: there are no tables."""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        self.pool = await create_pool(RedisSettings.from_dsn(self.url))
        yield
        await self.pool.aclose()

    async def one(self, sent: int) -> None:
        """See the base class."""
        await self.pool.enqueue_job("stamp", sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class: it has no such call."""
        for each in sent:
            await self.one(each)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        uvloop.run(self._work({} if as_it_comes else {"max_jobs": JOBS, "poll_delay": POLL}))

    async def _work(self, settings: dict[str, float]) -> None:
        task = func(stamp, name="stamp")
        await Worker([task], redis_settings=RedisSettings.from_dsn(self.url), **settings).main()


if __name__ == "__main__":
    common.main(Driver, uvloop.run)
