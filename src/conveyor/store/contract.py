"""What every store owes. The contract suite in ``tests/contract`` proves it, for each store, from outside."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from conveyor.core.model import (
    Claimed,
    Counts,
    Direction,
    JobFilter,
    JobInfo,
    NewJob,
    Outcome,
    Runner,
    RunnerInfo,
)
from conveyor.plan import Plan

T = TypeVar("T")


class Rescued(NamedTuple):
    """What one pass of rescue found."""

    jobs: int
    """Jobs taken back from dead runners."""
    queues: frozenset[str]
    more: bool
    """Whether a further pass may find more at once."""


class Operations(Protocol):
    """The operations of a store, as plans. Each states what holds once it returned."""

    def enqueue(self, jobs: Sequence[NewJob]) -> Plan[None]:
        """All of *jobs* are stored, in order, or none is. Their ids must be new."""
        ...

    def repeat_enqueue(self, jobs: Sequence[NewJob]) -> Plan[None]:
        """Each of *jobs* is in the store once, whether or not an earlier enqueue of the same ids succeeded.

        Also when the job has finished since, and also when its settle is in flight right now.
        """
        ...

    def claim(self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str]) -> Plan[Sequence[Claimed]]:
        """Due jobs of *tasks* are the runner's: at most ``room[queue]`` of each, by priority, then by time.

        Each has spent an attempt and bears a new token. None, unless the runner's lease lives.
        """
        ...

    def next_due(self, queues: Sequence[str]) -> Plan[int | None]:
        """Microseconds until the next job of *queues* comes due; ``None`` when none is scheduled."""
        ...

    def settle(self, outcomes: Sequence[Outcome]) -> Plan[frozenset[bytes]]:
        """Every outcome is written whose job, token and runner agree; a repeat changes nothing.

        Gives the ids that were refused: jobs that are no longer the runner's, and whose end another wrote.
        """
        ...

    def held(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int]]]:
        """Id and token of each job that *runner* holds as far as the store knows: a claim's answer may be lost."""
        ...

    def rescue(self, limit: int) -> Plan[Rescued]:
        """The running jobs of up to *limit* dead runners are ready again, failed, or quarantined.

        All jobs of a runner at once: only then can be told whether one was alone with it.
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

    def ahead(self, job: JobInfo, limit: int) -> Plan[int]:
        """How many jobs of its queue would be claimed before *job*; counted up to *limit*."""
        ...

    def schema(self) -> Plan[int]:
        """The number of the newest migration that the store has; 0 for none."""
        ...


class Lease(Protocol):
    """A runner's right to be taken for alive. Used from the heartbeat's own thread."""

    def register(self) -> None:
        """Take the lease."""
        ...

    def renew(self) -> bool:
        """Renew it; ``False`` when it has been lost, for good."""
        ...

    def retire(self, *, clean: bool) -> None:
        """End it. *clean*: the runner holds nothing for sure; else whatever it holds will be rescued."""
        ...


class Listener(Protocol):
    """How a worker hears that something may be due. Never the only wake-up: polling is the floor."""

    @property
    def hears(self) -> bool:
        """Whether it has proof that a ring would reach it; else the worker polls more often."""
        ...

    async def listen(self, ring: Callable[[], None]) -> None:
        """Call *ring* whenever something may be due, until cancelled; own troubles are mended inside."""
        ...

    async def idle(self, seconds: float) -> bool:
        """Ask enqueuers to ring for the next *seconds*; whether one more look is needed after that."""
        ...

    async def changed(self) -> bool:
        """Whether the store may have changed since the last call; ``True`` when that cannot be told cheaply."""
        ...


class Store(Protocol):
    """An opened store: its operations, and the means to carry them out."""

    @property
    def operations(self) -> Operations:
        """Its plans."""
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

    def migrate(self) -> list[str]:
        """Bring the store to the newest schema; the names of the migrations applied."""
        ...

    def lease(self, runner: bytes, info: RunnerInfo, seconds: float) -> Lease:
        """A lease for *runner*, over a connection of its own."""
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
