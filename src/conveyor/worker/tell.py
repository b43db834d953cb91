"""Tells hooks of the ends of attempts, once they are written. At most once: a worker that dies first tells nobody."""

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import timedelta
from typing import Final, cast

from conveyor.around import Around
from conveyor.core import ids
from conveyor.core.extras import decoded
from conveyor.core.lifecycle import Event, State, ending
from conveyor.core.model import Claimed, Held, Outcome, read_attempts
from conveyor.hooks import Ended, Hook, Hooks
from conveyor.task import Definition
from conveyor.worker.threads import DaemonThreads

logger = logging.getLogger("conveyor.worker")

AT_A_TIME: Final = 20
MICROSECOND: Final = timedelta(microseconds=1)


class Teller:
    """Runs hooks: ``async`` ones in this event loop, plain ones in threads."""

    def __init__(
        self, known: Mapping[str, Definition], around: Around, pool: Callable[[str], Executor] = DaemonThreads
    ) -> None:
        """Looks up the hooks of all tasks, and so raises ``ConveyorError`` for a name that nobody has registered."""
        self._hooks = {name: hooks for name, definition in known.items() if (hooks := around.hooks_of(definition))}
        self._waiting: dict[tuple[bytes, int], Claimed] = {}
        self._scope = contextvars.copy_context()
        self._telling: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_A_TIME)
        self._pool = pool("conveyor-hook")

    def __len__(self) -> int:
        """Ends that somebody is being told of."""
        return len(self._telling)

    @property
    def expects(self) -> bool:
        """Whether any outcome on its way is of interest to a hook."""
        return bool(self._waiting)

    def expect(self, job: Claimed, outcome: Outcome) -> None:
        """An outcome is on its way into the store."""
        if job.task in self._hooks:
            self._waiting[outcome.id, outcome.token] = job

    def settled(self, outcome: Outcome, *, refused: bool, stopped: bool) -> None:
        """The store has answered for *outcome*: as it is, or refused, or cancelled instead."""
        expected = self._waiting.pop((outcome.id, outcome.token), None)
        if expected is not None and not refused:
            self.tell(expected, outcome._replace(event=Event.CANCEL) if stopped else outcome)

    def tell(self, job: Claimed | Held, outcome: Outcome) -> None:
        """Tell of what is written."""
        hooks = self._hooks.get(job.task)
        state = ending(outcome.event) or (State.RETRYABLE if outcome.event in {Event.RETRY, Event.RESCUE} else None)
        if hooks is None or state is None:
            return
        told = hooks.for_state(state)
        if told:
            telling = self._tell(hooks, _ended(job, outcome, state))
            scope = self._scope.copy()  # the present one may be that of the attempt, whose variables are its own
            task = asyncio.get_running_loop().create_task(telling, context=scope)
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def drained(self, seconds: float) -> None:
        """Wait for the hooks that run."""
        if self._telling:
            _, late = await asyncio.wait(self._telling, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                logger.warning("%d hooks were still running, and were cut off", len(late))
        self._pool.shutdown(wait=False)

    async def _tell(self, hooks: Hooks, ended: Ended) -> None:
        async with self._room:
            for hook in hooks.for_state(ended.state):
                try:
                    await self._call(cast(Hook, hook), ended)
                except BaseException as error:  # also sys.exit(): a hook has no say in the worker's life
                    task = asyncio.current_task()
                    if issubclass(type(error), asyncio.CancelledError) and task is not None and task.cancelling():
                        raise
                    logger.exception("a hook failed", extra={"job": ended.id, "task": ended.task})

    async def _call(self, hook: Hook, ended: Ended) -> None:
        if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
            await cast("asyncio.Future[object]", hook(ended))
        else:
            await asyncio.get_running_loop().run_in_executor(self._pool, hook, ended)


def _ended(job: Claimed | Held, outcome: Outcome, state: State) -> Ended:
    extras = decoded(job.extras)
    error = read_attempts(outcome.record)[-1].error if outcome.record else None
    return Ended(
        id=ids.text(job.id),
        task=job.task,
        queue=job.queue,
        state=state,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        run_time=outcome.run_time * MICROSECOND,
        error=error,
        reason=outcome.reason,
        result=outcome.result,
        tags=extras.tag_list,
        meta=extras.meta_dict,
    )
