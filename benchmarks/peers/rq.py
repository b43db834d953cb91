"""RQ, with the worker that forks for no job."""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version

from redis import Redis
from rq import Queue, SimpleWorker, Worker

from benchmarks.peers import blocking, common

NAME = "benchmarks.peers.blocking.stamp"


class Driver(blocking.Driver):
    """Its quickest worker class; results stay for 500 seconds, as by default."""

    def __init__(self, url: str) -> None:
        """Connects at the first call."""
        super().__init__(url)
        self.queue = Queue(connection=Redis.from_url(url))

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("rq"),
            "settings": "`SimpleWorker` (no fork for a job), `enqueue_many`, results for 500 s (its default)",
            "unfinished": "return redis.call('LLEN', 'rq:queue:default') + redis.call('ZCARD', 'rq:wip:default')",
            "kept": "return redis.call('ZCARD', 'rq:finished:default')",
        }

    def send(self, sent: int) -> None:
        """See the base class."""
        self.queue.enqueue(NAME, sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class."""
        self.queue.enqueue_many([Queue.prepare_data(NAME, (each,)) for each in sent])

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        worker = Worker if as_it_comes else SimpleWorker
        worker([self.queue], connection=self.queue.connection).work(logging_level="WARNING")


if __name__ == "__main__":
    common.main(Driver, asyncio.run)
