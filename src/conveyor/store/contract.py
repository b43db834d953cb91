"""What every store owes. The contract suite in ``tests/contract`` proves it, for each store, from outside."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from conveyor.core.model import (
    COUNTED,
    Claimed,
    Completion,
    Counts,
    Direction,
    DueTask,
    Ended,
    FailureGroup,
    JobFilter,
    JobInfo,
    NewJob,
    Outcome,
    QueueInfo,
    Report,
    Runner,
)
from conveyor.drivers.lent import Kind
from conveyor.plan import Plan, Ring
from conveyor.store.answers import Arranged, Mended, Pass, Rescued, Settled, Visit
from conveyor.store.leases import Leases
from conveyor.store.listener import Listener
from conveyor.store.sight import Sight

if TYPE_CHECKING:  # a process that only enqueues does not pay for them
    from conveyor.core.health import Finding
    from conveyor.core.schedules import Coming, Edit, Move, Scheduled
    from conveyor.store.locks import Locks
    from conveyor.store.moving import Moving
    from conveyor.store.outbox import Intake, Outbox

T = TypeVar("T")

LOCK_TIMEOUT: Final = 3.0
"""Seconds that a migration waits for a table at a time; all who come after it wait as long."""


class Operations(Protocol):
    """The operations of a store, as plans. Each states what holds once it returned."""

    def enqueue(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """All of *jobs* are stored, in order, or none is. Their ids must be new.

        Except those whose unique key an unfinished job holds: the answer gives the holder's id by theirs. Such a job
        is dropped, or has been written over the holder; ``DuplicateJob`` and nothing stored, when one asked for that.
        """
        ...

    def repeat_enqueue(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """Each of *jobs* is in the store once, whether or not an earlier enqueue of the same ids succeeded.

        Also when the job has finished since, and also when its settle is in flight right now. The answer as of
        ``enqueue``.
        """
        ...

    def holder(self, key: str) -> Plan[bytes | None]:
        """The unfinished job that holds the unique *key*, if there is one."""
        ...

    def identity(self) -> Plan[str]:
        """The store's own id, which no other database, schema or file has."""
        ...

    def visit(self, visit: Visit) -> Plan[str]:
        """Over a connection of the user's: it leads to this very store. Gives the transaction's isolation level.

        Raises ``WrongStore``, ``SchemaOutdated`` or ``NotInTransaction`` otherwise, without having provoked an error
        in the user's transaction.
        """
        ...

    def join(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """``enqueue`` over a connection of the user's that was visited: its commit stores *jobs* and wakes workers."""
        ...

    def complete(self, done: Completion) -> Plan[bool]:
        """Over a connection of the user's: its commit ends the job as succeeded. ``False``: it is not the runner's."""
        ...

    def confirm(self, id_: bytes, token: int) -> Plan[bool]:
        """Whether the attempt of that token has ended its job, once all that is under way has come to an end."""
        ...

    def claim(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight | None = None
    ) -> Plan[Sequence[Claimed]]:
        """Due jobs of *tasks* are the runner's: at most ``room[queue]`` of each, by priority, then by time.

        Each has spent an attempt and bears a new token. None, unless the runner's lease lives. *sight* is the
        claimer's own, and learns how far it has seen.
        """
        ...

    def next_due(self, queues: Sequence[str], sight: Sight | None = None) -> Plan[int | None]:
        """Microseconds until the next job of *queues* comes due; ``None`` when none is scheduled.

        With the *sight* of a claimer also what came due since its latest claim, and was missed by that: 0 or less.
        """
        ...

    def settle(self, outcomes: Sequence[Outcome]) -> Plan[Settled]:
        """Every outcome is written whose job, token and runner agree; a repeat changes nothing.

        A job that was to be made ready again, and that somebody has asked to cancel, ends as cancelled instead.
        """
        ...

    def report(self, reports: Sequence[Report]) -> Plan[None]:
        """The progress of running jobs is kept, where job, token and runner agree."""
        ...

    def asked(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int, str]]]:
        """Id, token and reason of each job that *runner* holds and somebody wants cancelled."""
        ...

    def held(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int]]]:
        """Id and token of each job that *runner* holds as far as the store knows: a claim's answer may be lost."""
        ...

    def rescue(self, limit: int) -> Plan[Rescued]:
        """The running jobs of up to *limit* dead runners are ready again, failed, or quarantined.

        All jobs of a runner at once, or with what tells each later pass how many there were: so it can be told whether
        one was alone with it. It stays known as dead until there are none.
        """
        ...

    def dead_runners(self) -> Plan[int]:
        """How many registered runners have no lease any more: while there are some, rescue looks."""
        ...

    def runners(self) -> Plan[Sequence[Runner]]:
        """All registered runners."""
        ...

    def get(self, id_: bytes) -> Plan[JobInfo | None]:
        """The job's record, wherever it stands."""
        ...

    def list(
        self, where: JobFilter, *, limit: int, after: bytes | None, direction: Direction
    ) -> Plan[Sequence[JobInfo]]:
        """Up to *limit* records in the order of their ids, from behind *after*."""
        ...

    def counts(self, where: JobFilter) -> Plan[Counts]:
        """Jobs per state, exact up to ``COUNTED``."""
        ...

    def number(self, where: JobFilter) -> Plan[int]:
        """How many jobs there are of *where*, exactly, however long that takes."""
        ...

    def queues(self) -> Plan[Sequence[QueueInfo]]:
        """The queues that have unfinished jobs or are paused, by name; nothing is said of their workers."""
        ...

    def queue(self, name: str, enough: int = COUNTED + 1) -> Plan[QueueInfo]:
        """One queue, as ``queues`` gives it, its jobs counted up to *enough*; an empty one when nothing is known."""
        ...

    def due_tasks(self, queue: str, limit: int) -> Plan[Sequence[DueTask]]:
        """The due jobs of *queue* by task, the longest waiting first; of the first *limit* that would be claimed."""
        ...

    def latest(self, limit: int) -> Plan[Sequence[Ended]]:
        """Up to *limit* jobs that succeeded or failed, the newest by their ids.

        Looked for among the newest ``COUNTED`` that have ended; so many may have been cancelled that there is none.
        """
        ...

    def stranded(self) -> Plan[int]:
        """How many running jobs are held by runners that have no lease any more."""
        ...

    def prunable(self) -> Plan[int]:
        """How many ended jobs were to stay no longer than until now."""
        ...

    def clock(self) -> Plan[int]:
        """Microseconds of the store's clock."""
        ...

    def failures(self, where: JobFilter, limit: int) -> Plan[Sequence[FailureGroup]]:
        """The ended jobs of *where* that have an error, grouped by its fingerprint; the largest *limit* groups."""
        ...

    def ahead(self, job: JobInfo, limit: int) -> Plan[int]:
        """How many jobs of its queue would be claimed before *job*; counted up to *limit*."""
        ...

    def schema(self) -> Plan[int]:
        """The number of the newest migration that the store has; 0 for none."""
        ...


class Control(Protocol):
    """What people and upkeep do to jobs.

    Each pass changes up to *limit* jobs, in the order of ids, from behind *after*.
    """

    def cancel(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """Waiting jobs are cancelled."""
        ...

    def ask(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """Running jobs are asked to stop; they end as cancelled unless they end by themselves before they hear it."""
        ...

    def call_off(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """Both: whatever a job does at that moment, unless it has ended, it is cancelled or asked."""
        ...

    def revive(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """Ended jobs are ready again, with one more attempt at least; those whose unique key is held by now are not."""
        ...

    def hasten(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """Jobs that wait for their time are ready now."""
        ...

    def delete_waiting(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """Waiting jobs are gone."""
        ...

    def delete_ended(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """Ended jobs are gone."""
        ...

    def expire(self, limit: int) -> Plan[Pass]:
        """Waiting jobs whose time is over are cancelled."""
        ...

    def prune(self, limit: int) -> Plan[int]:
        """Up to *limit* ended jobs are gone that were to stay no longer; how many.

        Where history is kept in parts, not those that go with a part of it.
        """
        ...

    def arrange(self) -> Plan[Arranged]:
        """There are parts of history for what will end, and none of which no job is to stay; where it has parts."""
        ...

    def mend(self) -> Plan[Mended]:
        """A part of the jobs are where their own fields say, as they were anyway, unless the server has lost something.

        Where indexes are keys of their own; each call goes on from where the one before it has stopped.
        """
        ...

    def pause(self, queue: str) -> Plan[None]:
        """Nothing of *queue* is claimed any more."""
        ...

    def resume(self, queue: str) -> Plan[None]:
        """It is claimed again."""
        ...


class Schedules(Protocol):
    """Rules that make jobs, each with a cursor that only moves forward."""

    def all(self, names: Sequence[str] | None = None) -> "Plan[Sequence[Scheduled]]":
        """All, or those of *names* that there are, by name."""
        ...

    def coming(self, limit: int) -> "Plan[Coming]":
        """Up to *limit* whose tick has come and that are not paused, the oldest first, and when the next one comes."""
        ...

    def fire(self, moves: "Sequence[Move]") -> Plan[Mapping[str, int]]:
        """Each cursor that stands where its move says is moved, and the jobs are stored with that, or neither.

        Gives, for those that were moved by this, how many jobs were stored: none where the job of the tick before has
        not ended and the schedule skips then, nor one whose unique key is held.
        """
        ...

    def save(self, edits: "Sequence[Edit]") -> Plan[frozenset[str]]:
        """Each that is still at its edit's version is as that says; their names."""
        ...

    def remove(self, name: str) -> Plan[bool]:
        """There is none of that name any more; whether there was one. Its jobs stay."""
        ...


class Store(Protocol):
    """An opened store: its operations, and the means to carry them out."""

    @property
    def operations(self) -> Operations:
        """Its plans."""
        ...

    @property
    def control(self) -> Control:
        """The plans of people and upkeep."""
        ...

    @property
    def schedules(self) -> Schedules:
        """The plans of schedules."""
        ...

    @property
    def locks(self) -> "Locks":
        """The plans of locks."""
        ...

    @property
    def moving(self) -> "Moving":
        """The plans by which everything comes here, or to another store."""
        ...

    def outbox(self, target: str) -> "Outbox":
        """Where jobs wait for the store elsewhere that calls itself so. Raises ``UsageError`` on Redis."""
        ...

    @property
    def intake(self) -> "Intake":
        """How jobs of an outbox elsewhere arrive. Raises ``UsageError`` on SQL, which needs none."""
        ...

    @property
    def kind(self) -> Kind:
        """The kind of database that it is."""
        ...

    @property
    def url(self) -> str:
        """Where it is, without password."""
        ...

    @property
    def migrations(self) -> int:
        """The number of the newest migration that this version knows."""
        ...

    def run(self, plan: Plan[T]) -> T:
        """Carry *plan* out from blocking code.

        Raises ``StoreUnavailable`` when nothing was done, ``OutcomeUnknown`` when the answer to a write was lost,
        ``StoreRefused`` when a value or right was refused, ``SchemaOutdated`` when tables are missing.
        """
        ...

    def arun(self, plan: Plan[T]) -> Awaitable[T]:
        """Carry *plan* out from the running event loop. Raises as ``run`` does."""
        ...

    def ring(self, why: Ring) -> None:
        """Tell workers to look, where a commit that we do not see tells nobody; does nothing where it does."""
        ...

    def connect(self) -> object:
        """A connection of the store's library, of the user's own to use and close, for blocking code.

        Raises ``UsageError`` where the store has none to give.
        """
        ...

    async def aconnect(self) -> object:
        """The same for async code."""
        ...

    def migrate(self, lock_timeout: float = LOCK_TIMEOUT) -> list[str]:
        """Bring the store to the newest schema; the names of the migrations applied.

        Whoever uses a table meanwhile is waited for *lock_timeout* seconds at a time, 0 for as long as it takes; raises
        ``HeldElsewhere`` when that was in vain several times. What was applied by then stays.
        """
        ...

    def pending(self) -> list[str]:
        """The names of the migrations that are missing; nothing is changed, and no store is made."""
        ...

    def script(self, first: int, last: int, lock_timeout: float = LOCK_TIMEOUT) -> str:
        """The SQL that brings a schema at migration *first* to *last*, as ``migrate`` would.

        Raises ``UsageError`` when there are no such migrations, or the store has no such script.
        """
        ...

    def examine(self, *, deep: bool) -> "Sequence[Finding]":
        """What there is to say of this kind of store; *deep*: also what takes long to find out.

        Nothing is raised: what cannot be looked at is a finding.
        """
        ...

    def amiss(self) -> "Sequence[Finding]":
        """Whether its tables are there, whole, and to be used; quick enough for each start of a worker.

        Raises as ``run`` does.
        """
        ...

    def leases(self, seconds: float) -> Leases:
        """Leases of *seconds*, over a connection of their own."""
        ...

    def listener(self, runner: bytes) -> Listener:
        """A listener for *runner*."""
        ...

    def close(self) -> None:
        """Close what this process opened from blocking code."""
        ...

    async def aclose(self) -> None:
        """Close what the running event loop opened."""
        ...
