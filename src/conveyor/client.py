"""What a process that enqueues does: send calls to the store, and look at jobs."""

import asyncio
import random
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar, cast
from uuid import UUID

from conveyor.batch import Batcher
from conveyor.core import ids
from conveyor.core.errors import JobNotFound, OutcomeUnknown, StoreUnavailable, UnknownTask, UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import Counts, JobFilter, JobInfo, NewJob, Runner
from conveyor.core.why import AHEAD_COUNTED, explain
from conveyor.job import Job
from conveyor.plan import Plan
from conveyor.store.contract import Operations, Store
from conveyor.task import Call, Definition

R = TypeVar("R")

AT_ONCE: Final = 10_000
"""Jobs of ``enqueue_many`` that share one transaction."""
SHARED: Final = 500
"""Concurrent ``aenqueue`` calls that share one insert."""
PATIENCE: Final = 10.0
"""Seconds to ask what became of an enqueue whose answer was lost."""
PAGE: Final = 1_000


class Client:
    """Carries calls to the store; a ``Sender`` and a ``Desk``."""

    def __init__(self, store: Callable[[], Store], definitions: Callable[[str], Definition | None]) -> None:
        """*store* opens at first use; *definitions* looks a task up, to read its results."""
        self._store = store
        self._definitions = definitions
        self._batchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Batcher[NewJob]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def operations(self) -> Operations:
        """The store's plans."""
        return self._store().operations

    def send(self, call: Call[R]) -> Job[R]:
        """Enqueue one call."""
        job = _new_job(call)
        self._enqueue([job])
        return self._handle(job, call)

    async def asend(self, call: Call[R]) -> Job[R]:
        """Enqueue one call, together with those of concurrent callers."""
        job = _new_job(call)
        batcher = self._batchers.setdefault(asyncio.get_running_loop(), Batcher(self._aenqueue, SHARED))
        await batcher.put(job)
        return self._handle(job, call)

    def send_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Enqueue *calls* in order; each 10,000 are stored together or not at all."""
        handles: list[Job[R]] = []
        for chunk in _chunks(calls):
            jobs = [_new_job(call) for call in chunk]
            self._enqueue(jobs)
            handles += map(self._handle, jobs, chunk)
        return handles

    async def asend_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """``send_many`` for async code."""
        handles: list[Job[R]] = []
        for chunk in _chunks(calls):
            jobs = [_new_job(call) for call in chunk]
            await self._aenqueue(jobs)
            handles += map(self._handle, jobs, chunk)
        return handles

    def info(self, id_: bytes) -> JobInfo:
        """The job's record; ``JobNotFound`` when there is none."""
        return _found(self._store().run(self.operations.get(id_)), id_)

    async def ainfo(self, id_: bytes) -> JobInfo:
        """``info`` for async code."""
        return _found(await self._store().arun(self.operations.get(id_)), id_)

    def known(self, info: JobInfo) -> Job[object]:
        """The handle of a job that was looked up."""
        definition = self._definitions(info.task)
        decode = definition.codec.decode_result if definition else _undecodable
        job: Job[object] = Job(ids.parse(info.id), info.task, self, decode)
        job.seen(info)
        return job

    def _enqueue(self, jobs: Sequence[NewJob]) -> None:
        try:
            self._store().run(self.operations.enqueue(jobs))
        except OutcomeUnknown as lost:
            for pause in _pauses(jobs, lost):
                time.sleep(pause)
                try:
                    return self._store().run(self.operations.repeat_enqueue(jobs))
                except (StoreUnavailable, OutcomeUnknown):
                    continue

    async def _aenqueue(self, jobs: Sequence[NewJob]) -> None:
        try:
            await self._store().arun(self.operations.enqueue(jobs))
        except OutcomeUnknown as lost:
            for pause in _pauses(jobs, lost):
                await asyncio.sleep(pause)
                try:
                    return await self._store().arun(self.operations.repeat_enqueue(jobs))
                except (StoreUnavailable, OutcomeUnknown):
                    continue

    def _handle(self, job: NewJob, call: Call[R]) -> Job[R]:
        state = State.SCHEDULED if job.due or job.delay else State.READY
        decode = cast(Callable[[bytes | None], R], call.definition.codec.decode_result)
        return Job(job.id, job.task, self, decode, state=state)


class Jobs:
    """``app.jobs``: looking at jobs, from any process."""

    def __init__(self, store: Callable[[], Store], client: Client) -> None:
        """Made by the app."""
        self._store = store
        self._client = client

    def get(self, id_: str | UUID) -> Job[object]:
        """The job of that id, looked up now. ``JobNotFound`` when there is none."""
        return self._client.known(self._client.info(_parsed(id_)))

    async def aget(self, id_: str | UUID) -> Job[object]:
        """``get`` for async code."""
        return self._client.known(await self._client.ainfo(_parsed(id_)))

    def list(
        self,
        *,
        state: State | str | Sequence[State] | None = None,
        queue: str | None = None,
        task: str | None = None,
        limit: int = 50,
        after: str | None = None,
        oldest_first: bool = False,
    ) -> Sequence[JobInfo]:
        """Up to *limit* (at most 1,000) jobs, newest first.

        The next page is what comes *after* the id of this page's last job.
        """
        return self._store().run(self._page(_filter(state, queue, task), limit, after, oldest_first=oldest_first))

    async def alist(
        self,
        *,
        state: State | str | Sequence[State] | None = None,
        queue: str | None = None,
        task: str | None = None,
        limit: int = 50,
        after: str | None = None,
        oldest_first: bool = False,
    ) -> Sequence[JobInfo]:
        """``list`` for async code."""
        plan = self._page(_filter(state, queue, task), limit, after, oldest_first=oldest_first)
        return await self._store().arun(plan)

    def counts(self, *, queue: str | None = None, task: str | None = None) -> Counts:
        """How many jobs are in each state; exact up to 10,000, and 10,001 stands for more."""
        return self._store().run(self._client.operations.counts(_filter(None, queue, task)))

    async def acounts(self, *, queue: str | None = None, task: str | None = None) -> Counts:
        """``counts`` for async code."""
        return await self._store().arun(self._client.operations.counts(_filter(None, queue, task)))

    def why(self, id_: str | UUID) -> str:
        """The one thing that the job waits for, or what became of it. ``JobNotFound`` when there is none."""
        info = self._client.info(_parsed(id_))
        store, operations = self._store(), self._client.operations
        ahead = store.run(operations.ahead(info, AHEAD_COUNTED + 1)) if info.state is State.READY else 0
        return explain(info, store.run(operations.runners()), ahead)

    def runners(self) -> Sequence[Runner]:
        """The registered runners, alive or not yet buried."""
        return self._store().run(self._client.operations.runners())

    def _page(self, where: JobFilter, limit: int, after: str | None, *, oldest_first: bool) -> Plan[Sequence[JobInfo]]:
        if not 0 < limit <= PAGE:
            raise UsageError(f"limit={limit} must lie between 1 and {PAGE:,}; ask for the next page with after=")
        return self._client.operations.list(
            where,
            limit=limit,
            after=None if after is None else _parsed(after),
            direction="oldest" if oldest_first else "newest",
        )


def _new_job(call: Call[R]) -> NewJob:
    options = call.options
    return NewJob(
        ids.new(),
        call.definition.name,
        options.queue,
        options.priority,
        options.due,
        options.delay,
        options.max_attempts,
        options.timeout,
        call.payload,
    )


def _chunks(calls: Iterable[Call[R]]) -> Generator[list[Call[R]]]:
    rest = map(_checked, calls)
    while chunk := list(islice(rest, AT_ONCE)):
        yield chunk


def _checked(call: Call[R]) -> Call[R]:
    if not isinstance(call, Call):
        raise TypeError(f"enqueue_many takes bound calls, as task.bind(...) makes them, not {call!r}")
    return call


def _pauses(jobs: Sequence[NewJob], lost: OutcomeUnknown) -> Generator[float]:
    """Pauses between attempts to find out, jittered; ends by raising when patience is over."""
    end = time.monotonic() + PATIENCE
    pause = 0.05
    while time.monotonic() < end:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - a spread, not a secret
        pause = min(pause * 2, 1.0)
    one = ids.text(jobs[0].id)
    what = f"job {one}" if len(jobs) == 1 else f"{len(jobs):,} jobs (the first is {one})"
    raise OutcomeUnknown(f"{what} may or may not be enqueued, and never twice: {lost}") from lost


def _filter(state: State | str | Sequence[State] | None, queue: str | None, task: str | None) -> JobFilter:
    wanted = [] if state is None else [state] if isinstance(state, str) else state
    try:
        states = tuple(State(one) for one in wanted)
    except ValueError:
        raise UsageError(f"{state!r} is no state; there are {', '.join(State)}") from None
    return JobFilter(states=states, queue=queue, task=task)


def _parsed(id_: str | UUID) -> bytes:
    try:
        return ids.parse(id_)
    except (ValueError, AttributeError, TypeError):
        raise JobNotFound(f"{id_!r} is not a job id; one looks like {ids.text(ids.new())}") from None


def _found(info: JobInfo | None, id_: bytes) -> JobInfo:
    if info is None:
        raise JobNotFound(f"there is no job {ids.text(id_)} in this store")
    return info


def _undecodable(result: bytes | None) -> object:
    raise UnknownTask(f"this app does not know the job's task, so its result stays as it is: {result!r}")
