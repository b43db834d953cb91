"""The two stores of a move, and whether it may begin."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, TypeVar

from conveyor.client.patience import Patience
from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.errors import SchemaOutdated, UsageError
from conveyor.core.moving import Mark, Record
from conveyor.core.schedules import Scheduled
from conveyor.plan import Plan
from conveyor.store.contract import Store

T = TypeVar("T")

BATCH: Final = 200
"""Jobs that are in memory at a time."""
NAMED: Final = 5
"""Of many, so many are named."""


class Pair:
    """A *source* and a *target*: looking at them changes nothing."""

    def __init__(self, source: Store, target: Store, patience: Patience | None = None) -> None:
        """Asks nothing yet. *patience* is for what may be done twice: all that comes once both stores are closed."""
        self.source, self.target = source, target
        self.closed = False
        """Whether both stores are, by what is known here."""
        self._patience = patience

    def run(self, store: Store, plan: Plan[T]) -> T:
        """What *plan* gives. Raises as ``Store.run``; once both stores are closed, after *patience*."""
        return self._patience.run(store, plan) if self._patience and self.closed else store.run(plan)

    def checked(self) -> Mark | None:
        """What the source says of a move, which must be to this target, if there is one."""
        for store in (self.source, self.target):
            self.run(store, store.operations.schema())  # which makes the tables where a store does that itself
            if missing := store.pending():
                raise SchemaOutdated(f"{store.url} lacks {len(missing)} migrations; run `conveyor migrate` there")
        mine, theirs = self.marks()
        source, target = self.origin, self.identity(self.target)
        if source == target:
            raise UsageError(f"{self.source.url} and {self.target.url} are the same store")
        if mine is not None and (mine.role != "source" or mine.other != target):
            raise UsageError(f"{self.source.url}: {mine.told}; conveyor move --reopen says how to open it again")
        if mine is not None and mine.over and not mine.left:
            return mine  # whatever has become of the target since
        if theirs is not None and (theirs.role != "target" or theirs.other != source):
            raise UsageError(f"{self.target.url}: {theirs.told}; conveyor move --reopen says how to open it again")
        if mine is not None and not mine.over and theirs is None:
            raise UsageError(
                f"{self.target.url} was opened by hand before all jobs of {self.source.url} were there, and may have "
                "run some: see conveyor move --reopen"
            )
        if mine is None and theirs is not None and theirs.copies:
            raise UsageError(
                f"{self.target.url} has copies of a move from {self.source.url}, which was opened by hand since: see "
                "conveyor move --reopen"
            )
        return mine

    def marks(self) -> tuple[Mark | None, Mark | None]:
        """What both stores say of a move."""
        return self.run(self.source, self.source.moving.mark()), self.run(self.target, self.target.moving.mark())

    @cached_property
    def origin(self) -> str:
        """The source's own id."""
        return self.identity(self.source)

    def identity(self, store: Store) -> str:
        """The store's own id."""
        return self.run(store, store.operations.identity())

    def is_filled(self) -> bool:
        """Whether the target is closed for this very move."""
        theirs = self.run(self.target, self.target.moving.mark())
        return theirs is not None and theirs.role == "target" and theirs.other == self.origin

    def check_workers(self) -> None:
        """Raises ``UsageError`` when a worker lives in either store."""
        for store in (self.source, self.target):
            alive = [runner for runner in self.run(store, store.operations.runners()) if runner.alive]
            if alive:
                told = some([f"pid {one.info.pid} on {one.info.host}" for one in alive])
                raise UsageError(
                    f"workers are running on {store.url}: {told}; stop those of both stores first (one that was killed "
                    "counts as running for up to 20 seconds)"
                )

    def check_overlap(self) -> None:
        """Raises ``UsageError`` when the target has something of the source's already."""
        if found := self.overlap():
            raise UsageError(
                f"{self.target.url} has jobs of these ids already: {some([ids.text(one.id) for one in found])}; were "
                "they moved before? Nothing was changed"
            )
        theirs = {schedule.name for schedule in self.schedules(self.target)}
        if both := [one.name for one in self.schedules(self.source) if one.name in theirs]:
            raise UsageError(
                f"both stores have schedules of these names: {some(both)}; remove one of each (conveyor schedules "
                "remove), so that it is clear where it stands. Nothing was changed"
            )

    def overlap(self) -> Sequence[Record]:
        """The first jobs of the source, if any, that the target has as well, in whatever state."""
        if not self.run(self.target, self.target.moving.exported(None, 1)):
            return ()
        batches = (self.found(batch) for batch in self.batches(self.source))
        return next((found for found in batches if found), ())

    def batches(self, store: Store) -> Iterator[Sequence[Record]]:
        """All jobs of *store*, in the order of their ids."""
        after: bytes | None = None
        while batch := self.run(store, store.moving.exported(after, BATCH)):
            yield batch
            after = batch[-1].id

    def found(self, records: Sequence[Record]) -> Sequence[Record]:
        """What the target has of *records*."""
        wanted = [record.id for record in records]
        found = self.run(self.target, self.target.moving.found(wanted)) if wanted else ()
        return list(found)

    def schedules(self, store: Store) -> Sequence[Scheduled]:
        """Those of *store*, without the time at which they were read."""
        return [schedule._replace(now=0) for schedule in self.run(store, store.schedules.all())]

    def paused(self) -> dict[str, int]:
        """The source's paused queues, and since when each is."""
        queues = self.run(self.source, self.source.operations.queues())
        return {queue.name: stored(queue.paused_at) for queue in queues if queue.paused_at}


def some(names: Sequence[str]) -> str:
    """The first of *names*."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
