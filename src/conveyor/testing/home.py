"""A worker beside a test that blocks: its event loop has a thread of its own, and plain functions run in the test's.

There they find what belongs to a thread: connections, the debugger, what a framework holds for the test. And no event
loop runs there, as none does in a worker's threads.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from typing import Final, ParamSpec, TypeVar

from conveyor.core.errors import UsageError
from conveyor.core.loops import loop_runs_here

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that the event loop gets to wind up when the test is interrupted."""


class Home(Executor):
    """Runs what it is given in the thread that calls ``serve``."""

    def __init__(self) -> None:
        """Nobody serves yet."""
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See ``concurrent.futures.Executor``."""
        future: Future[T] = Future()
        self._work.put(partial(_run, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as there
        """The thread goes on with what it did before; see ``end``."""

    def serve(self) -> None:
        """Run what comes, until ``end``."""
        while (work := self._work.get()) is not None:
            work()

    def end(self) -> None:
        """Nothing more comes."""
        self._work.put(None)


def beside(
    home: Home, coroutine: Coroutine[object, object, T], drive: Callable[[Coroutine[object, object, T]], T]
) -> T:
    """Have *drive* run *coroutine* in a thread of its own, and serve *home* in this one until it has ended.

    It sees none of this thread's context variables: a worker would not either.
    """
    done: Future[T] = Future()
    cancel: list[Callable[[], object]] = []

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        cancel.append(partial(loop.call_soon_threadsafe, task.cancel if task else home.end))
        return await coroutine

    def host() -> None:
        _run(done, partial(drive, main()))
        home.end()

    thread = threading.Thread(target=Context().run, args=(host,), name="conveyor-harness", daemon=True)
    thread.start()
    try:
        home.serve()
    except BaseException:  # Ctrl+C, or the time of the test is up
        for stop in cancel:
            stop()
        raise
    finally:
        thread.join(PATIENCE)
    return done.result(0)


def no_loop_here(instead: str) -> None:
    """``UsageError`` where an event loop runs; *instead* is what to write there."""
    if loop_runs_here():
        raise UsageError(f"an event loop runs here, which this would hold up; use `{instead}`")


def _run(future: "Future[T]", call: Callable[[], T]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            future.set_exception(error)
