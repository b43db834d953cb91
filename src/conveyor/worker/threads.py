"""Threads that do not keep a process from ending, as those of ``ThreadPoolExecutor`` do."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """As many threads as there is work at a time; its callers hold the bound."""

    def __init__(self, name: str) -> None:
        """*name* begins the threads' names."""
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See ``concurrent.futures.Executor``."""
        future: Future[T] = Future()
        self._work.put(partial(_run, future, partial(fn, *args, **kwargs)))
        if not self._idle.acquire(blocking=False):
            name = f"{self._name}_{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._thread, name=name, daemon=True))
            self._threads[-1].start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as there
        """End the idle threads; waits for none."""
        for _ in self._threads:
            self._work.put(None)

    def _thread(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work
            self._idle.release()


def _run(future: "Future[T]", call: Callable[[], T]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(call())
        except StopIteration as error:  # which no future of asyncio's takes, so that who waits would wait for ever
            future.set_exception(RuntimeError(f"raised StopIteration: {error}"))
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            future.set_exception(error)
