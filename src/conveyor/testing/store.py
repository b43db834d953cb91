"""A store as a harness hands it to its app: the real one, watched."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar, cast

from conveyor.core.health import Finding
from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed, NewJob, Outcome
from conveyor.drivers.lent import Kind
from conveyor.plan import Plan, Ring, Steps
from conveyor.store.answers import Settled
from conveyor.store.contract import LOCK_TIMEOUT, Control, Operations, Schedules, Store
from conveyor.store.leases import Leases
from conveyor.store.listener import Listener
from conveyor.store.locks import Locks
from conveyor.store.moving import Moving
from conveyor.store.outbox import Intake, Outbox
from conveyor.store.sight import Sight
from conveyor.testing.clock import MovableClock
from conveyor.testing.log import Log

T = TypeVar("T")

Holders = Mapping[bytes, bytes]


class Calls(Protocol):
    """What is to happen around calls of the store."""

    def before_call(self) -> None:
        """Before each."""
        ...

    def after_call(self) -> None:
        """After a blocking one."""
        ...


calling: Final[ContextVar[Calls | None]] = ContextVar("conveyor_calling", default=None)
"""That, in the attempt that makes them."""


@dataclass
class Turns:
    """One job at a time: each claim gives the next one, and none while one runs.

    Of the queues it is the turn of the one whose oldest job has been due for longest; in a queue a claim decides.
    """

    limit: int
    stops: Callable[[Outcome], bool]
    """Whether that is the last job."""
    claimed: list[Claimed] = field(default_factory=list[Claimed])
    outcomes: dict[tuple[bytes, int], Outcome] = field(default_factory=dict[tuple[bytes, int], Outcome])
    """By job and token."""
    stopped: Outcome | None = None
    full: bool = False
    """Whether there was more to do than the limit allows."""

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """These are to be written."""
        for outcome in outcomes:
            self.outcomes[outcome.id, outcome.token] = outcome
            if self.stopped is None and self.stops(outcome):
                self.stopped = outcome

    def claim(
        self, operations: Operations, runner: bytes, room: Mapping[str, int], tasks: Sequence[str]
    ) -> Steps[Sequence[Claimed]]:
        """The next job, if it may start."""
        if self.stopped is not None or (yield from operations.held(runner).steps()):
            return ()
        waiting = [queue for queue in (yield from operations.queues().steps()) if queue.oldest is not None]
        waiting = [queue for queue in waiting if queue.paused_at is None and queue.name in room]
        for queue in sorted(waiting, key=lambda queue: (-(queue.oldest or 0), queue.name)):
            if len(self.claimed) >= self.limit:
                self.full = True
                return ()
            jobs = yield from operations.claim(runner, {queue.name: 1}, tasks).steps()
            if jobs:
                self.claimed += jobs
                return jobs
        return ()


class WatchedOperations:
    """The operations of a store; those that are not here are as they are."""

    def __init__(self, inner: Operations, store: "WatchedStore") -> None:
        """*store* knows whose turn it is."""
        self._inner = inner
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def enqueue(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """See ``Operations.enqueue``."""
        return self._over(self._inner.enqueue(jobs), len(jobs))

    def repeat_enqueue(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """See ``Operations.repeat_enqueue``."""
        return self._over(self._inner.repeat_enqueue(jobs), len(jobs))

    def join(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """See ``Operations.join``."""
        return self._over(self._inner.join(jobs), len(jobs))

    def claim(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight | None = None
    ) -> Plan[Sequence[Claimed]]:
        """See ``Operations.claim``."""
        turns = self._store.turns
        if turns is None:
            return self._inner.claim(runner, room, tasks, sight)
        if sight is not None:
            sight.whole = True  # a turn looks at all there is, and remembers nothing
        return Plan(partial(turns.claim, self._inner, runner, room, tasks))

    def settle(self, outcomes: Sequence[Outcome]) -> Plan[Settled]:
        """See ``Operations.settle``."""
        if self._store.turns is not None:
            self._store.turns.settled(outcomes)
        return self._inner.settle(outcomes)

    def _over(self, plan: Plan[Holders], microseconds: int) -> Plan[Holders]:
        clock = self._store.clock
        if clock is None:
            return plan

        def steps() -> "Steps[Holders]":
            holders = yield from plan.steps()
            clock.pass_over(microseconds)
            return holders

        return replace(plan, steps=steps)


class WatchedStore:
    """See ``store.contract.Store``."""

    def __init__(self, inner: Store, clock: MovableClock | None, log: Log) -> None:
        """*clock* is the store's, where a test can move it; *log* hears of writes."""
        self._inner = inner
        self._operations = cast(Operations, WatchedOperations(inner.operations, self))
        self._log = log
        self.clock = clock
        self.turns: Turns | None = None
        """Jobs run one by one, while it is there."""

    @property
    def operations(self) -> Operations:
        """See ``Store``."""
        return self._operations

    @property
    def control(self) -> Control:
        """See ``Store``."""
        return self._inner.control

    @property
    def schedules(self) -> Schedules:
        """See ``Store``."""
        return self._inner.schedules

    @property
    def locks(self) -> Locks:
        """See ``Store``."""
        return self._inner.locks

    @property
    def moving(self) -> Moving:
        """See ``Store``."""
        return self._inner.moving

    def outbox(self, target: str) -> Outbox:
        """See ``Store``."""
        return self._inner.outbox(target)

    @property
    def intake(self) -> Intake:
        """See ``Store``."""
        return self._inner.intake

    @property
    def kind(self) -> Kind:
        """See ``Store``."""
        return self._inner.kind

    @property
    def url(self) -> str:
        """See ``Store``."""
        return self._inner.url

    @property
    def migrations(self) -> int:
        """See ``Store``."""
        return self._inner.migrations

    def run(self, plan: Plan[T]) -> T:
        """See ``Store``."""
        calls = calling.get()
        if calls is not None:
            calls.before_call()
        given = self._inner.run(plan)
        self._told(plan)
        if calls is not None:
            calls.after_call()
        return given

    async def arun(self, plan: Plan[T]) -> T:
        """See ``Store``."""
        calls = calling.get()
        if calls is not None:
            calls.before_call()
        given = await self._inner.arun(plan)
        self._told(plan)
        return given

    def ring(self, why: Ring) -> None:
        """See ``Store``."""
        self._inner.ring(why)

    def connect(self) -> object:
        """See ``Store``."""
        return self._inner.connect()

    async def aconnect(self) -> object:
        """See ``Store``."""
        return await self._inner.aconnect()

    def migrate(self, lock_timeout: float = LOCK_TIMEOUT) -> list[str]:
        """See ``Store``."""
        return self._inner.migrate(lock_timeout)

    def pending(self) -> list[str]:
        """See ``Store``."""
        return self._inner.pending()

    def script(self, first: int, last: int, lock_timeout: float = LOCK_TIMEOUT) -> str:
        """See ``Store``."""
        return self._inner.script(first, last, lock_timeout)

    def examine(self, *, deep: bool) -> Sequence[Finding]:
        """See ``Store``."""
        return self._inner.examine(deep=deep)

    def amiss(self) -> Sequence[Finding]:
        """See ``Store``."""
        return self._inner.amiss()

    def leases(self, seconds: float) -> Leases:
        """See ``Store``."""
        return self._inner.leases(seconds)

    def listener(self, runner: bytes) -> Listener:
        """See ``Store``."""
        return self._inner.listener(runner)

    def close(self) -> None:
        """See ``Store``."""
        self._inner.close()

    async def aclose(self) -> None:
        """See ``Store``."""
        await self._inner.aclose()

    def _told(self, plan: Plan[T]) -> None:
        if plan.writes:
            self._log.ring()


FAILING: Final = frozenset({Event.RETRY, Event.FAIL, Event.LOSE, Event.QUARANTINE})
"""What an attempt that went wrong leads to."""
