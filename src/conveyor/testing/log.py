"""What happens in a harness, and a way to wait for it without looking again and again."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Kind = Literal["enqueued", "started", "succeeded", "failed", "retryable", "cancelled", "quarantined"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Happened:
    """One event: a job was enqueued, an attempt has started, or it has ended so, and the app's hooks were told."""

    kind: Kind
    task: str
    """The task's name."""
    id: str
    """The job's."""
    attempt: int
    """0 before the first."""


@dataclass
class Log:
    """All events so far, and who waits for news: of an event, or of a write to the store."""

    events: list[Happened] = field(default_factory=list[Happened])
    raised: dict[tuple[str, int], BaseException] = field(default_factory=dict[tuple[str, int], BaseException])
    """What functions raised, by job and token."""
    _news: threading.Condition = field(default_factory=threading.Condition)
    _count: int = 0
    _waiting: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def note(self, event: Happened) -> None:
        """One more event."""
        self.events.append(event)
        self.ring()

    def ring(self) -> None:
        """There is something new."""
        with self._news:
            self._count += 1
            self._news.notify_all()
            waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()

    @property
    def count(self) -> int:
        """How much has been new so far. To be read before one looks, and given to ``wait``."""
        return self._count

    def wait(self, seen: int, seconds: float) -> None:
        """Wait until there is more than *seen*, or for *seconds*."""
        with self._news:
            self._news.wait_for(lambda: self._count > seen, max(seconds, 0.0))

    async def await_(self, seen: int, seconds: float) -> None:
        """``wait`` in the running event loop."""
        loop = asyncio.get_running_loop()
        come = asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it who waited
                loop.call_soon_threadsafe(come.set)

        with self._news:
            if self._count > seen:
                return
            self._waiting.append(tell)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await come.wait()
