"""A real worker in the background of a test."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextvars import Context
from functools import partial
from types import TracebackType
from typing import Final, Self

from conveyor.core.errors import ConveyorError, UsageError
from conveyor.testing.home import no_loop_here
from conveyor.testing.rigged import Rigged
from conveyor.worker.runner import Runner, Settings

GRACE: Final = 5.0
"""Seconds that running jobs get at the end of the block."""
PATIENCE: Final = 20.0
"""Seconds that the worker gets to end, once it was told to."""


class Working:
    """What ``harness.worker()`` gives: for ``with``, where it works in a thread, or ``async with``, in this loop."""

    def __init__(self, rig: Rigged, queues: Mapping[str, int] | None, slots: int) -> None:
        """Made by the harness; *queues* or, without, *slots* for each queue there is."""
        self._rig = rig
        self._queues = queues
        self._slots = slots
        self._stack = ExitStack()
        self._ready = threading.Event()
        self._stop: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[int] | None = None

    def __enter__(self) -> Self:
        """Start the worker. Raises what keeps it from working."""
        no_loop_here("async with harness.worker():")
        self._begin()
        self._thread = threading.Thread(target=Context().run, args=(self._host,), name="conveyor-worker", daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let running jobs finish, and end it; at once, when the block raised."""
        try:
            self._tell(twice=error is not None)
            if self._thread is not None:
                self._thread.join(PATIENCE)
                if self._thread.is_alive() and error is None:
                    raise ConveyorError(
                        f"the worker has not ended after {PATIENCE:.0f} s; a task blocks its event loop"
                    )
        finally:
            self._end(error)

    async def __aenter__(self) -> Self:
        """Start the worker in this event loop."""
        self._begin()
        runner = self._made()
        self._stop = runner.stop
        self._task = asyncio.get_running_loop().create_task(runner.run(), context=Context())
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As ``__exit__``."""
        try:
            self._tell(twice=error is not None)
            if self._task is not None:
                await asyncio.wait([self._task], timeout=PATIENCE)
                self._task.cancel()
        finally:
            self._end(error)

    def _begin(self) -> None:
        if self._rig.store.turns is not None:
            raise UsageError("drain() runs the jobs of this harness already")
        self._stack.callback(self._less)
        self._rig.working += 1
        if self._rig.store.clock is not None:
            self._stack.enter_context(self._rig.store.clock.running())

    def _less(self) -> None:
        self._rig.working -= 1

    def _end(self, error: BaseException | None) -> None:
        self._stack.close()
        trouble, self._rig.trouble = self._rig.trouble, None
        if trouble is not None and error is None:
            raise trouble
        if trouble is not None and error is not None and error is not trouble:
            error.add_note(f"meanwhile the worker had ended: {trouble!r}")

    def _tell(self, *, twice: bool) -> None:
        for _ in range(1 + twice):
            if self._stop is not None:
                self._stop()

    def _made(self) -> Runner:
        app, store = self._rig.app, self._rig.store
        there = [queue.name for queue in store.run(store.operations.queues())]
        every = app.default_queues(self._slots) | dict.fromkeys(there, self._slots)
        return app.worker(Settings(self._queues or every, grace=GRACE))

    def _host(self) -> None:
        try:
            self._rig.app.run_async(self._work())
        except BaseException as error:  # noqa: BLE001 - it belongs to the test
            self._rig.trouble = error
        finally:
            self._ready.set()
            self._rig.log.ring()

    async def _work(self) -> int:
        try:
            runner = self._made()
            self._stop = partial(_told, asyncio.get_running_loop(), runner)
            self._ready.set()
            return await runner.run()
        finally:
            await self._rig.store.aclose()

    def _ended(self, task: asyncio.Task[int]) -> None:
        if not task.cancelled():
            self._rig.trouble = task.exception()
        self._rig.log.ring()


def _told(loop: asyncio.AbstractEventLoop, runner: Runner) -> None:
    with contextlib.suppress(RuntimeError):  # the worker has ended by itself, and its loop with it
        loop.call_soon_threadsafe(runner.stop)
