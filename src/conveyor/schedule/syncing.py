"""Brings the schedules that the code declares into a store: at each start of a worker, and at each deploy."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from conveyor.core.errors import StoreUnavailable
from conveyor.core.schedules import Edit, Scheduled, Spec, read_spec, written
from conveyor.schedule.firing import following
from conveyor.store.contract import Schedules
from conveyor.store.rounds import Rounds, step

ROUNDS: Final = 5
"""So often somebody else was quicker."""


class Change(StrEnum):
    """What the store lacks of what the code says."""

    CREATE = "create"
    CHANGE = "change"
    DRIFT = "drift"
    """It was edited at run time, and stays so unless that is to be reset."""
    ORPHAN = "orphan"
    """The code declares it no more, and has its task; it goes on unless it is to be removed."""
    FOREIGN = "foreign"
    """Some code has declared it, with a task that this app has not: another app's, or gone. It is left alone."""
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Difference:
    """One schedule, and what the store lacks of it."""

    name: str
    change: Change
    spec: Spec | None = field(repr=False)
    """What the code says; ``None`` where it says nothing. Not printed: arguments may be secrets."""
    row: Scheduled | None = field(repr=False)
    """What is stored; ``None`` for one that is to be created. Not printed, likewise."""

    @property
    def paused(self) -> bool:
        """Whether somebody has paused it: no deploy, and no reset, lets it go on."""
        return self.row is not None and self.row.paused_at is not None

    @property
    def behind(self) -> bool:
        """Whether the store has not heard yet what the code says of it."""
        return self.spec is not None and (self.row is None or self.row.declared != written(self.spec))


def compared(declared: Mapping[str, Spec], rows: Sequence[Scheduled], tasks: Collection[str]) -> list[Difference]:
    """What *declared* and *rows* differ in, by name; *tasks* are those that the code has.

    Of what was made at run time only a name that both have counts.
    """
    stored = {row.name: row for row in rows}
    found = [
        Difference(name, _change(spec, stored.get(name)), spec, stored.get(name)) for name, spec in declared.items()
    ]
    found += [
        Difference(row.name, Change.ORPHAN if task_of(row) in tasks else Change.FOREIGN, None, row)
        for row in rows
        if row.declared is not None and row.name not in declared
    ]
    return sorted(found, key=lambda difference: difference.name)


def _change(spec: Spec, row: Scheduled | None) -> Change:
    if row is None:
        return Change.CREATE
    if row.spec == written(spec):
        return Change.SAME
    return Change.CHANGE if row.spec == row.declared or _spec(row) is None else Change.DRIFT


def task_of(row: Scheduled) -> str:
    """The task of a stored schedule; empty where that cannot be read."""
    spec = _spec(row)
    return spec.job.task if spec else ""


def _spec(row: Scheduled) -> Spec | None:
    """What is stored; ``None`` where somebody has spoilt it, or a later version has written it."""
    try:
        return read_spec(row.spec)
    except ValueError:
        return None


def applied(
    schedules: Schedules,
    declared: Mapping[str, Spec],
    tasks: Collection[str],
    *,
    reset: bool = False,
    remove: bool = False,
) -> Rounds[Sequence[Difference]]:
    """Have the store follow the code; gives what there was to do. Of several who do this at once each does no harm.

    *reset*: also where it was edited at run time. *remove*: orphans are gone.
    """
    first: Sequence[Difference] | None = None
    for _ in range(ROUNDS):
        rows = yield from step(schedules.all())
        now = (yield from step(schedules.coming(1))).now
        found = compared(declared, rows, tasks)
        first = found if first is None else first
        edits = [edit for difference in found if (edit := _edit(difference, now, reset=reset)) is not None]
        done = (yield from step(schedules.save(edits))) if edits else frozenset[str]()
        for difference in found if remove else ():
            if difference.change is Change.ORPHAN:
                yield from step(schedules.remove(difference.name))
        if len(done) == len(edits):
            return first
    raise StoreUnavailable("the schedules are being changed by others all the time; try again")


def _edit(difference: Difference, now: int, *, reset: bool) -> Edit | None:
    spec, row = difference.spec, difference.row
    if spec is None or (difference.change is Change.SAME and not difference.behind):
        return None
    if row is None:
        return edit_of(difference.name, spec, now, declared=written(spec))
    if difference.change is Change.DRIFT and not reset:
        return kept(row, declared=written(spec)) if difference.behind else None
    edit = changed(row, spec, now, declared=written(spec))
    overdue = row.paused_at is None and row.next_at is not None and row.next_at <= now
    return edit._replace(next_at=row.next_at) if overdue and edit.next_at is not None else edit


def edit_of(name: str, spec: Spec, now: int, *, declared: str | None) -> Edit:
    """A new schedule."""
    return Edit(name, 0, written(spec), declared, following(spec, now), None, spec.times, spec.overlap)


def kept(row: Scheduled, *, declared: str | None) -> Edit:
    """The same schedule; only what the code says of it is new."""
    spec = _spec(row)
    times, overlap = (spec.times, spec.overlap) if spec else (None, "allow")
    return Edit(row.name, row.version, row.spec, declared, row.next_at, row.paused_at, times, overlap)


def changed(row: Scheduled, spec: Spec, now: int, *, declared: str | None) -> Edit:
    """*row* with another *spec*. Its next tick stays where it was, unless the rule or its bounds are others."""
    next_at, old = row.next_at, _spec(row)
    if next_at is None or old is None or _times(old) != _times(spec):
        next_at = onward(row, spec, now)
    if spec.times is not None and row.fired >= spec.times:
        next_at = None
    text = written(spec)
    return Edit(row.name, row.version, text, declared, next_at, row.paused_at, spec.times, spec.overlap)


def onward(row: Scheduled, spec: Spec, now: int) -> int | None:
    """The next tick by *spec*: after now, and after whatever has fired already, though the clock was set back."""
    return following(spec, now if row.tick is None else max(now, row.tick))


def _times(spec: Spec) -> tuple[object, ...]:
    return spec.rule, spec.start, spec.end
