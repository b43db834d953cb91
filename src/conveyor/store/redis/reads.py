"""Looking at jobs, workers and queues on Redis; ``store.contract.Operations`` says what each operation owes.

There are indexes for states, queues and errors. Any other condition looks at one job after the other, a thousand in a
call: what comes or goes between two calls is seen as of its own moment.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, cast

from conveyor.core import ids
from conveyor.core.clock import MICROSECOND, stored
from conveyor.core.errors import UsageError
from conveyor.core.extras import needle
from conveyor.core.failure import Failure
from conveyor.core.lifecycle import FINAL, State
from conveyor.core.model import (
    COUNTED,
    Counts,
    Direction,
    DueTask,
    Ended,
    FailureGroup,
    JobFilter,
    JobInfo,
    QueueInfo,
    Runner,
)
from conveyor.plan import Plan, Steps
from conveyor.store.reading import SEEN, job_info
from conveyor.store.redis.scripts import Argument, call, given
from conveyor.store.rows import ended_of, failures_of, queue_of, runner_of

BUDGET: Final = 1_000
"""Jobs that one call looks at; ``reading.lua`` says the same."""
QUEUES: Final = 200
"""Queues that one call counts."""
FORM: Final = 1
"""The number of the store's form; it grows when an older version could not work with it."""
_TEXTS: Final = frozenset({1, 2, 4, 20, 24})
_IDS: Final = frozenset({0, 16})
_BYTES: Final = frozenset({17, 18, 19, 23})
"""Places of ``RECORD`` in ``reading.lua``, the id before them. All others hold numbers."""
Cell = bytes | int | None
DueRow = tuple[bytes, int, bytes, bytes]
"""A task, how many of its jobs are due, since when, and the clock."""


class RedisReads:
    """The operations that change nothing."""

    def get(self, id_: bytes) -> Plan[JobInfo | None]:
        """See ``Operations.get``."""

        def steps() -> "Steps[JobInfo | None]":
            row = (yield call("get", id_.hex())).rows[0][0]
            return None if row is None else _info(cast("list[Cell]", row))

        return Plan(steps, writes=False)

    def list(
        self, where: JobFilter, *, limit: int, after: bytes | None, direction: Direction
    ) -> Plan[Sequence[JobInfo]]:
        """See ``Operations.list``."""
        return Plan(partial(_list, where, limit, after, direction), writes=False)

    def counts(self, where: JobFilter) -> Plan[Counts]:
        """See ``Operations.counts``."""

        def steps() -> "Steps[Counts]":
            wanted = [state for state in SEEN if not where.states or state in where.states]
            found = yield from (_counted() if _bare(where) else _tally(where, enough=wanted))
            return {state: min(found[state], COUNTED + 1) for state in wanted}

        return Plan(steps, writes=False)

    def number(self, where: JobFilter) -> Plan[int]:
        """See ``Operations.number``."""

        def steps() -> "Steps[int]":
            if not _bare(where):
                return sum((yield from _tally(where)).values())
            found = yield from _counted()
            return sum(number for state, number in found.items() if not where.states or state in where.states)

        return Plan(steps, writes=False)

    def queues(self) -> Plan[Sequence[QueueInfo]]:
        """See ``Operations.queues``."""

        def steps() -> "Steps[Sequence[QueueInfo]]":
            return [queue for queue in (yield from _queues()) if _known(queue)]

        return Plan(steps, writes=False)

    def queue(self, name: str, enough: int = COUNTED + 1) -> Plan[QueueInfo]:
        """See ``Operations.queue``: counting costs nothing here."""

        def steps() -> "Steps[QueueInfo]":
            (found,) = yield from _queues(name)
            return _at_most(found, enough)

        return Plan(steps, writes=False)

    def due_tasks(self, queue: str, limit: int) -> Plan[Sequence[DueTask]]:
        """See ``Operations.due_tasks``."""

        def steps() -> "Steps[Sequence[DueTask]]":
            return due_tasks((yield from self.due_rows(queue, limit)))

        return Plan(steps, writes=False)

    def due_rows(self, queue: str, limit: int) -> Steps[Sequence[DueRow]]:
        """The steps of ``due_tasks`` in one shard."""
        return cast("list[DueRow]", (yield call("due_tasks", queue, limit)).rows[0][0])

    def latest(self, limit: int) -> Plan[Sequence[Ended]]:
        """See ``Operations.latest``."""

        def steps() -> "Steps[Sequence[Ended]]":
            return [ended for _, ended in (yield from self.latest_by_id(limit))]

        return Plan(steps, writes=False)

    def latest_by_id(self, limit: int) -> Steps[Sequence[tuple[bytes, Ended]]]:
        """The steps of ``latest`` in one shard, with the jobs' ids, in hexadecimal."""
        rows = cast("list[list[bytes]]", (yield call("latest", limit)).rows[0][0])
        return [(id_, _ended(row)) for id_, *row in rows]

    def ahead(self, job: JobInfo, limit: int) -> Plan[int]:
        """See ``Operations.ahead``."""

        def steps() -> "Steps[int]":
            answer = yield call("ahead", job.queue, job.priority, stored(job.run_after))
            return min(cast(int, answer.rows[0][0]), limit)

        return Plan(steps, writes=False)

    def runners(self) -> Plan[Sequence[Runner]]:
        """See ``Operations.runners``."""

        def steps() -> "Steps[Sequence[Runner]]":
            rows = cast("list[tuple[bytes, int, bytes, bytes]]", (yield call("lease", "all")).rows[0][0])
            found = [runner_of((bytes.fromhex(id_.decode()), lives, int(at), info)) for id_, lives, at, info in rows]
            return sorted(found, key=lambda runner: runner.started_at)

        return Plan(steps, writes=False)

    def failures(self, where: JobFilter, limit: int) -> Plan[Sequence[FailureGroup]]:
        """See ``Operations.failures``."""
        return Plan(partial(_failures, where, limit), writes=False)

    def holder(self, key: str) -> Plan[bytes | None]:
        """See ``Operations.holder``."""

        def steps() -> "Steps[bytes | None]":
            found = cast("bytes | None", (yield call("holder", key)).rows[0][0])
            return None if found is None else bytes.fromhex(found.decode())

        return Plan(steps, writes=False)

    def stranded(self) -> Plan[int]:
        """See ``Operations.stranded``."""
        return _number("stranded")

    def dead_runners(self) -> Plan[int]:
        """See ``Operations.dead_runners``."""
        return _number("dead")

    def prunable(self) -> Plan[int]:
        """See ``Operations.prunable``."""
        return _number("prunable")

    def clock(self) -> Plan[int]:
        """See ``Operations.clock``."""
        return _number("clock")

    def identity(self, shards: int = 1) -> Plan[str]:
        """See ``Operations.identity``. Raises ``UsageError`` when the store has another number of shards."""

        def steps() -> "Steps[str]":
            return (yield from _meta(shards))[0]

        return Plan(steps)

    def schema(self, shards: int = 1) -> Plan[int]:
        """See ``Operations.schema``. Raises as ``identity``."""

        def steps() -> "Steps[int]":
            return int((yield from _meta(shards))[1])

        return Plan(steps)


def due_tasks(rows: Sequence[DueRow]) -> Sequence[DueTask]:
    """The due jobs by task, of one shard or of several, the longest waiting first."""
    now = max((int(clock) for *_, clock in rows), default=0)
    found: dict[bytes, tuple[int, int]] = {}
    for task, jobs, since, _ in rows:
        known, first = found.get(task, (0, int(since)))
        found[task] = (known + jobs, min(first, int(since)))
    longest = sorted(found.items(), key=lambda item: item[1][1])
    return [DueTask(task.decode(), jobs, (now - since) * MICROSECOND) for task, (jobs, since) in longest]


def filtered(where: JobFilter) -> tuple[Argument, ...]:
    """The conditions of *where*, as ``filter`` of ``reading.lua`` reads them."""
    states = f",{','.join(where.states)}," if where.states else None
    return (
        given(states),
        given(where.queue),
        given(where.task),
        given(None if where.tag is None else needle(where.tag)),
        given(where.fingerprint),
        given(where.enqueued_after),
        given(where.enqueued_before),
        given(where.finished_before),
    )


def indexes(
    where: JobFilter, after: bytes | None, direction: Direction, among: Collection[State] = SEEN
) -> Iterator[tuple[Argument, ...]]:
    """Where to look for jobs of *where* that are *among* states: at once, or in parts, where ids are named."""
    if where.ids is None:
        ended = where.fingerprint is not None or where.finished_before is not None
        states = [state for state in among if not where.states or state in where.states]
        live = () if ended or FINAL.issuperset(states) else ("live",)
        names = (*live, *(f"past:{state}" for state in states if state in FINAL))
        if names:
            yield (len(names), *names)
        return
    newest = direction == "newest"
    left = sorted((id_ for id_ in set(where.ids) if after is None or (id_ < after) == newest), reverse=newest)
    left = [id_ for id_ in left if id_ != after]
    for first in range(0, len(left), BUDGET):
        yield (0, *(id_.hex() for id_ in left[first : first + BUDGET]))


def _list(where: JobFilter, limit: int, after: bytes | None, direction: Direction) -> Steps[Sequence[JobInfo]]:
    found: list[JobInfo] = []
    for place in indexes(where, after, direction):
        last: Argument = after.hex() if after else ""
        done = False
        while not done and len(found) < limit:
            answer = yield call("list", direction, last, limit - len(found), *filtered(where), *place)
            last, all_, *rows = cast("list[object]", answer.rows[0][0])  # type: ignore[assignment]  # as the script has it
            found += [_info(cast("list[Cell]", row)) for row in rows]
            done = bool(all_)
    return found


def _tally(where: JobFilter, *, enough: Sequence[State] | None = None) -> Steps[Counter[State]]:
    """Jobs of *where* by state; until there is more than ``COUNTED`` of each that is named in *enough*."""
    found: Counter[State] = Counter()
    for place in indexes(where, None, "oldest"):
        last: Argument = ""
        done = False
        while not done and not (enough and all(found[state] > COUNTED for state in enough)):
            last, all_, *pairs = cast(  # type: ignore[assignment]  # as the script has it
                "list[object]", (yield call("tally", last, *filtered(where), *place)).rows[0][0]
            )
            for state, number in zip(pairs[::2], pairs[1::2], strict=True):
                found[State(cast(bytes, state).decode())] += cast(int, number)
            done = bool(all_)
    return found


def _bare(where: JobFilter) -> bool:
    """Whether *where* names states at most, of which the sizes are known."""
    return where == JobFilter(states=where.states)


def _counted() -> Steps[Counter[State]]:
    """The jobs of all states, by the sizes of indexes."""
    found: Counter[State] = Counter()
    for queue in (yield from _queues()):
        found[State.READY] += queue.ready
        found[State.SCHEDULED] += queue.scheduled
        found[State.RETRYABLE] += queue.retryable
        found[State.RUNNING] += queue.running
    sizes = cast("list[int]", (yield call("sizes", *sorted(FINAL))).rows[0][0])
    for state, size in zip(sorted(FINAL), sizes, strict=True):
        found[state] = size
    return found


def _queues(*names: str) -> Steps[Sequence[QueueInfo]]:
    """Those of *names*, or all that are known or paused, some hundreds in a call."""
    asked = names or (yield from _queue_names())
    found: list[QueueInfo] = []
    for first in range(0, len(asked), QUEUES):
        rows = (yield call("queues", *asked[first : first + QUEUES])).rows[0][0]
        found += [_queue(row) for row in cast("list[list[bytes | int | None]]", rows)]
    return found


def _queue_names() -> Steps[Sequence[str]]:
    known, paused = cast("list[list[bytes]]", (yield call("queue_names")).rows[0][0])
    return sorted(name.decode() for name in {*known, *paused})


def _queue(row: Sequence[bytes | int | None]) -> QueueInfo:
    name, paused, now, ready, scheduled, retryable, running, oldest = row
    times = (None if value is None else int(value) for value in (paused, now, oldest))
    since, at, first = times
    return queue_of((cast(bytes, name).decode(), since, at, ready, scheduled, retryable, running, first))


def _known(queue: QueueInfo) -> bool:
    return bool(queue.paused_at or queue.ready or queue.scheduled or queue.retryable or queue.running)


def _at_most(queue: QueueInfo, enough: int) -> QueueInfo:
    counts = {name: min(getattr(queue, name), enough) for name in ("ready", "scheduled", "retryable", "running")}
    return QueueInfo(queue.name, queue.paused_at, oldest=queue.oldest, **counts)


def _failures(where: JobFilter, limit: int) -> Steps[Sequence[FailureGroup]]:
    if where.ids is not None:
        return grouped_failures((yield from _list(where, len(where.ids), None, "oldest")))[:limit]
    prints = [where.fingerprint] if where.fingerprint else (yield from _fingerprints())
    found: list[FailureGroup] = []
    for fingerprint in prints:
        group: FailureGroup | None = None
        place, done = 0, False
        while not done:
            answer = yield call("failures", fingerprint, place, *filtered(where))
            jobs, all_, *rest = cast("list[bytes | int | None]", answer.rows[0][0])
            part = _group(fingerprint, cast(int, jobs), cast("list[bytes | None]", rest)) if jobs else None
            group = part if group is None or part is None else _joined(group, part)
            place, done = place + BUDGET, bool(all_)
        found += [group] if group else []
    return sorted(found, key=lambda one: (-one.jobs, one.fingerprint))[:limit]


def grouped_failures(jobs: Sequence[JobInfo]) -> Sequence[FailureGroup]:
    """The ended ones of *jobs* that have an error, by its fingerprint, the largest group first."""
    found: dict[str, list[JobInfo]] = {}
    for job in jobs:
        if job.error is not None and job.error.fingerprint and job.finished_at is not None:
            found.setdefault(job.error.fingerprint, []).append(job)
    groups = [_of_jobs(fingerprint, part) for fingerprint, part in found.items()]
    return sorted(groups, key=lambda one: (-one.jobs, one.fingerprint))


def _of_jobs(fingerprint: str, jobs: Sequence[JobInfo]) -> FailureGroup:
    times = sorted((job.finished_at, job.id) for job in jobs if job.finished_at is not None)
    last = next(job for job in jobs if job.id == times[-1][1])
    error = last.error or Failure("", "(its record cannot be read)")
    return FailureGroup(fingerprint, error, len(jobs), times[0][0], times[-1][0], last.id, last.task)


def _fingerprints() -> Steps[Sequence[str]]:
    return sorted(name.decode() for name in cast("list[bytes]", (yield call("errors")).rows[0][0]))


def _joined(group: FailureGroup, later: FailureGroup) -> FailureGroup:
    return replace(later, jobs=group.jobs + later.jobs, first=group.first)


def _group(fingerprint: str, jobs: int, rest: Sequence[bytes | None]) -> FailureGroup:
    first, latest, sample, task, record = rest
    id_ = bytes.fromhex((sample or b"").decode())
    return failures_of((fingerprint, jobs, int(first or 0), int(latest or 0), id_, (task or b"").decode(), record))


def _ended(row: Sequence[bytes | None]) -> Ended:
    queue, *times = row
    return ended_of(((queue or b"").decode(), *(None if time is None else int(time) for time in times)))


def _info(row: Sequence[Cell]) -> JobInfo:
    """A row of ``record`` of ``reading.lua``."""
    return job_info(tuple(_cell(place, cell) for place, cell in enumerate(row)))


def _cell(place: int, cell: Cell) -> object:
    if cell is None or isinstance(cell, int):
        return cell
    if place in _IDS:
        return bytes.fromhex(cell.decode())
    if place in _BYTES:
        return cell
    return cell.decode("utf-8", "replace") if place in _TEXTS else int(cell)


def _number(name: str) -> Plan[int]:
    def steps() -> "Steps[int]":
        return int(cast("bytes | int", (yield call("numbers", name)).rows[0][0]))

    return Plan(steps, writes=False)


def _meta(shards: int) -> Steps[tuple[str, str]]:
    fresh = ids.new().hex()
    identity, form, found = cast("list[bytes]", (yield call("identity", fresh, FORM, shards)).rows[0][0])
    if int(found) != shards:
        raise UsageError(
            f"this store has {int(found)} shards, and the URL says {shards}: the number is settled by the first use; "
            f"write shards={int(found)}, or move the jobs to a store with another prefix"
        )
    return identity.decode(), form.decode()
