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
from conveyor.worker.heartbeat import Tether
from conveyor.worker.runner import Runner, Settings
from conveyor.worker.surround import Surround

logger = logging.getLogger("conveyor.worker")


LEAVE = 1.0
"""Seconds that cancelled tasks get, once all outcomes are written."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def serve(
    known: Known, surround: Surround, settings: Settings, loop_factory: LoopFactory | None, tether: Tether | None = None
) -> int:
    """Work until a signal, or until a burst is over; gives the exit status."""
    loop = (loop_factory or asyncio.new_event_loop)()
    try:
        return loop.run_until_complete(work(known, surround, settings, tether))
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


async def work(known: Known, surround: Surround, settings: Settings, tether: Tether | None = None) -> int:
    """``serve`` within a running event loop."""
    runner = Runner(known, surround, settings, tether)
    supervised = tether is not None and tether.supervised
    with _signals(None if supervised else runner.stop, runner.show):
        try:
            return await runner.run()
        finally:
            for store in (surround.store, surround.outbox):
                if store is not None:
                    await store.aclose()


class _signals(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a function
    """SIGTERM and SIGINT stop the worker, a second one at once; SIGUSR1 prints all stacks, its cells' too.

    Where there is a supervisor that alone says when to stop: who ends a service often signals all of its processes,
    and that must not count as the second signal.
    """

    def __init__(self, stop: Callable[[], None] | None, show: Callable[[], None]) -> None:
        self._stop = stop
        self._show = show
        self._set: list[signal.Signals] = []

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._heard, number)
            self._set.append(number)
        if sys.stderr is sys.__stderr__:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._show)
            self._set.append(signal.SIGUSR1)
            faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)

    def __exit__(self, *_: object) -> None:
        for number in self._set:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _heard(self, number: signal.Signals) -> None:
        if self._stop is not None:
            self._stop()
            logger.info("%s: stopping; once more to stop at once", number.name)
