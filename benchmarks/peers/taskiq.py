"""TaskIQ on the broker of taskiq-redis that acknowledges: a stream."""

import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version

import uvloop
from taskiq_redis import RedisStreamBroker

from benchmarks.peers import common

TASKS = 200

broker = RedisStreamBroker(os.environ[common.URL])


@broker.task(task_name="stamp")
async def stamp(sent: int) -> None:
    """Say that it has started."""
    await common.stamp(sent)


UNFINISHED = """
local groups = redis.call('EXISTS', 'taskiq') == 1 and redis.call('XINFO', 'GROUPS', 'taskiq') or {}
if #groups == 0 then return redis.call('XLEN', 'taskiq') end
local group = {}
for at = 1, #groups[1], 2 do group[groups[1][at]] = groups[1][at + 1] end
return group['pending'] + #redis.call('XRANGE', 'taskiq', '(' .. group['last-delivered-id'], '+')
"""


class Driver(common.Driver):
    """More tasks at a time than by default, in one process; without results."""

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": f"{version('taskiq')}, taskiq-redis {version('taskiq-redis')}",
            "settings": f"`RedisStreamBroker`, uvloop, `--workers 1 --max-async-tasks {TASKS}`, `idle_timeout` 10 min, "
            "no result backend (its defaults): nothing is kept but the stream itself, which nobody trims",
            "unfinished": UNFINISHED,
            "kept": "return 0",
        }

    async def setup(self) -> None:
        """See the base class: there are no tables."""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        await broker.startup()
        yield
        await broker.shutdown()

    async def one(self, sent: int) -> None:
        """See the base class."""
        await stamp.kiq(sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class: it has no such call."""
        for each in sent:
            await self.one(each)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        tuned = ("--workers", "1", "--max-async-tasks", str(TASKS))
        command = [sys.executable, "-m", "taskiq", "worker", "benchmarks.peers.taskiq:broker", "--log-level", "WARNING"]
        # The real command, in this process.
        os.execv(sys.executable, [*command, *(() if as_it_comes else tuned)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    common.main(Driver, uvloop.run)
