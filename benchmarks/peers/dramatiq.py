"""Dramatiq on its Redis broker."""

import asyncio
import os
import sys
from importlib.metadata import version

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers import blocking, common

THREADS = 8

broker = RedisBroker(url=os.environ[common.URL])
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="stamp")
def stamp(sent: int) -> None:
    """Say that it has started."""
    blocking.stamp(sent)


class Driver(blocking.Driver):
    """One process of threads, as many as by default."""

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("dramatiq"),
            "settings": f"`--processes 1 --threads {THREADS}`, no result backend (its default): nothing is kept",
            "unfinished": "return redis.call('HLEN', 'dramatiq:default.msgs')",
            "kept": "return 0",
        }

    def send(self, sent: int) -> None:
        """See the base class."""
        stamp.send(sent)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        tuned = ("--processes", "1", "--threads", str(THREADS))
        command = [sys.executable, "-m", "dramatiq", "benchmarks.peers.dramatiq:broker"]
        # The real command, in this process.
        os.execv(sys.executable, [*command, *(() if as_it_comes else tuned)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    common.main(Driver, asyncio.run)
