"""Moving everything from one store to another one, so that a move that is cut off anywhere can be gone on with.

What there is at each moment is written down in both stores, as a ``Mark``, and each step can be repeated:

1.  The *target* is closed, if no worker lives there and it has none of the source's jobs: until the end it takes new
    jobs, runs none, and nobody changes or deletes what is in it.
2.  The *source* is closed, in one step with the proof that no worker lives there and no job runs: from now on nobody
    can run its jobs, or change anything there. Jobs of workers that have died are rescued before.
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

from conveyor.client.pair import BATCH, NAMED, Pair, some
from conveyor.core import ids
from conveyor.core.errors import ConveyorError, StoreRefused, UsageError
from conveyor.core.lifecycle import FINAL, State
from conveyor.core.model import JobFilter
from conveyor.core.moving import Checksum, Mark, Record
from conveyor.core.unique import named
from conveyor.store.contract import Store
from conveyor.store.moving import Busy

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


class Mover(Pair):
    """Moves all jobs, schedules and pauses of *source* to *target*; see the module's own words."""

    def look(self) -> Moved:
        """What a move would do, if it may begin. Raises ``UsageError`` when it may not."""
        mine = self.checked()
        if mine is None or mine.partly:
            self.check_workers()
            self.check_overlap()
        found = Moved(len(mine.left) if mine and mine.over else self.number())
        found.schedules, found.paused = len(self.schedules(self.source)), len(self.paused())
        return found

    def number(self) -> int:
        """How many jobs the source has."""
        return self.run(self.source, self.source.operations.number(JobFilter()))

    def move(self, advance: Advance = _nothing, *, delete_source: bool = False) -> Moved:
        """Begin, or go on. *advance* hears of each job twice: when it is copied, and when it is compared.

        Raises ``UsageError`` when the move may not begin, ``ConveyorError`` when the copies are not what they should
        be; and as ``Pair.run`` does: then the same call goes on.
        """
        mine = self.checked()
        if mine is None or mine.partly:
            mine = self._begun()
        self.closed = True
        done = Moved()
        if not mine.over:
            self._copy_all(done, mine, advance)
        elif mine.left:
            self._copy_left(done, mine)
        if self.is_filled():
            self.run(self.target, self.target.moving.open())
        if delete_source and not done.left:
            done.deleted = self._emptied()
        return done

    def undo(self, *, force: bool = False) -> int:
        """Delete the copies of a move that is not over, and open both stores; how many copies there were.

        *force*: also where the target was opened by hand meanwhile, so that copies may have run.
        """
        mine, theirs = self.marks()
        if mine is None and theirs is not None and not theirs.copies and self.is_filled():
            self.run(self.target, self.target.moving.open())  # it was cut off before the source was closed
            return 0
        if mine is None or mine.role != "source" or mine.over or mine.other != self.identity(self.target):
            raise UsageError(f"no move from {self.source.url} to {self.target.url} is under way")
        copies = 0
        if self.is_filled():
            self.closed = True
            copies = self._undone()
            self.run(self.target, self.target.moving.open())
        elif not force and self.overlap():
            raise UsageError(
                f"{self.target.url} was opened by hand, and has jobs of {self.source.url}, which may have run there; "
                "--yes opens the source nevertheless"
            )
        self.run(self.source, self.source.moving.open())
        return copies

    # ---------------------------------------------------------------- beginning

    def _begun(self) -> Mark:
        """Close both stores."""
        self._rescue()
        self.check_workers()
        self.check_overlap()
        mine = Mark("source", self.identity(self.target), self.target.url)
        self._close(self.target, self._filling())
        try:
            self._close(self.source, mine)
        except UsageError:
            self.run(self.target, self.target.moving.open())
            raise
        return mine

    def _rescue(self) -> None:
        """Have the jobs wait again whose workers have died."""
        while self.run(self.source, self.source.operations.rescue(RESCUED)).more:
            pass

    def _filling(self, *, copies: bool = False) -> Mark:
        return Mark("target", self.origin, self.source.url, copies=copies)

    def _close(self, store: Store, mark: Mark) -> None:
        try:
            self.run(store, store.moving.close(mark))
        except Busy as error:
            raise UsageError(f"{store.url} could not be closed: {error}") from None

    # ---------------------------------------------------------------- copying

    def _copy_all(self, done: Moved, mine: Mark, advance: Advance) -> None:
        self.run(self.target, self.target.moving.note(self._filling(copies=True)))
        for batch in self.batches(self.source):
            done.left |= self._copied(batch)
            advance(len(batch))
        self._compare(done, self.batches(self.source), advance)
        self._copy_rest(done)
        self._over(mine, done)

    def _copy_left(self, done: Moved, mine: Mark) -> None:
        """The jobs that the target could not take: closed, as it was when they were tried first."""
        theirs = self.run(self.target, self.target.moving.mark())
        if theirs is None or theirs.partly:
            self._close(self.target, self._filling(copies=True))
        wanted = [ids.parse(id_) for id_ in mine.left]
        places = pairwise([*range(0, len(wanted), BATCH), len(wanted)])
        batches = [wanted[first:end] for first, end in places]
        for batch in batches:
            done.left |= self._copied(self.run(self.source, self.source.moving.found(batch)))
        self._compare(done, (self.run(self.source, self.source.moving.found(batch)) for batch in batches), _nothing)
        self._over(mine, done)

    def _copied(self, batch: Sequence[Record]) -> dict[str, str]:
        """Import *batch*; those that the target does not take, and why."""
        if not batch:
            return {}
        try:
            held = self.run(self.target, self.target.moving.imported(batch, self.origin))
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
            found = self.found(wanted)
            ours.add(wanted)
            theirs.add(found)
            if found != wanted:
                there = {record.id: record for record in found}
                wrong += [ids.text(one.id) for one in wanted if there.get(one.id) != one][:NAMED]
            advance(len(batch))
        if wrong or ours.text != theirs.text:
            raise ConveyorError(
                f"{theirs.records:,} of {ours.records:,} jobs are in {self.target.url}, and some not as they are in "
                f"{self.source.url}: {some(wrong)}. Both stores stay closed; see conveyor move --reopen"
            )
        done.jobs, done.checksum = ours.records, ours.text

    def _copy_rest(self, done: Moved) -> None:
        schedules, paused = self.schedules(self.source), self.paused()
        self.run(self.target, self.target.moving.restored(schedules, paused))
        there = self.schedules(self.target)
        if wrong := [schedule.name for schedule in schedules if schedule not in there]:
            raise ConveyorError(
                f"schedules are not in {self.target.url} as they are in {self.source.url}: {some(wrong)}. Both "
                "stores stay closed; see conveyor move --reopen"
            )
        done.schedules, done.paused = len(schedules), len(paused)

    def _over(self, mine: Mark, done: Moved) -> None:
        """From here on nothing is copied again: the target's jobs may run, end, and be deleted."""
        mark = Mark(mine.role, mine.other, mine.url, over=True, left=tuple(done.left))
        self.run(self.source, self.source.moving.note(mark))

    # ---------------------------------------------------------------- deleting

    def _emptied(self) -> int:
        """Delete everything from the source, which stays closed."""
        deleted = 0
        while batch := self.run(self.source, self.source.moving.exported(None, BATCH)):
            self.run(self.source, self.source.moving.dropped([record.id for record in batch]))
            deleted += len(batch)
        names = [schedule.name for schedule in self.schedules(self.source)]
        self.run(self.source, self.source.moving.dropped((), names))
        return deleted

    def _undone(self) -> int:
        """Delete the copies: all that the target has of the source's, for it had none when it was closed."""
        copies = 0
        for batch in self.batches(self.source):
            found = self.found(batch)
            self.run(self.target, self.target.moving.dropped([record.id for record in found]))
            copies += len(found)
        mine = {schedule.name for schedule in self.schedules(self.source)}
        there = [schedule.name for schedule in self.schedules(self.target) if schedule.name in mine]
        self.run(self.target, self.target.moving.dropped((), there))
        return copies


def reopen(store: Store, *, force: bool = False) -> None:
    """Open a *store* that a move has closed. *force*: also where its jobs may have run elsewhere, or may yet.

    Raises ``UsageError`` when it is not closed, and, unless *force*, when that may run jobs twice.
    """
    mark = store.run(store.moving.mark())
    if mark is None:
        raise UsageError(f"{store.url} is open")
    if not force and (danger := _danger(store, mark)):
        raise UsageError(danger)
    store.run(store.moving.open())


def _danger(store: Store, mark: Mark) -> str:
    """What may come of opening *store* alone; nothing, where there is nothing that it could run."""
    if mark.role == "target":
        return (
            f"{store.url} is being filled from {mark.url}: go on with that, or undo it with conveyor move --reopen "
            f"{mark.url} {store.url}; --yes opens it as it is, for when {mark.url} is lost"
        )
    if not mark.over:
        return (
            f"{mark.url} may have copies of jobs of {store.url}: name it too, and they are deleted there; --yes opens "
            "this one alone, for when that one is lost"
        )
    waiting = store.run(store.operations.number(JobFilter(states=_UNFINISHED)))
    schedules = len(store.run(store.schedules.all()))
    if not waiting and not schedules:
        return ""
    return (
        f"{store.url} has {waiting:,} unfinished jobs and {schedules:,} schedules that {mark.url} has too, and that "
        "would run in both; --yes opens it, for when that one is not used"
    )


_UNFINISHED: Final = tuple(state for state in State if state not in FINAL)


def _held(key: str, holder: bytes) -> str:
    if not holder:
        return f"{named(key)} was held by another job, which has ended meanwhile; the same command moves this one too"
    return (
        f"job {ids.text(holder)} holds {named(key)} there; cancel one of the two, then the same command does the rest"
    )
