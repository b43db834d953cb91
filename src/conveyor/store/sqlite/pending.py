"""What a lane owes to a caller."""

import asyncio
import contextlib
import queue
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """What a plan gave, or its error, as soon as that is known.

    A ``concurrent.futures.Future`` will not do: its lock is held by the caller now and then, and a signal handler that
    interrupts the caller just then, and wants something written too, would wait for the lane, which waits for the lock.
    """

    def __init__(self, tell: Callable[[T | BaseException], None] | None = None) -> None:
        """*tell* is called with the answer, in the lane's thread."""
        self._tell = tell
        self._answers: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        self.wanted = True
        """Whether anybody waits for it still; may be cleared until the lane begins."""

    def answer(self, answer: T | BaseException) -> None:
        """It is known."""
        self._answers.put(answer)
        if self._tell is not None:
            self._tell(answer)

    def done(self) -> bool:
        """Whether it is known."""
        return not self._answers.empty()

    def result(self, timeout: float | None = None) -> T:
        """What the plan gave; raises its error. ``queue.Empty`` after *timeout* seconds."""
        answer = self._answers.get(timeout=timeout)
        self._answers.put(answer)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def awaited(submit: Callable[[Callable[[T | BaseException], None]], Pending[T]]) -> asyncio.Future[T]:
    """What *submit* makes pending, for the running event loop. What is given up before the lane begins is not done."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(answer: T | BaseException) -> None:
        if future.done():
            return
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def tell(answer: T | BaseException) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody waits any more
            loop.call_soon_threadsafe(settle, answer)

    pending = submit(tell)

    def forget(ended: asyncio.Future[T]) -> None:
        pending.wanted = not ended.cancelled()

    future.add_done_callback(forget)
    return future
