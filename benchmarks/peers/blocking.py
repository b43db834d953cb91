"""What drivers of libraries with blocking calls share: where callers enqueue at a time, each is a thread."""

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.peers import common

CALLERS = 100


def stamp(sent: int) -> None:
    """Say that it has started; the task of every blocking driver does this."""
    common.hit(sent)
    if sent == common.NAP:
        time.sleep(common.NAP_SECONDS)


class Driver(common.Driver):
    """Blocking calls on a store without tables."""

    threads: ThreadPoolExecutor

    @abstractmethod
    def send(self, sent: int) -> None:
        """Enqueue one job; the server has it when this returns."""

    async def setup(self) -> None:
        """See the base class: there are no tables."""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See the base class."""
        with ThreadPoolExecutor(CALLERS) as self.threads:
            yield

    async def one(self, sent: int) -> None:
        """See the base class; nothing else wants the loop meanwhile."""
        self.send(sent)

    async def many(self, sent: Sequence[int]) -> None:
        """See the base class: one by one, unless the library has a call for it."""
        for each in sent:
            self.send(each)

    async def callers(self, number: int, seconds: float) -> int:
        """See the base class."""
        end = time.monotonic() + seconds

        def caller() -> int:
            done = 0
            while time.monotonic() < end:
                self.send(0)
                done += 1
            return done

        loop = asyncio.get_running_loop()
        return sum(await asyncio.gather(*(loop.run_in_executor(self.threads, caller) for _ in range(number))))
