"""Huey on its Redis storage."""

import asyncio
import os
from importlib.metadata import version

from huey import RedisHuey

from benchmarks.peers import blocking, common

WORKERS = 2

huey = RedisHuey("compare", url=os.environ[common.URL])


@huey.task()
def stamp(sent: int) -> None:
    """Say that it has started."""
    blocking.stamp(sent)


class Driver(blocking.Driver):
    """Threads in one process; a result of None is not kept, as by default."""

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("huey"),
            "settings": f"`RedisHuey`, {WORKERS} threads, blocking reads (its default); a result of None is not kept "
            "(its default), and what was taken is nowhere but in the worker",
            "unfinished": "return redis.call('LLEN', 'huey.redis.compare')",
            "kept": "return redis.call('HLEN', 'huey.results.compare')",
        }

    def send(self, sent: int) -> None:
        """See the base class."""
        stamp(sent)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        huey.create_consumer(**({} if as_it_comes else {"workers": WORKERS})).run()


if __name__ == "__main__":
    common.main(Driver, asyncio.run)
