"""One call of a task, run as a worker would run it, with nothing stored."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, cast

from conveyor.client.sending import new_job
from conveyor.core.options import ATTEMPTS, number_in
from conveyor.task import Call, Enqueueable
from conveyor.testing.home import no_loop_here
from conveyor.testing.rigged import Rigged
from conveyor.worker.inline import Done, Inline

P = ParamSpec("P")
R = TypeVar("R")


class Performing:
    """How calls are to be run; see ``Harness.performing``."""

    def __init__(self, rig: Rigged, attempt: int) -> None:
        """Made by ``Harness.performing``."""
        self._rig = rig
        self._attempt = number_in("attempt", attempt, ATTEMPTS)

    def perform(self, task: Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``Harness.perform``."""
        if task.definition.coroutine:
            no_loop_here("await harness.aperform(...)")
        call = task.bind(*args, **kwargs)
        return _value(self._inline().attempted(new_job(call), call, self._attempt), call)

    async def aperform(self, task: Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See ``Harness.aperform``."""
        call = task.bind(*args, **kwargs)
        return _value(await self._inline().aattempted(new_job(call), call, self._attempt), call)

    def _inline(self) -> Inline:
        return Inline(self._rig.surrounding)


class Performs(Rigged):
    """The part of a harness that runs calls at once."""

    def perform(self, task: Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one call as a worker would, here and now; gives what the task returns, and raises what it raises.

        Arguments and result are encoded and decoded; there is a ``Context``, middleware, the lifespan, and for a
        transactional task the transaction. ``Retry``, ``Snooze``, ``Cancel`` and ``Fail`` come out as they were
        raised. Options are those of ``using``: ``harness.perform(welcome.using(meta={"from": "a test"}), 42)``.

        No job is stored for it; what it enqueues is.
        """
        return self.performing().perform(task, *args, **kwargs)

    async def aperform(self, task: Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """``perform`` in the running event loop."""
        return await self.performing().aperform(task, *args, **kwargs)

    def performing(self, *, attempt: int = 1) -> Performing:
        """``perform`` as another attempt: ``harness.performing(attempt=3).perform(welcome, 42)``."""
        return Performing(self, attempt)

    @contextmanager
    def inline(self) -> Generator[None]:
        """Inside, ``enqueue`` runs the job at once, as with ``CONVEYOR_INLINE=1``: one attempt, and nothing stored.

        It raises what the task raises. In a ``within`` block the job runs before the caller's transaction has ended,
        which a worker's would not; ``drain()`` after the commit is closer to the truth.
        """
        self._inline += 1
        try:
            yield
        finally:
            self._inline -= 1


def _value(done: Done, _: Call[R]) -> R:
    return cast(R, done.value())
