"""``app.doctor()``: asks the store a few cheap questions, and has the answers judged."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from conveyor.core.clock import stored
from conveyor.core.errors import ConveyorError, SchemaOutdated
from conveyor.core.health import (
    Finding,
    Severity,
    fine,
    of_clock,
    of_quarantine,
    of_queues,
    of_schema,
    of_tasks,
    of_unfit,
    of_workers,
    trouble,
)
from conveyor.core.judge import unfit
from conveyor.core.lifecycle import State
from conveyor.core.model import COUNTED, JobFilter
from conveyor.core.schedules import Scheduled, Spec
from conveyor.core.standing import of_code, of_schedules
from conveyor.schedule.info import known_of
from conveyor.schedule.syncing import Change, compared
from conveyor.store.contract import Store
from conveyor.store.measuring import served

LOOKED_AT: Final = 10_000
"""Due jobs of each queue whose tasks are looked at: those that would be claimed first."""
LOOKS: Final = 5
"""Round trips by which the clock is told."""
TRIED_AGAIN: Final = 200
"""Jobs that wait for another try, of which it is looked whether they fit any code: the oldest."""
LATE: Final = 60_000_000
"""Microseconds that a job may be in the outbox."""
QUEUES: Final = 100
"""Queues whose due jobs are looked at."""


class Code(NamedTuple):
    """What an app has."""

    tasks: Collection[str]
    declared: Mapping[str, Spec]
    """Its schedules."""


Own = Code | None


def examined(opened: Callable[[], Store], own: Own, *, deep: bool) -> list[Finding]:
    """What is found; *own* is what this app has, ``None`` when it has no tasks.

    A check that cannot be made is a finding itself, and keeps none of the others from being made, unless the store
    cannot be reached, or its tables are not those that we know.
    """
    begun = time.perf_counter()
    try:
        store = opened()
        schema = store.run(store.operations.schema())
    except SchemaOutdated as error:
        return _explained(opened, trouble("schema", str(error), "conveyor migrate"))
    except ConveyorError as error:
        fix = "start the server, or name the store that is meant"
        return [*_explained(opened, trouble("store", str(error), fix)), *_parts(opened)]
    taken = (time.perf_counter() - begun) * 1_000
    found = [
        fine("store", f"{store.url} answers; it took {taken:.1f} ms to reach it"),
        of_schema(schema, store.migrations),
    ]
    if schema < store.migrations:
        return found
    for name, check in _CHECKS.items():
        try:
            found += check(store, own)
        except ConveyorError as error:
            found.append(trouble(name, f"this could not be looked at: {error}", "mend that, and ask again"))
    return [*found, *store.examine(deep=deep)]


def of_outbox(store: Callable[[], Store], opened: Callable[[], Store | None]) -> Sequence[Finding]:
    """What is found of the outbox, if there is one."""
    try:
        if (outbox := opened()) is None:
            return []
        if missing := outbox.pending():
            return [trouble("outbox", f"{outbox.url} lacks {len(missing)} migrations", "conveyor migrate")]
        jobs, since = outbox.run(outbox.outbox(store().intake.name).waiting())
    except ConveyorError as error:
        return [trouble("outbox", str(error), "start the server, or name the database that is meant")]
    if since is None or since < LATE:
        return [fine("outbox", f"{outbox.url} answers; {jobs:,} jobs wait there")]
    told = f"{jobs:,}" if jobs <= COUNTED else f"{COUNTED:,}+"
    text = f"{told} jobs wait in {outbox.url}, the oldest for {since / 1_000_000:,.0f} s: nobody forwards them"
    return [trouble("outbox", text, "start a worker whose app has this outbox; if one runs, its log says why not")]


def _explained(opened: Callable[[], Store], told: Finding) -> list[Finding]:
    """What the store knows to say of *told*: that its tables are elsewhere, or not to be read by us."""
    try:
        return [finding for finding in opened().amiss() if finding.severity is Severity.TROUBLE] or [told]
    except ConveyorError:  # it is the trouble that we have told of already
        return [told]


def _parts(opened: Callable[[], Store]) -> list[Finding]:
    """Which servers of several cannot be reached."""
    try:
        store = opened()
    except ConveyorError:  # as above
        return []
    found = store.examine(deep=False) if store.kind == "redis" else ()
    return [finding for finding in found if finding.severity is Severity.TROUBLE] if len(found) > 1 else []


def _tables(store: Store, _: Own) -> Sequence[Finding]:
    return store.amiss()


def _clock(store: Store, _: Own) -> Sequence[Finding]:
    """On SQLite it is this host's own. Of several looks the quickest is the surest."""
    if store.kind == "sqlite":
        return []
    error, ahead = min(_offset(store) for _ in range(LOOKS))
    return [of_clock(ahead, error)]


def _offset(store: Store) -> tuple[int, int]:
    """By how much the second may be wrong, and how far the store's clock is ahead: microseconds."""
    before = time.time_ns() // 1_000
    clock = store.run(store.operations.clock())
    after = time.time_ns() // 1_000
    return (after - before) // 2, clock - (before + after) // 2


def _queues(store: Store, own: Own) -> Sequence[Finding]:
    """Tasks are looked at in queues that somebody serves: in others all waits for a worker, whatever its task."""
    runners = store.run(store.operations.runners())
    queues = served(store.run(store.operations.queues()), runners)
    asked = [queue.name for queue in queues if queue.ready and queue.workers and queue.paused_at is None][:QUEUES]
    due = {name: store.run(store.operations.due_tasks(name, LOOKED_AT)) for name in asked}
    return [*of_queues(queues), *of_tasks(due, runners, own.tasks if own else None)]


def _jobs(store: Store, _: Own) -> Sequence[Finding]:
    held = JobFilter(states=(State.QUARANTINED,))
    again = JobFilter(states=(State.RETRYABLE,))
    try:
        jobs = store.run(store.operations.list(again, limit=TRIED_AGAIN, after=None, direction="oldest"))
        quarantined = store.run(store.operations.counts(held))[State.QUARANTINED]
    except ConveyorError:  # a role that may only work cannot read what has ended; all other troubles are told elsewhere
        return []
    parked = [job for job in jobs if job.last_attempted_at and unfit(job.attempts, stored(job.last_attempted_at))]
    return [*of_quarantine(quarantined), *of_unfit(parked, len(jobs))]


def _workers(store: Store, _: Own) -> Sequence[Finding]:
    stranded = store.run(store.operations.stranded())
    return of_workers(store.run(store.operations.runners()), stranded)


def _schedules(store: Store, own: Own) -> Sequence[Finding]:
    rows = store.run(store.schedules.all())
    stand = of_schedules([known_of(row) for row in rows], store.run(store.operations.runners())) if rows else []
    return [*stand, *(_compared(own, rows) if own else ())]


def _compared(own: Code, rows: Sequence[Scheduled]) -> Sequence[Finding]:
    """Another app's are none of ours."""
    names: dict[Change, list[str]] = {change: [] for change in Change}
    for found in compared(own.declared, rows, own.tasks):
        names[found.change].append(found.name)
    return of_code(sorted(names[Change.CREATE] + names[Change.CHANGE]), names[Change.DRIFT], names[Change.ORPHAN])


_CHECKS: Final[dict[str, Callable[[Store, Own], Sequence[Finding]]]] = {
    "tables": _tables,
    "clock": _clock,
    "queues": _queues,
    "jobs": _jobs,
    "workers": _workers,
    "schedules": _schedules,
}
