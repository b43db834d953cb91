"""SAQ on its Redis queue."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version

import uvloop
from saq import Queue, Worker

from benchmarks.peers import common

CONCURRENCY = 100


async def stamp(_context: dict[str, object], *, sent: int) -> None:
    """Say that it has started."""
    await common.stamp(sent)


class Driver(common.Driver):
    """More jobs at a time than by default; finished jobs stay for ten minutes, as by default."""

    queue: Queue

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("saq"),
            "settings": f"uvloop, `concurrency={CONCURRENCY}`, finished jobs for 10 min, `timeout` 10 s, one try (its "
            "defaults)",
            "unfinished": "return redis.call('ZCARD', 'saq:default:incomplete')",
            "kept": "return #redis.call('KEYS', 'saq:job:default:*') - redis.call('ZCARD', 'saq:default:incomplete')",
        }

    async def setup(self) -> None:
        """See the base class: there are no tables."""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        self.queue = Queue.from_url(self.url)
        await self.queue.connect()
        yield
        await self.queue.disconnect()

    async def one(self, sent: int) -> None:
        """See the base class."""
        await self.queue.enqueue("stamp", sent=sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class: it has no such call."""
        for each in sent:
            await self.one(each)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        uvloop.run(self._work({} if as_it_comes else {"concurrency": CONCURRENCY}))

    async def _work(self, settings: dict[str, int]) -> None:
        queue = Queue.from_url(self.url)
        await queue.connect()
        await Worker(queue, [("stamp", stamp)], **settings).start()


if __name__ == "__main__":
    common.main(Driver, uvloop.run)
