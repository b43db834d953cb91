"""Which schedules of the store would make jobs that an app could not run."""

from collections.abc import Callable, Collection, Mapping, Sequence

from conveyor.core.codec import Codec
from conveyor.core.deploy import MisfitSchedule, misfit
from conveyor.core.schedules import Scheduled, Spec, read_spec
from conveyor.schedule.syncing import Change, compared
from conveyor.store.contract import Store
from conveyor.store.rounds import Rounds, step


def lasting(
    store: Store,
    declared: Mapping[str, Spec],
    tasks: Collection[str],
    codecs: Callable[[str], Codec | None],
    queue: str | None,
) -> Rounds[Sequence[MisfitSchedule]]:
    """Of those that go on when this code takes over: what it declares otherwise is as it says when a worker starts."""
    rows = yield from step(store.schedules.all())
    changed = {found.name for found in compared(declared, rows, tasks) if found.change is Change.CHANGE}
    going_on = [row for row in rows if row.next_at is not None and row.name not in changed]
    return [found for row in going_on if (found := _misfit(row, codecs, queue)) is not None]


def _misfit(row: Scheduled, codecs: Callable[[str], Codec | None], queue: str | None) -> MisfitSchedule | None:
    try:
        job = read_spec(row.spec).job
    except ValueError:
        return MisfitSchedule(row.name, "", "what is stored of it cannot be read") if queue is None else None
    if queue not in {None, job.queue}:
        return None
    reason = misfit(codecs(job.task), job.args.encode())
    return None if reason is None else MisfitSchedule(row.name, job.task, reason)
