"""Sends calls to the store: over our own connections, or inside a transaction of the user's."""

import asyncio
import random
import time
import warnings
import weakref
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Final, Protocol, TypeVar, cast

from conveyor.batch import Batcher
from conveyor.client.joining import AT_ONCE, NOBODY, AfterCommit, Holders, InOutbox, InStore, Joiner, check_alone
from conveyor.core import ids
from conveyor.core.errors import (
    ConveyorWarning,
    HeldElsewhere,
    JobNotFound,
    OutcomeUnknown,
    StoreUnavailable,
)
from conveyor.core.lifecycle import State
from conveyor.core.loops import loop_runs_here
from conveyor.core.model import JobInfo, NewJob
from conveyor.core.unique import hold_of, named
from conveyor.drivers.within import Within, current
from conveyor.job import Desk, Job
from conveyor.store.contract import Operations, Store
from conveyor.task import INHERIT, Call

R = TypeVar("R")

SHARED: Final = 500
"""Concurrent ``aenqueue`` calls that share one insert."""
PATIENCE: Final = 10.0
"""Seconds to ask what became of an enqueue whose answer was lost."""


class Performs(Protocol):
    """Runs calls at once, instead of storing them."""

    def perform(self, job: NewJob, call: Call[R]) -> Job[R]:
        """Run one call."""
        ...

    async def aperform(self, job: NewJob, call: Call[R]) -> Job[R]:
        """Run one call from async code."""
        ...


class Client:
    """Carries calls to the store: a ``Sender``."""

    def __init__(
        self,
        store: Callable[[], Store],
        desk: Desk,
        inline: Callable[[], "Performs | None"],
        outbox: Callable[[], Store | None] = lambda: None,
    ) -> None:
        """*store* opens at first use; *desk* is where handles ask; *inline* gives who runs calls at once, if any.

        *outbox* is the other store, if there is one, in whose transactions jobs for a store on Redis are kept.
        """
        self._store = store
        self._outbox = outbox
        self._desk = desk
        self._inline = inline
        self._joins: tuple[Store, Joiner] | None = None
        self._warned = False
        self._batchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Batcher[NewJob]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def store(self) -> Store:
        """The store, opened."""
        return self._store()

    @property
    def operations(self) -> Operations:
        """The store's plans."""
        return self.store.operations

    def send(self, call: Call[R]) -> Job[R]:
        """Enqueue one call."""
        return self.send_many([call])[0]

    async def asend(self, call: Call[R]) -> Job[R]:
        """Enqueue one call, together with those of concurrent callers."""
        job, inline = new_job(call), self._inline()
        if inline is not None:
            self._check(call)
            return await inline.aperform(job, call)
        if job.unique is not None or current(self.store) is not None or self._block(call) is not None:
            return (await self._asent([call], [job]))[0]
        batcher = self._batchers.setdefault(asyncio.get_running_loop(), Batcher(self._abatch, SHARED))
        await batcher.put(job)
        return self._handle(job, call, NOBODY)

    def send_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Enqueue *calls* in order; each 10,000 are stored together or not at all."""
        handles: list[Job[R]] = []
        for chunk in _chunks(calls):
            jobs, inline = [new_job(call) for call in chunk], self._inline()
            if inline is not None:
                self._check(chunk[0])
                handles += [inline.perform(job, call) for job, call in zip(jobs, chunk, strict=True)]
                continue
            block = self._block(chunk[0])
            self._warn(block)
            holders = self._enqueue(jobs) if block is None else self._joiner.join(block, jobs)
            handles += [self._handle(job, call, holders) for job, call in zip(jobs, chunk, strict=True)]
        return handles

    async def asend_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """``send_many`` for async code."""
        handles: list[Job[R]] = []
        for chunk in _chunks(calls):
            jobs, inline = [new_job(call) for call in chunk], self._inline()
            if inline is None:
                handles += await self._asent(chunk, jobs)
            else:
                self._check(chunk[0])
                handles += [await inline.aperform(job, call) for job, call in zip(jobs, chunk, strict=True)]
        return handles

    def lent(self, connection: object) -> Within:
        """A block in which *connection* is lent to this client's store, or its outbox."""
        return self._joiner.lent(connection)

    def prepare(self, block: Within) -> None:
        """What must be done before *block*'s transaction begins."""
        if self._inline() is None:
            self._joiner.prepare(block)

    @property
    def _joiner(self) -> Joiner:
        """How jobs join transactions, in the store that is open now."""
        store = self.store
        if self._joins is None or self._joins[0] is not store:
            self._joins = store, self._made_for(store)
        return self._joins[1]

    def _made_for(self, store: Store) -> Joiner:
        if store.kind != "redis":
            return InStore(store, store)
        outbox = self._outbox()
        return AfterCommit(store, self._enqueue, self._aenqueue) if outbox is None else InOutbox(store, outbox)

    def _block(self, call: Call[R]) -> Within | None:
        if call.within is INHERIT:
            return current(self.store)
        return None if call.within is None else self.lent(call.within)

    def _check(self, call: Call[R]) -> None:
        """What runs at once joins no transaction; but that it could not have joined one is not to be found out late."""
        block = self._block(call)
        if block is not None:
            self._joiner.check(block)

    async def _asent(self, calls: Sequence[Call[R]], jobs: Sequence[NewJob]) -> list[Job[R]]:
        block = self._block(calls[0])
        holders = await (self._aenqueue(jobs) if block is None else self._joiner.ajoin(block, jobs))
        return [self._handle(job, call, holders) for job, call in zip(jobs, calls, strict=True)]

    def _enqueue(self, jobs: Sequence[NewJob]) -> Holders:
        check_alone(self.store, jobs)
        try:
            return self.store.run(self.operations.enqueue(jobs))
        except HeldElsewhere as held:
            raise _held(jobs, held) from held
        except OutcomeUnknown as lost:
            for pause in _pauses(jobs, lost):
                time.sleep(pause)
                try:
                    return self.store.run(self.operations.repeat_enqueue(jobs))
                except (StoreUnavailable, OutcomeUnknown):
                    continue
            raise

    async def _aenqueue(self, jobs: Sequence[NewJob]) -> Holders:
        check_alone(self.store, jobs)
        try:
            return await self.store.arun(self.operations.enqueue(jobs))
        except HeldElsewhere as held:
            raise _held(jobs, held) from held
        except OutcomeUnknown as lost:
            for pause in _pauses(jobs, lost):
                await asyncio.sleep(pause)
                try:
                    return await self.store.arun(self.operations.repeat_enqueue(jobs))
                except (StoreUnavailable, OutcomeUnknown):
                    continue
            raise

    async def _abatch(self, jobs: Sequence[NewJob]) -> None:
        await self._aenqueue(jobs)

    def _handle(self, job: NewJob, call: Call[R], holders: Holders) -> Job[R]:
        state = State.SCHEDULED if job.due or job.delay else State.READY
        decode = cast("Callable[[bytes | None], R]", call.definition.codec.decode_result)
        holder = holders.get(job.id, job.id)
        return Job(holder, job.task, self._desk, decode, state=state, created=holder == job.id)

    def _warn(self, block: Within | None) -> None:
        """Once: a blocking call inside a running event loop holds up everything else in it."""
        if self._warned or block is not None or not loop_runs_here():
            return
        self._warned = True
        warnings.warn(
            "enqueue() inside a running event loop holds it up while the store answers; use `await ....aenqueue()`",
            ConveyorWarning,
            stacklevel=5,
        )


def new_job(call: Call[R]) -> NewJob:
    """The job of *call*, with an id of its own."""
    options, name = call.options, call.definition.name
    extras = options.extras
    return NewJob(
        ids.new(),
        name,
        options.queue,
        options.priority,
        options.start.due,
        options.start.delay,
        options.max_attempts,
        options.timeout,
        call.payload,
        extras.expires,
        extras.keep,
        options.stored_extras,
        None if options.unique is None else hold_of(options.unique, name, call.payload),
    )


def _chunks(calls: Iterable[Call[R]]) -> Generator[list[Call[R]]]:
    """At most 10,000 at a time, and of one transaction only."""
    chunk: list[Call[R]] = []
    for call in map(_checked, calls):
        if chunk and (len(chunk) == AT_ONCE or call.within is not chunk[0].within):
            yield chunk
            chunk = []
        chunk.append(call)
    if chunk:
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


def _held(jobs: Sequence[NewJob], held: HeldElsewhere) -> StoreUnavailable:
    """What was waited for too long, as far as that can be told."""
    keys = [job.unique.key for job in jobs if job.unique]
    if not keys:
        return held
    what = named(keys[0]) if len(keys) == 1 else f"one of {len(keys):,} unique keys"
    return HeldElsewhere(
        f"another transaction holds {what} and does not end; nothing was stored, and the call may be repeated"
    )


def found(info: JobInfo | None, id_: bytes) -> JobInfo:
    """*info*; ``JobNotFound`` when there is none."""
    if info is None:
        raise JobNotFound(f"there is no job {ids.text(id_)} in this store")
    return info
