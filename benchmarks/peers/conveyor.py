"""Conveyor, through its public face."""

import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import TypedDict
from urllib.parse import urlsplit

from benchmarks.peers import common
from conveyor import Conveyor
from conveyor.core.version import __version__

SLOTS = 200


class Looks(TypedDict):
    """How to look from outside, for one kind of store."""

    unfinished: str
    kept: str


LOOKS: dict[str, Looks] = {
    "postgresql": {
        "unfinished": "SELECT count(*) FROM conveyor_job",
        "kept": "SELECT count(*) FROM conveyor_history",
    },
    "redis": {
        "unfinished": "return redis.call('ZCARD', '{conveyor:0}:live')",
        "kept": "return redis.call('ZCARD', '{conveyor:0}:past:succeeded')",
    },
}

app = Conveyor(os.environ[common.URL])


@app.task(name="stamp")
async def stamp(sent: int) -> None:
    """Say that it has started."""
    await common.stamp(sent)


class Driver(common.Driver):
    """Defaults everywhere, but for the number of slots: the jobs are asynchronous and short."""

    def about(self) -> common.About:
        """See the base class."""
        return {
            "version": __version__,
            "settings": f"`conveyor worker -q default={SLOTS}`, all else as it comes",
            **LOOKS[urlsplit(self.url).scheme],
        }

    async def setup(self) -> None:
        """See the base class."""
        app.migrate()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        yield
        await app.aclose()

    async def one(self, sent: int) -> None:
        """See the base class."""
        await stamp.aenqueue(sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class."""
        await app.aenqueue_many(stamp.bind(each) for each in sent)

    def work(self, *, as_it_comes: bool) -> None:
        """See the base class."""
        slots = () if as_it_comes else ("-q", f"default={SLOTS}")
        command = [sys.executable, "-m", "conveyor", "worker", "--app", "benchmarks.peers.conveyor:app"]
        # The real command, in this process.
        os.execv(sys.executable, [*command, *slots, "--log-level", "warning"])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    common.main(Driver, app.run_async)
