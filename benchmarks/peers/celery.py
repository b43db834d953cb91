"""Celery with Redis as its broker."""

import asyncio
import os
import sys
from importlib.metadata import version

from celery import Celery

from benchmarks.peers import blocking, common

PREFETCH = 128

app = Celery("compare", broker=os.environ[common.URL])
app.conf.update(
    worker_prefetch_multiplier=PREFETCH,
    task_ignore_result=True,
    broker_pool_limit=blocking.CALLERS,
    broker_connection_retry_on_startup=True,
)


@app.task(name="stamp")
def stamp(sent: int) -> None:
    """Say that it has started."""
    blocking.stamp(sent)


class Driver(blocking.Driver):
    """By its guide on optimizing, without results; a message is acknowledged before its task runs, as by default."""

    app = "benchmarks.peers.celery:app"
    pool = "solo"
    acks = "early acknowledgement (its default)"

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": version("celery"),
            "settings": f"pool `{self.pool}`, prefetch multiplier {PREFETCH}, {self.acks}, no gossip, mingle or "
            "heartbeat, no result backend (its default): nothing is kept",
            "unfinished": "return redis.call('LLEN', 'celery') + redis.call('HLEN', 'unacked')",
            "kept": "return 0",
        }

    def send(self, sent: int) -> None:
        """See the base class."""
        stamp.delay(sent)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        tuned = ("--pool", self.pool, "--without-gossip", "--without-mingle", "--without-heartbeat")
        command = [sys.executable, "-m", "celery", "-A", self.app, "worker", "--loglevel", "warning"]
        # The real command, in this process.
        os.execv(sys.executable, [*command, *(() if as_it_comes else tuned)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    common.main(Driver, asyncio.run)
