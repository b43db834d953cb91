"""Running what is due, here and now, with the real worker."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Final, TypeVar

from conveyor.core import ids
from conveyor.core.errors import ConveyorError, JobFailed, UsageError
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed, JobFilter, JobInfo, Outcome, read_attempts
from conveyor.core.verdicts import Retry
from conveyor.job import Job
from conveyor.testing.home import Home, beside, no_loop_here
from conveyor.testing.rigged import Rigged, ended
from conveyor.testing.store import FAILING, Turns
from conveyor.worker.runner import Settings
from conveyor.worker.upkeep import Upkeep

T = TypeVar("T")

MOST: Final = 10_000
"""Attempts that one call runs: a task that enqueues itself would run for ever."""
NEARLY_DUE: Final = 10_000
"""Microseconds by a server's clock: jobs of one call come due that far apart at most, and a test means them all."""
LATER: Final = (State.SCHEDULED, State.RETRYABLE)
PAGE: Final = 1_000


class TaskFailed(JobFailed):
    """An attempt failed during ``drain`` or ``run_all``; its ``__cause__`` is what the task raised."""

    def __init__(self, message: str, job: Job[object]) -> None:
        """*job* as it stands now."""
        super().__init__(message)
        self.job = job


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt that was run."""

    job: Job[object]
    """Its job, as it stood at the end."""
    attempt: int
    error: BaseException | None = None
    """What the task raised, also when it was a verdict such as ``Snooze``; ``None`` when it returned."""

    @property
    def task(self) -> str:
        """The task's name."""
        return self.job.task

    @property
    def state(self) -> State:
        """Where its job stood at the end."""
        return self.job.state


class Drain:
    """One call of ``drain`` or ``run_all``."""

    def __init__(self, rig: Rigged, limit: int, *, raises: bool, retries: bool) -> None:
        """*raises*: a failure ends it; *retries*: but not one that another attempt follows."""
        self._rig = rig
        self._store = rig.store
        self._raises = raises
        self._retries = retries
        self._turns = Turns(limit, self._stops)
        self._found: dict[bytes, JobInfo] = {}
        if self._store.turns is not None:
            raise UsageError("drain() is at work already; a task that it runs cannot call it")
        rig.log.raised.clear()

    async def due(self) -> None:
        """Run all that is due, and what that enqueues, until nothing is."""
        self._store.turns = self._turns
        try:
            while not self._over:
                queues = await self._queues()
                await self._burst(queues)
                if not await self._more(queues):
                    break
            await self._look()
        finally:
            self._store.turns = None

    async def all(self) -> None:
        """Run all, whenever it is due, in the order of its time."""
        await self.due()
        while not self._over and await self._come_due():
            await self.due()

    def answer(self) -> list[Ran]:
        """What has run, in its order. Raises for the failure that has ended it."""
        ran = [self._ran(job) for job in self._turns.claimed if job.id in self._found]
        stopped = self._turns.stopped
        if stopped is not None:
            raise self._failure(stopped)
        if self._turns.full:
            raise UsageError(
                f"{len(ran):,} attempts have run, and there is more to do; the latest was of {ran[-1].task}. A task "
                "that enqueues itself, or snoozes until now, would run for ever; limit= is how many are to run"
            )
        return ran

    @property
    def _over(self) -> bool:
        return self._turns.stopped is not None or self._turns.full

    def _stops(self, outcome: Outcome) -> bool:
        error = self._error(outcome)
        if _ends_the_test(error):
            return True
        if not self._raises or outcome.event not in FAILING:
            return False
        return outcome.event is not Event.RETRY or not (self._retries or issubclass(type(error), Retry))

    def _error(self, job: Claimed | Outcome) -> BaseException | None:
        return self._rig.log.raised.get((ids.text(job.id), job.token))

    async def _queues(self) -> list[str]:
        waiting = await self._store.arun(self._store.operations.queues())
        return sorted({*self._rig.app.default_queues(), *(queue.name for queue in waiting)})

    async def _burst(self, queues: Sequence[str]) -> None:
        if self._store.clock is not None:
            self._store.clock.catch_up()
        await Upkeep(self._store).work()  # which the worker would begin, and a burst that is over soon would cut off
        settings = Settings(dict.fromkeys(queues, 1), burst=True, grace=0.0)
        status = await self._rig.app.worker(settings).run()
        if status and self._turns.stopped is None:
            raise ConveyorError(
                "a plain task ran longer than its timeout, which nobody can end but by ending the process, and so "
                "its worker has given it up; async tasks end at their timeout"
            )

    async def _more(self, queues: Sequence[str]) -> bool:
        """Whether something is due that this worker did not serve, or is just about to be."""
        now = await self._store.arun(self._store.operations.queues())
        if any(queue.ready and queue.paused_at is None and queue.name not in queues for queue in now):
            return True
        if self._store.clock is not None:
            return False
        soon = await self._store.arun(self._store.operations.next_due(queues))
        if soon is None or soon > NEARLY_DUE:
            return False
        await asyncio.sleep(soon / 1_000_000)
        return True

    async def _come_due(self) -> bool:
        """Let the next job come due; ``False`` when none waits for its time."""
        clock = self._store.clock
        if clock is None:
            return await self._hasten()
        due = await self._store.arun(self._store.operations.next_due(await self._queues()))
        if due is not None:
            clock.jump(due)
        return due is not None

    async def _hasten(self) -> bool:
        """The clock is a server's: so the time of the job that would be next is moved instead."""
        later: list[JobInfo] = []
        while len(page := await self._page(JobFilter(states=LATER), later[-1] if later else None)) == PAGE:
            later += page
        later += page
        if later:
            first = min(later, key=lambda job: (job.run_after, job.id))
            only = JobFilter(ids=(ids.parse(first.id),))
            await self._store.arun(self._store.control.hasten(only, 1, None))
        return bool(later)

    async def _page(self, where: JobFilter, after: JobInfo | None) -> Sequence[JobInfo]:
        place = None if after is None else ids.parse(after.id)
        return await self._store.arun(self._store.operations.list(where, limit=PAGE, after=place, direction="oldest"))

    async def _look(self) -> None:
        """Read the jobs that have run."""
        wanted = list({job.id for job in self._turns.claimed})
        for start in range(0, len(wanted), PAGE):
            where = JobFilter(ids=tuple(wanted[start : start + PAGE]))
            self._found |= {ids.parse(info.id): info for info in await self._page(where, None)}

    def _ran(self, job: Claimed) -> Ran:
        return Ran(self._rig.handle(self._found[job.id]), job.attempt, self._error(job))

    def _failure(self, outcome: Outcome) -> BaseException:
        error = self._error(outcome)
        if error is not None and _ends_the_test(error):
            return error
        job = next(job for job in self._turns.claimed if (job.id, job.token) == (outcome.id, outcome.token))
        stored = read_attempts(outcome.record)
        what = stored[-1].error if stored else error
        then = ", and would be tried again" if outcome.event is Event.RETRY else ""
        failed = TaskFailed(
            f"{job.task} failed in attempt {job.attempt} of {job.max_attempts}{then}: {what}",
            self._rig.handle(self._found[job.id]),
        )
        failed.__cause__ = None if issubclass(type(error), asyncio.CancelledError) else error
        return failed


class Drains(Rigged):
    """The part of a harness that runs jobs."""

    def drain(self, *, raises: bool = True, limit: int = MOST) -> list[Ran]:
        """Run all jobs that are due now, and those that they enqueue, one at a time; gives what has run, in order.

        By the real worker: claims, middleware, hooks and the lifespan are as they are in production. ``async`` tasks
        run on an event loop in another thread, plain ones here.

        The first attempt that fails ends it, and raises ``TaskFailed`` from what the task has raised; not with
        ``raise Retry(...)``, nor with *raises* false. ``UsageError`` after *limit* attempts with more to do.
        """
        drain = self._drain("await harness.adrain()", limit, raises=raises, retries=False)
        self._beside(drain.due)
        return drain.answer()

    async def adrain(self, *, raises: bool = True, limit: int = MOST) -> list[Ran]:
        """``drain`` in the running event loop, ``async`` tasks too; plain tasks run in other threads."""
        drain = self._drain("", limit, raises=raises, retries=False)
        await _apart(drain.due())
        return drain.answer()

    def run_all(self, *, raises: bool = True, limit: int = MOST) -> list[Ran]:
        """``drain``, and all that is scheduled or to be tried again, in the order of its time, without waiting.

        On SQLite the clock is moved on to each job's time; on PostgreSQL the job is made due. An attempt that fails
        and is followed by another one does not end it; a job that has failed does.
        """
        drain = self._drain("await harness.arun_all()", limit, raises=raises, retries=True)
        self._beside(drain.all)
        return drain.answer()

    async def arun_all(self, *, raises: bool = True, limit: int = MOST) -> list[Ran]:
        """``run_all`` in the running event loop, as ``adrain``."""
        drain = self._drain("", limit, raises=raises, retries=True)
        await _apart(drain.all())
        return drain.answer()

    def _drain(self, instead: str, limit: int, *, raises: bool, retries: bool) -> Drain:
        if instead:
            no_loop_here(instead)
        if self.working:
            raise UsageError("a worker runs the jobs of this harness already; wait_for(job) waits for one of them")
        if self.in_a_file:
            ended(self.path, "no job can be run")
        return Drain(self, limit, raises=raises, retries=retries)

    def _beside(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        async def closed() -> None:
            try:
                await work()
            finally:
                await self.store.aclose()

        self._home = Home()
        try:
            beside(self._home, closed(), self.app.run_async)
        finally:
            self._home = None


async def _apart(work: Coroutine[object, object, T]) -> T:
    """In a context of its own: a worker sees nothing of its starter's, above all no transaction to join."""
    return await asyncio.create_task(work, context=Context())


def _ends_the_test(error: BaseException | None) -> bool:
    """Whether it is meant for whoever runs the tests: Ctrl+C, or what pytest raises to fail or skip one."""
    ours = Exception | asyncio.CancelledError | SystemExit | GeneratorExit
    return error is not None and not issubclass(type(error), ours)  # isinstance() asks the error itself
