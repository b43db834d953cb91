"""``app.doctor()``: asks the store a few cheap questions, and has the answers judged."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from conveyor.client.queues import served
from conveyor.core.errors import ConveyorError, SchemaOutdated
from conveyor.core.health import Finding, fine, of_clock, of_queues, of_schema, of_tasks, of_workers, trouble
from conveyor.store.contract import Store

LOOKED_AT: Final = 10_000
"""Due jobs of each queue whose tasks are looked at: those that would be claimed first."""
QUEUES: Final = 100
"""Queues whose due jobs are looked at."""

Own = Collection[str] | None


def examined(opened: Callable[[], Store], own: Own, *, deep: bool) -> list[Finding]:
    """What is found; *own* are the tasks of this app, ``None`` when it has none.

    A check that cannot be made is a finding itself, and keeps none of the others from being made, unless the store
    cannot be reached, or its tables are not those that we know.
    """
    begun = time.perf_counter()
    try:
        store = opened()
        schema = store.run(store.operations.schema())
    except SchemaOutdated as error:
        return [trouble("schema", str(error), "conveyor migrate")]
    except ConveyorError as error:
        return [trouble("store", str(error), "start the server, or name the store that is meant")]
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


def _clock(store: Store, _: Own) -> Sequence[Finding]:
    """On SQLite it is this host's own."""
    if store.kind == "sqlite":
        return []
    before = time.time_ns() // 1_000
    clock = store.run(store.operations.clock())
    after = time.time_ns() // 1_000
    return [of_clock(clock - (before + after) // 2, (after - before) // 2)]


def _queues(store: Store, own: Own) -> Sequence[Finding]:
    """Tasks are looked at in queues that somebody serves: in others all waits for a worker, whatever its task."""
    runners = store.run(store.operations.runners())
    queues = served(store.run(store.operations.queues()), runners)
    asked = [queue.name for queue in queues if queue.ready and queue.workers and queue.paused_at is None][:QUEUES]
    due = {name: store.run(store.operations.due_tasks(name, LOOKED_AT)) for name in asked}
    return [*of_queues(queues), *of_tasks(due, runners, own)]


def _workers(store: Store, _: Own) -> Sequence[Finding]:
    stranded = store.run(store.operations.stranded())
    return of_workers(store.run(store.operations.runners()), stranded)


_CHECKS: Final[dict[str, Callable[[Store, Own], Sequence[Finding]]]] = {
    "clock": _clock,
    "queues": _queues,
    "workers": _workers,
}
