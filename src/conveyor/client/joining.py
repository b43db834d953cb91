"""How jobs join a transaction of the user's: in the store itself, in an outbox beside their tables, or after it."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Final

from conveyor.core import ids
from conveyor.core.errors import ConveyorError, NotSent, UsageError
from conveyor.core.model import NewJob
from conveyor.core.unique import named
from conveyor.drivers.commits import Commits
from conveyor.drivers.committing import commits_of
from conveyor.drivers.lend import lend
from conveyor.drivers.lent import AsyncLoan
from conveyor.drivers.within import Within, keeper
from conveyor.plan import Plan, Ring, arun, run
from conveyor.store.answers import Visit
from conveyor.store.contract import Store

Holders = Mapping[bytes, bytes]
NOBODY: Final[Holders] = {}
AT_ONCE: Final = 10_000
"""Jobs that share one transaction."""


class Joiner(ABC):
    """What ``within=`` does, for one app."""

    @abstractmethod
    def lent(self, connection: object) -> Within:
        """A block in which *connection* is lent."""

    @abstractmethod
    def prepare(self, block: Within) -> None:
        """Do what must be done before *block*'s transaction begins."""

    @abstractmethod
    def check(self, block: Within) -> None:
        """Raise unless a job could join here, as far as that can be told without I/O."""

    @abstractmethod
    def join(self, block: Within, jobs: Sequence[NewJob]) -> Holders:
        """Enqueue in the user's transaction. What their library raises is theirs, and passes."""

    @abstractmethod
    async def ajoin(self, block: Within, jobs: Sequence[NewJob]) -> Holders:
        """``join`` for async code."""


class InStore(Joiner):
    """The connection leads to the store itself, and its commit stores the jobs."""

    bell: ClassVar[Ring] = Ring.SOON
    """What workers are rung for: a commit of the user's is under way."""

    def __init__(self, store: Store, into: Store) -> None:
        """*store* is the app's, *into* is where connections lead: the same, but for an outbox."""
        self._store, self._into = store, into
        self._identity = ""

    def lent(self, connection: object) -> Within:
        """See ``Joiner``."""
        return Within(self._store, lend(connection), connection, self._into)

    def prepare(self, block: Within) -> None:
        """Have SQLite's tables made before *block*'s transaction holds their file: then it would be too late."""
        if block.leads_to == self._into.kind == "sqlite" and block.idle:
            self._learn()

    def check(self, block: Within) -> None:
        """See ``Joiner``."""
        block.check(self._into.kind)

    def join(self, block: Within, jobs: Sequence[NewJob]) -> Holders:
        """See ``Joiner``."""
        self.check(block)
        loan = block.blocking()
        if block.isolation is None:
            self._learn()
            block.isolation = run(self._visit(loan.name), loan.carry)
        self.before(block, jobs)
        holders = run(self.plan(jobs), loan.carry)
        self.after(block, jobs, holders)
        return holders

    async def ajoin(self, block: Within, jobs: Sequence[NewJob]) -> Holders:
        """See ``Joiner``."""
        loan = block.loan
        if not isinstance(loan, AsyncLoan):
            return self.join(block, jobs)
        self.check(block)
        if block.isolation is None:
            self._identity = self._identity or await self._into.arun(self._into.operations.identity())
            block.isolation = await arun(self._visit(loan.name), loan.carry)
        self.before(block, jobs)
        holders = await arun(self.plan(jobs), loan.carry)
        self.after(block, jobs, holders)
        return holders

    def _learn(self) -> None:
        self._identity = self._identity or self._into.run(self._into.operations.identity())

    def _visit(self, name: str) -> Plan[str]:
        return self._into.operations.visit(Visit(name, self._into.url, self._identity))

    def plan(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """What is carried over the connection."""
        return self._into.operations.join(jobs)

    def before(self, block: Within, jobs: Sequence[NewJob]) -> None:
        """What would wait for ever is refused."""
        check_alone(self._store, jobs, block)

    def after(self, block: Within, jobs: Sequence[NewJob], holders: Holders) -> None:
        """A commit of the user's rings no bell, where bells there are: workers are told to look for one soon."""
        for job in jobs:
            if job.unique and (job.id not in holders or job.unique.on_conflict == "replace"):
                block.keys.add(job.unique.key)
        if not block.joined:
            block.joined = True
            self._into.ring(self.bell)


class InOutbox(InStore):
    """The connection leads to the outbox, whose relay forwards the jobs after the commit: see ``worker.relay``."""

    bell = Ring.OUTBOX

    def plan(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """See ``InStore``: who holds a unique key is known later."""
        return self._into.outbox(self._store.intake.name).hold(jobs)

    def before(self, block: Within, jobs: Sequence[NewJob]) -> None:
        """See ``InStore``. Keys are taken by the relay, and nobody waits for them."""
        _check_told(block.loan.name, jobs)

    def after(self, block: Within, jobs: Sequence[NewJob], holders: Holders) -> None:
        """See ``InStore``."""
        super().after(block, [job._replace(unique=None) for job in jobs], holders)


class AfterCommit(Joiner):
    """The store joins no transaction, and there is no outbox: jobs are sent once the library tells of the commit."""

    def __init__(
        self,
        store: Store,
        enqueue: Callable[[Sequence[NewJob]], object],
        aenqueue: Callable[[Sequence[NewJob]], Awaitable[object]],
    ) -> None:
        """*enqueue* stores jobs, in both colours."""
        self._store, self._enqueue, self._aenqueue = store, enqueue, aenqueue

    def lent(self, connection: object) -> Within:
        """See ``Joiner``."""
        return Within(self._store, commits_of(connection), connection)

    def prepare(self, block: Within) -> None:
        """Nothing: no table is written."""

    def check(self, block: Within) -> None:
        """See ``Joiner``."""
        block.check(self._store.kind)

    def join(self, block: Within, jobs: Sequence[NewJob]) -> Holders:
        """See ``Joiner``: nothing is written yet."""
        self.check(block)
        _check_told(block.loan.name, jobs)
        if isinstance(block.loan, Commits):
            block.loan.keep(jobs, self)
        return NOBODY

    async def ajoin(self, block: Within, jobs: Sequence[NewJob]) -> Holders:
        """See ``Joiner``."""
        return self.join(block, jobs)

    def sent(self, jobs: Sequence[NewJob]) -> None:
        """See ``Send``."""
        left = list(jobs)
        try:
            while left:
                self._enqueue(left[:AT_ONCE])
                left = left[AT_ONCE:]
        except ConveyorError as error:
            raise _not_sent(left, error) from error

    async def asent(self, jobs: Sequence[NewJob]) -> None:
        """See ``Send``."""
        left = list(jobs)
        try:
            while left:
                await self._aenqueue(left[:AT_ONCE])
                left = left[AT_ONCE:]
        except ConveyorError as error:
            raise _not_sent(left, error) from error


def check_alone(store: Store, jobs: Sequence[NewJob], joining: Within | None = None) -> None:
    """Raise if *jobs* would wait for a key that an open block of the caller's own has taken."""
    keys = {job.unique.key for job in jobs if job.unique}
    if keys and (block := keeper(store, keys, joining)):
        key = min(keys & block.keys)
        raise UsageError(
            f"a transaction of your own, on {block.loan.name}, has taken {named(key)} and has not ended, and so "
            "this call would wait for it for ever; enqueue in that transaction, without another within=, or end "
            "it first"
        )


def _check_told(name: str, jobs: Sequence[NewJob]) -> None:
    """Who enqueues has gone on by the time that a key is seen to be taken."""
    if any(job.unique and job.unique.on_conflict == "raise" for job in jobs):
        raise UsageError(
            f"whether a unique key is taken is not known before the transaction of {name} has committed, and so "
            "on_conflict='raise' cannot raise here; use 'existing' or 'replace', or enqueue after the commit"
        )


def _not_sent(jobs: Sequence[NewJob], error: ConveyorError) -> NotSent:
    left = [ids.text(job.id) for job in jobs]
    what = f"job {left[0]}" if len(left) == 1 else f"{len(left):,} jobs (the first is {left[0]})"
    why = str(error).rstrip(".")
    return NotSent(
        f"the transaction has committed, and {what} enqueued in it may not be stored: {why}. Look for them by their "
        "ids, and enqueue again what is missing; with an outbox nothing can get lost here",
        left,
    )
