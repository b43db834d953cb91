"""Moving everything from one store to another one, so that a move that is cut off anywhere can be gone on with.

What there is at each moment is written down in both stores, as a ``Mark``, and each step can be repeated:

1.  The *target* is closed, if no worker lives there and it has none of the source's jobs: until the end it takes new
    jobs, runs none, and nobody changes or deletes what is in it.
2.  The *source* is closed, in one step with the proof that no worker lives there and no job runs: from now on nobody can
    run its jobs, or change anything there. Jobs of workers that have died are rescued before.
3.  The jobs are copied in the order of their ids, a batch at a time; one that is in the target already is passed over.
4.  Both stores are read once more: each job must be in the target just as it is in the source. Then the schedules and
    pauses are copied.
5.  The source is marked as *over*: it will never be copied from again, but for the jobs that the target could not take.
6.  The target is opened, and workers may begin there.

So while jobs of one id are in both stores, one of the two runs nothing: the target until step 6, and the source from
step 2 on, for good. A move that was cut off is gone on with by doing the same again. One that is not to be gone on with
is undone: the copies are deleted while both are closed, and both are opened. To open a source whose move is over, or
a target whose source is lost, is for the user to decide: nothing here can know whether its jobs ran elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.errors import ConveyorError, SchemaOutdated, StoreRefused, UsageError
from conveyor.core.model import JobFilter
from conveyor.core.moving import Checksum, Mark, Record
from conveyor.core.schedules import Scheduled
from conveyor.core.unique import named
from conveyor.store.contract import Store
from conveyor.store.moving import Busy

BATCH: Final = 200
"""Jobs that are in memory at a time."""
NAMED: Final = 5
"""Of many, so many are named."""
RESCUED: Final = 100
Advance = Callable[[int], None]
"""Hears how many more jobs are done."""


@dataclass
class Moved:
    """What was moved, or is to be."""

    jobs: int = 0
    """Jobs of the source that are in the target, and were found to be as they were."""
    checksum: str = ""
    """Of all that is stored of them; the same in both stores."""
    schedules: int = 0
    paused: int = 0
    """Queues."""
    deleted: int = 0
    """Jobs that were deleted from the source."""
    left: dict[str, str] = field(default_factory=dict[str, str])
    """Jobs that stay in the source, by their ids, and why."""


def _nothing(_: int) -> None:
    """Nobody wants to hear."""


class Mover:
    """Moves all jobs, schedules and pauses of *source* to *target*; see the module's own words."""

    def __init__(self, source: Store, target: Store) -> None:
        """Asks nothing yet."""
        self._source, self._target = source, target

    def look(self) -> Moved:
        """What a move would do, if it may begin. Raises ``UsageError`` when it may not."""
        mine = self._checked()
        if mine is None:
            self._check_workers()
            self._check_overlap()
        found = Moved(len(mine.left) if mine and mine.over else self.number())
        found.schedules, found.paused = len(self._schedules(self._source)), len(self._paused())
        return found

    def number(self) -> int:
        """How many jobs the source has."""
        return self._source.run(self._source.operations.number(JobFilter()))

    def move(self, advance: Advance = _nothing, *, delete_source: bool = False) -> Moved:
        """Begin, or go on. *advance* hears of each job twice: when it is copied, and when it is compared.

        Raises ``UsageError`` when the move may not begin, ``ConveyorError`` when the copies are not what they should be;
        and as ``Store.run`` does: then the same call goes on.
        """
        mine = self._checked()
        if mine is None:
            mine = self._begun()
        done = Moved()
        if not mine.over:
            self._copy_all(done, mine, advance)
        elif mine.left:
            self._copy_left(done, mine)
        if self._is_filled():
            self._target.run(self._target.moving.open())
        if delete_source and not done.left:
            done.deleted = self._emptied()
        return done

    def undo(self, *, force: bool = False) -> int:
        """Delete the copies of a move that is not over, and open both stores; how many copies there were.

        *force*: also where the target was opened by hand meanwhile, so that copies may have run.
        """
        mine = self._source.run(self._source.moving.mark())
        if mine is None or mine.role != "source" or mine.over or mine.other != self._identity(self._target):
            raise UsageError(f"no move from {self._source.url} to {self._target.url} is under way")
        if self._is_filled():
            dropped = self._undone()
            self._target.run(self._target.moving.open())
        elif force or not self._overlap():
            dropped = 0
        else:
            raise UsageError(
                f"{self._target.url} was opened by hand, and has jobs of {self._source.url}, which may have run there; "
                "--yes opens the source nevertheless"
            )
        self._source.run(self._source.moving.open())
        return dropped

    # ---------------------------------------------------------------- whether it may begin

    def _checked(self) -> Mark | None:
        """What the source says of a move, which must be to this target, if there is one."""
        for store in (self._source, self._target):
            store.run(store.operations.schema())  # which makes the tables where a store does that itself
            if missing := store.pending():
                raise SchemaOutdated(f"{store.url} lacks {len(missing)} migrations; run `conveyor migrate` there")
        mine, theirs = self._source.run(self._source.moving.mark()), self._target.run(self._target.moving.mark())
        source, target = self._identity(self._source), self._identity(self._target)
        if source == target:
            raise UsageError(f"{self._source.url} and {self._target.url} are the same store")
        if mine is not None and (mine.role != "source" or mine.other != target):
            raise UsageError(f"{self._source.url}: {mine.told}; conveyor move --reopen says how to open it again")
        if theirs is not None and (theirs.role != "target" or theirs.other != source):
            raise UsageError(f"{self._target.url}: {theirs.told}; conveyor move --reopen says how to open it again")
        if mine is not None and not mine.over and theirs is None:
            raise UsageError(
                f"{self._target.url} was opened by hand before all jobs of {self._source.url} were there, and may have "
                "run some: see conveyor move --reopen"
            )
        return mine

    def _identity(self, store: Store) -> str:
        return store.run(store.operations.identity())

    def _is_filled(self) -> bool:
        """Whether the target is closed for this very move."""
        theirs = self._target.run(self._target.moving.mark())
        return theirs is not None and theirs.role == "target" and theirs.other == self._identity(self._source)

    def _check_workers(self) -> None:
        while self._source.run(self._source.operations.rescue(RESCUED)).more:
            pass
        for store in (self._source, self._target):
            alive = [runner for runner in store.run(store.operations.runners()) if runner.alive]
            if alive:
                told = _some([f"pid {one.info.pid} on {one.info.host}" for one in alive])
                raise UsageError(
                    f"workers are running on {store.url}: {told}; stop those of both stores first (one that was killed "
                    "counts as running for up to 20 seconds)"
                )

    def _check_overlap(self) -> None:
        if found := self._overlap():
            raise UsageError(
                f"{self._target.url} has jobs of these ids already: {_some([ids.text(one.id) for one in found])}; were "
                "they moved before? Nothing was changed"
            )
        theirs = {schedule.name for schedule in self._schedules(self._target)}
        if both := [one.name for one in self._schedules(self._source) if one.name in theirs]:
            raise UsageError(
                f"both stores have schedules of these names: {_some(both)}; remove one of each (conveyor schedules "
                "remove), so that it is clear where it stands. Nothing was changed"
            )

    def _overlap(self) -> Sequence[Record]:
        """The first jobs of the source, if any, that the target has as well, in whatever state."""
        if not self._target.run(self._target.moving.exported(None, 1)):
            return ()
        batches = (self._found(batch) for batch in self._batches(self._source))
        return next((found for found in batches if found), ())

    def _begun(self) -> Mark:
        """Close both stores."""
        self._check_workers()
        self._check_overlap()
        source, target = self._identity(self._source), self._identity(self._target)
        mine = Mark("source", target, self._target.url)
        self._close(self._target, Mark("target", source, self._source.url))
        try:
            self._close(self._source, mine)
        except ConveyorError:
            self._target.run(self._target.moving.open())
            raise
        return mine

    def _close(self, store: Store, mark: Mark) -> None:
        try:
            store.run(store.moving.close(mark))
        except Busy as error:
            raise UsageError(f"{store.url} could not be closed: {error}") from None

    # ---------------------------------------------------------------- copying

    def _copy_all(self, done: Moved, mine: Mark, advance: Advance) -> None:
        for batch in self._batches(self._source):
            done.left |= self._copied(batch)
            advance(len(batch))
        self._compare(done, self._batches(self._source), advance)
        self._copy_rest(done)
        self._over(mine, done)

    def _copy_left(self, done: Moved, mine: Mark) -> None:
        """The jobs that the target could not take: closed, as it was when they were tried first."""
        if not self._is_filled():
            self._close(self._target, Mark("target", self._identity(self._source), self._source.url))
        wanted = [ids.parse(id_) for id_ in mine.left]
        places = pairwise([*range(0, len(wanted), BATCH), len(wanted)])
        batches = [wanted[first:end] for first, end in places]
        for batch in batches:
            done.left |= self._copied(self._source.run(self._source.moving.found(batch)))
        self._compare(done, (self._source.run(self._source.moving.found(batch)) for batch in batches), _nothing)
        self._over(mine, done)

    def _batches(self, store: Store) -> Iterator[Sequence[Record]]:
        after: bytes | None = None
        while batch := store.run(store.moving.exported(after, BATCH)):
            yield batch
            after = batch[-1].id

    def _copied(self, batch: Sequence[Record]) -> dict[str, str]:
        """Import *batch*; those that the target does not take, and why."""
        if not batch:
            return {}
        try:
            held = self._target.run(self._target.moving.imported(batch))
        except StoreRefused as error:
            if len(batch) == 1:
                return {ids.text(batch[0].id): str(error)}
            half = len(batch) // 2
            return self._copied(batch[:half]) | self._copied(batch[half:])
        keys = {record.id: record.unique_key or "" for record in batch}
        return {ids.text(id_): _held(keys[id_], holder) for id_, holder in held.items()}

    def _compare(self, done: Moved, batches: Iterator[Sequence[Record]], advance: Advance) -> None:
        """Each job must be in the target as it is in the source; but for those that it did not take."""
        ours, theirs = Checksum(), Checksum()
        wrong: list[str] = []
        for batch in batches:
            wanted = [record for record in batch if ids.text(record.id) not in done.left]
            found = self._found(wanted)
            ours.add(wanted)
            theirs.add(found)
            if found != wanted:
                there = {record.id: record for record in found}
                wrong += [ids.text(one.id) for one in wanted if there.get(one.id) != one][:NAMED]
            advance(len(batch))
        if wrong or ours.text != theirs.text:
            raise ConveyorError(
                f"{theirs.records:,} of {ours.records:,} jobs are in {self._target.url}, and some not as they are in "
                f"{self._source.url}: {_some(wrong)}. Both stores stay closed; see conveyor move --reopen"
            )
        done.jobs, done.checksum = ours.records, ours.text

    def _found(self, records: Sequence[Record]) -> Sequence[Record]:
        """What the target has of *records*."""
        wanted = [record.id for record in records]
        return list(self._target.run(self._target.moving.found(wanted))) if wanted else []

    def _schedules(self, store: Store) -> Sequence[Scheduled]:
        return [schedule._replace(now=0) for schedule in store.run(store.schedules.all())]

    def _paused(self) -> dict[str, int]:
        queues = self._source.run(self._source.operations.queues())
        return {queue.name: stored(queue.paused_at) for queue in queues if queue.paused_at}

    def _copy_rest(self, done: Moved) -> None:
        schedules, paused = self._schedules(self._source), self._paused()
        self._target.run(self._target.moving.restored(schedules, paused))
        there = self._schedules(self._target)
        if wrong := [schedule.name for schedule in schedules if schedule not in there]:
            raise ConveyorError(
                f"schedules are not in {self._target.url} as they are in {self._source.url}: {_some(wrong)}. Both stores "
                "stay closed; see conveyor move --reopen"
            )
        done.schedules, done.paused = len(schedules), len(paused)

    def _over(self, mine: Mark, done: Moved) -> None:
        """From here on nothing is copied again: the target's jobs may run, end, and be deleted."""
        mark = Mark(mine.role, mine.other, mine.url, over=True, left=tuple(done.left))
        self._source.run(self._source.moving.note(mark))

    # ---------------------------------------------------------------- deleting

    def _emptied(self) -> int:
        """Delete everything from the source, which stays closed."""
        deleted = 0
        while batch := self._source.run(self._source.moving.exported(None, BATCH)):
            self._source.run(self._source.moving.dropped([record.id for record in batch]))
            deleted += len(batch)
        names = [schedule.name for schedule in self._schedules(self._source)]
        self._source.run(self._source.moving.dropped((), names))
        return deleted

    def _undone(self) -> int:
        """Delete the copies: all that the target has of the source's, for it had none when it was closed."""
        copies = 0
        for batch in self._batches(self._source):
            found = self._found(batch)
            self._target.run(self._target.moving.dropped([record.id for record in found]))
            copies += len(found)
        mine = {schedule.name for schedule in self._schedules(self._source)}
        there = [schedule.name for schedule in self._schedules(self._target) if schedule.name in mine]
        self._target.run(self._target.moving.dropped((), there))
        return copies


def _held(key: str, holder: bytes) -> str:
    if not holder:
        return f"{named(key)} was held by another job, which has ended meanwhile; the same command moves this one too"
    return (
        f"job {ids.text(holder)} holds {named(key)} there; cancel one of the two, then the same command does the rest"
    )


def _some(names: Sequence[str]) -> str:
    """The first of *names*."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
