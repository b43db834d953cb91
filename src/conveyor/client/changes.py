"""Changes of many jobs: in passes of a thousand, so that no transaction is long, each by the rules of the store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Unpack
from uuid import UUID

from conveyor.client.filters import Filters, job_filter
from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import FINAL, WAITING, State
from conveyor.core.model import JobFilter
from conveyor.core.options import Duration, microseconds
from conveyor.plan import Plan
from conveyor.store.answers import Pass
from conveyor.store.contract import Store
from conveyor.store.rounds import Rounds, step

PASS: Final = 1_000

Turn = Callable[[JobFilter, int, bytes | None], Plan[Pass]]


@dataclass(frozen=True, slots=True)
class Affected:
    """What a change has done, or, as a dry run, would do."""

    jobs: int
    """Jobs that were changed."""
    asked: int = 0
    """Running jobs that were asked to stop."""
    left: int = 0
    """Jobs that stay as they are, because another one holds their unique key by now."""

    def __int__(self) -> int:
        """All of them."""
        return self.jobs + self.asked


def chosen(given: Sequence[str | UUID], *, everything: bool = False, **filters: Unpack[Filters]) -> JobFilter:
    """The jobs that a change is about. ``UsageError`` when nothing says which."""
    named = any(value is not None for value in filters.values())
    if given and (named or everything):
        raise UsageError("give ids, or filters, not both")
    if not given and not named and not everything:
        raise UsageError("which jobs? Give ids, or filters such as state='failed', or everything=True")
    return job_filter(given or None, **filters)


def cancelled(store: Store, where: JobFilter, reason: str, *, dry_run: bool) -> Rounds[Affected]:
    """Cancel what waits, and ask what runs; in one question, for two would miss a job that is given back in between."""
    waiting, running = _narrowed(where, WAITING), _narrowed(where, frozenset({State.RUNNING}))
    if dry_run:
        jobs = yield from _counted(store, waiting, WAITING)
        return Affected(jobs, asked=(yield from _counted(store, running, frozenset({State.RUNNING}))))
    unfinished = _narrowed(where, WAITING | {State.RUNNING})
    return (yield from _passes(unfinished, lambda w, limit, after: store.control.call_off(w, reason, limit, after)))


def revived(store: Store, where: JobFilter, *, dry_run: bool) -> Rounds[Affected]:
    """Run what has ended once more, and what waits for its time now."""
    if where.ids is None and not where.states:
        where = replace(where, states=(State.FAILED, State.QUARANTINED))
    ended, later = _narrowed(where, FINAL), _narrowed(where, WAITING - {State.READY})
    if dry_run:
        jobs = yield from _counted(store, ended, FINAL)
        return Affected(jobs + (yield from _counted(store, later, WAITING - {State.READY})))

    def look() -> Rounds[Affected]:
        back = yield from _passes(ended, store.control.revive)
        sooner = yield from _passes(later, store.control.hasten)
        return Affected(back.jobs + sooner.jobs, left=back.left)

    return (yield from _looked_for(where, look))


def deleted(store: Store, where: JobFilter, *, dry_run: bool) -> Rounds[Affected]:
    """Delete what waits and what has ended."""
    waiting, ended = _narrowed(where, WAITING), _narrowed(where, FINAL)
    if dry_run:
        jobs = yield from _counted(store, waiting, WAITING)
        return Affected(jobs + (yield from _counted(store, ended, FINAL)))

    def look() -> Rounds[Affected]:
        gone = yield from _passes(waiting, store.control.delete_waiting)
        past = yield from _passes(ended, store.control.delete_ended)
        return Affected(gone.jobs + past.jobs)

    return (yield from _looked_for(where, look))


def pruned(store: Store, older_than: Duration | None, *, dry_run: bool, **filters: Unpack[Filters]) -> Rounds[Affected]:
    """Delete what has ended and is to stay no longer."""
    if older_than is not None:
        age = microseconds("older_than", older_than)
        where = replace(job_filter(**filters), finished_before=stored(datetime.now(UTC)) - age)
        return (yield from deleted(store, replace(where, states=_ended(where.states)), dry_run=dry_run))
    if any(value is not None for value in filters.values()):
        raise UsageError("prune() deletes what its keep says; filters need older_than=, as timedelta(days=7)")
    if dry_run:
        return Affected((yield from step(store.operations.prunable())))
    jobs = 0
    while gone := (yield from step(store.control.prune(PASS))):
        jobs += gone
    return Affected(jobs)


def _ended(states: Sequence[State]) -> tuple[State, ...]:
    if any(not state.final for state in states):
        raise UsageError("prune() deletes ended jobs only; delete() takes waiting ones as well")
    return tuple(states) or tuple(state for state in State if state.final)


def _looked_for(where: JobFilter, look: Callable[[], Rounds[Affected]]) -> Rounds[Affected]:
    """What *look* finds. Jobs that are named are looked for once more, unless all were found.

    They may have moved between two questions of the first look: to where it had looked already.
    """
    found = yield from look()
    if where.ids is None or found.jobs + found.left >= len(where.ids):
        return found
    more = yield from look()
    return Affected(found.jobs + more.jobs, left=more.left)


def _passes(where: JobFilter | None, turn: Turn) -> Rounds[Affected]:
    """Passes in the order of ids, until one finds nothing more; what is enqueued meanwhile is not meant."""
    jobs = asked = left = 0
    began = ids.new()
    after: bytes | None = None
    while where is not None and (after is None or after < began):
        found: Pass = yield from step(turn(where, PASS, after))
        jobs, asked, after = jobs + found.changed - found.asked, asked + found.asked, found.last
        left += found.picked - found.changed
        if found.picked < PASS:
            break
    return Affected(jobs, asked, left)


def _counted(store: Store, where: JobFilter | None, states: frozenset[State]) -> Rounds[int]:
    if where is None:
        return 0
    known = tuple(state for state in State if state in states)
    return (yield from step(store.operations.number(replace(where, states=where.states or known))))


def _narrowed(where: JobFilter, allowed: frozenset[State]) -> JobFilter | None:
    """*where*, of the *allowed* states only; ``None`` when nothing is left of it."""
    if not where.states:
        return where
    states = tuple(state for state in where.states if state in allowed)
    return replace(where, states=states) if states else None
