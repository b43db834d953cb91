"""Runs a worker in this process's main thread: event loop, signals, exit."""

import asyncio
import contextlib
import faulthandler
import logging
import signal
import sys
import threading
from collections.abc import Callable

from conveyor.worker.execute import Known
from conveyor.worker.runner import Runner, Settings
from conveyor.worker.surround import Surround

logger = logging.getLogger("conveyor.worker")


LEAVE = 1.0
"""Seconds that cancelled tasks get, once all outcomes are written."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def serve(known: Known, surround: Surround, settings: Settings, loop_factory: LoopFactory | None) -> int:
    """Work until a signal, or until a burst is over; gives the exit status."""
    loop = (loop_factory or asyncio.new_event_loop)()
    try:
        return loop.run_until_complete(work(known, surround, settings))
    finally:
        loop.run_until_complete(_cleared())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _cleared() -> None:
    """Cancel what is left, and wait a moment. ``asyncio.Runner`` waits for ever for a task that swallows it."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LEAVE)


async def work(known: Known, surround: Surround, settings: Settings) -> int:
    """``serve`` within a running event loop."""
    runner = Runner(known, surround, settings)
    with _signals(runner.stop):
        try:
            return await runner.run()
        finally:
            await surround.store.aclose()


class _signals(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a function
    """SIGTERM and SIGINT stop the worker, a second one at once; SIGUSR1 prints the stack of every thread."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._set: list[signal.Signals] = []

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._heard, number)
            self._set.append(number)
        if sys.stderr is sys.__stderr__:
            faulthandler.register(signal.SIGUSR1, all_threads=True)

    def __exit__(self, *_: object) -> None:
        for number in self._set:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _heard(self, number: signal.Signals) -> None:
        logger.info("%s: stopping; once more to stop at once", number.name)
        self._stop()
