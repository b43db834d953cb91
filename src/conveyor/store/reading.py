"""Reading jobs: the same for both SQL dialects, but for how each names its clock."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple, TypedDict, cast

from conveyor.core import ids
from conveyor.core.clock import MICROSECOND, moment
from conveyor.core.extras import Extras, decoded, needle
from conveyor.core.lifecycle import State, shown
from conveyor.core.model import (
    COUNTED,
    Counts,
    Direction,
    JobFilter,
    JobInfo,
    Progress,
    read_attempts,
    read_progress,
)
from conveyor.plan import Params, Row, Statement, Steps

_BUCKETS: dict[State, tuple[str, str]] = {
    State.SCHEDULED: ("conveyor_job", "state = 'waiting' AND run_after > {now} AND attempts IS NULL"),
    State.READY: ("conveyor_job", "state = 'waiting' AND run_after <= {now}"),
    State.RETRYABLE: ("conveyor_job", "state = 'waiting' AND run_after > {now} AND attempts IS NOT NULL"),
    State.RUNNING: ("conveyor_job", "state = 'running'"),
    State.SUCCEEDED: ("conveyor_history", "state = 'succeeded'"),
    State.FAILED: ("conveyor_history", "state = 'failed'"),
    State.CANCELLED: ("conveyor_history", "state = 'cancelled'"),
    State.QUARANTINED: ("conveyor_history", "state = 'quarantined'"),
}
"""Where the jobs of each shown state lie. Nothing is blocked yet: flows bring that."""
SEEN: Final = tuple(_BUCKETS)
"""The states that a job may be seen in, in the order in which they are told."""
_UNFINISHED = frozenset(state for state, (table, _) in _BUCKETS.items() if table == "conveyor_job")

_COLUMNS = (
    "{id}, task, queue, priority, state, attempt, max_attempts, crashes, token, timeout, enqueued_at, run_after, "
    "started_at, last_attempted_at, {finished_at}, {run_time}, {runner}, args, {result}, attempts, extras, "
    "{expires_at}, {delete_after}, progress, cancelled, {now}"
)


class Head(NamedTuple):
    """Rows of unfinished jobs among which those of a state are found sooner than among all."""

    rows: str
    unless: str = ""
    """The condition under which they are not."""


EVERY: Final = Head("conveyor_job")
"""All unfinished jobs."""


class Dialect:
    """What reading must know of a dialect."""

    def __init__(
        self,
        *,
        now: str,
        id_form: str,
        id_list: str,
        contains: str,
        ended: str = "conveyor_history",
        heads: Mapping[State, Head] = MappingProxyType({}),
    ) -> None:
        """Expressions of the dialect.

        *now* is the clock; *id_form* wraps a column so that an id arrives as 16 bytes; *id_list* is the condition
        that an id is one of those given; *contains* the condition that the column holds the text ``:tag``; *ended* the
        part of history in which the job ``:id`` lies, if it does. *heads*: where to look for jobs of a state.
        """
        self.now = now
        self.id_form = id_form
        self.id_list = id_list
        self.contains = contains
        self.ended = ended
        self._heads = heads

    def head(self, where: JobFilter, states: Collection[State]) -> Head:
        """Among which unfinished jobs to look for those of *states*."""
        heads = {self._heads.get(state, EVERY) for state in states if state in _UNFINISHED}
        return EVERY if where.ids is not None or len(heads) != 1 else heads.pop()

    def columns(self, table: str) -> str:
        """The columns of a job's record in *table*, in the order of ``job_info``."""
        past = table == "conveyor_history"
        return _COLUMNS.format(
            id=self.id_form.format("id"),
            runner=self.id_form.format("runner"),
            finished_at="finished_at" if past else "CAST(NULL AS bigint)",
            run_time="run_time" if past else "CAST(NULL AS bigint)",
            result="result" if past else "CAST(NULL AS bytea)",
            expires_at="CAST(NULL AS bigint)" if past else "expires_at",
            delete_after="delete_after" if past else "CAST(NULL AS bigint)",
            now=self.now,
        )


def job_info(row: Row) -> JobInfo:
    """The record in a row of ``get`` or ``list``."""
    (id_, task, queue, priority, stored, attempt, limit, crashes, token, timeout, *times) = row
    (enqueued, after, started, attempted, finished, ran, runner, args, result, attempts, *rare, now) = times
    record = read_attempts(cast(bytes | None, attempts))
    due = cast(int, after) <= cast(int, now)
    return JobInfo(
        id=ids.text(cast(bytes, id_)),
        task=cast(str, task),
        queue=cast(str, queue),
        priority=cast(int, priority),
        state=shown(cast(str, stored), due=due, failed_before=bool(record)),
        attempt=cast(int, attempt),
        max_attempts=cast(int, limit),
        crashes=cast(int, crashes),
        token=cast(int, token),
        timeout=None if timeout is None else cast(int, timeout) * MICROSECOND,
        enqueued_at=moment(cast(int, enqueued)),
        run_after=moment(cast(int, after)),
        started_at=_moment(started),
        last_attempted_at=_moment(attempted),
        finished_at=_moment(finished),
        run_time=None if ran is None else cast(int, ran) * MICROSECOND,
        runner=None if runner is None else cast(bytes, runner).hex(),
        payload=cast(bytes, args),
        result=cast(bytes | None, result),
        attempts=record,
        **_rare(rare),
    )


class _Rare(TypedDict):
    extras: Extras
    expires_at: datetime | None
    delete_after: datetime | None
    progress: Progress | None
    cancelled: str | None


def _rare(values: Sequence[object]) -> _Rare:
    extras, expires, delete, progress, cancelled = values
    return {
        "extras": decoded(cast(str | None, extras)),
        "expires_at": _moment(expires),
        "delete_after": _moment(delete),
        "progress": read_progress(cast(bytes | None, progress)),
        "cancelled": cast(str | None, cancelled),
    }


def _moment(value: object) -> datetime | None:
    return None if value is None else moment(cast(int, value))


def get_job(dialect: Dialect, params: Params) -> Steps[JobInfo | None]:
    """The record of the job ``:id``, from whichever table it lies in; history is not looked at for one that waits."""
    places = {"conveyor_job": "conveyor_job", "conveyor_history": dialect.ended}
    parts = [f"SELECT {dialect.columns(table)} FROM {place} WHERE id = :id" for table, place in places.items()]  # noqa: S608 - texts of ours only
    answer = yield Statement(f"{' UNION ALL '.join(parts)} LIMIT 1", params)
    return job_info(answer.rows[0]) if answer.rows else None


def list_jobs(
    dialect: Dialect, where: JobFilter, params: dict[str, object], limit: int, direction: Direction
) -> Steps[Sequence[JobInfo]]:
    """A page of records by id, from both tables. *params* holds ``after`` (an id or nothing), and the clock."""
    newest = direction == "newest"
    beyond = "id < :after" if newest else "id > :after"
    order = "DESC" if newest else "ASC"
    params = params | filter_params(where)
    places = {"conveyor_job": (yield from _few(dialect, where, params)), "conveyor_history": "conveyor_history"}
    params |= {"limit": limit}
    parts: list[str] = []
    for table, place in places.items():
        wanted = conditions(dialect, table, where)
        if wanted is not None:
            terms = [*wanted, *([beyond] if "after" in params else [])]
            parts.append(
                f"SELECT * FROM (SELECT {dialect.columns(table)} FROM {place}"  # noqa: S608 - texts of ours only
                f"{_where(terms)} ORDER BY id {order} LIMIT :limit) AS {table}"
            )
    if not parts:
        return []
    text = f"{' UNION ALL '.join(parts)} ORDER BY 1 {order} LIMIT :limit"
    answer = yield Statement(text, params)
    return [job_info(row) for row in answer.rows]


def _few(dialect: Dialect, where: JobFilter, params: dict[str, object]) -> Steps[str]:
    """Where to look for a page of unfinished jobs: among all, by id, unless they are few: that would take long."""
    head = dialect.head(where, where.states)
    wanted = conditions(dialect, "conveyor_job", where)
    if head is EVERY or wanted is None:
        return EVERY.rows
    mine = {name: value for name, value in params.items() if name != "after"}
    few = f"SELECT {_number(head.rows, wanted)} <= {COUNTED}"
    text = f"SELECT CASE WHEN {head.unless} THEN false ELSE ({few}) END" if head.unless else few
    answer = yield Statement(text, mine | {"enough": COUNTED + 1})
    return head.rows if answer.rows[0][0] else EVERY.rows


def count_jobs(dialect: Dialect, where: JobFilter, params: dict[str, object]) -> Steps[Counts]:
    """Jobs per shown state, in one statement and so of one moment; each counted up to one more than ``COUNTED``."""
    params = params | filter_params(where) | {"enough": COUNTED + 1}
    wanted = [state for state in _BUCKETS if not where.states or state in where.states]
    parts = [_count(dialect, state, where) for state in wanted]
    if not parts:
        return {}
    answer = yield Statement(f"SELECT {', '.join(parts)}", params)
    return {state: cast(int, number) for state, number in zip(wanted, answer.rows[0], strict=True)}


def number_of(dialect: Dialect, where: JobFilter, params: dict[str, object]) -> Steps[int]:
    """How many jobs there are of *where*, exactly."""
    found = {table: conditions(dialect, table, where) for table in _TABLES}
    parts = [f"(SELECT count(*) FROM {table}{_where(terms)})" for table, terms in found.items() if terms is not None]  # noqa: S608 - as above
    if not parts:
        return 0
    answer = yield Statement(f"SELECT {' + '.join(parts)}", params | filter_params(where))
    return cast(int, answer.rows[0][0])


def _count(dialect: Dialect, state: State, where: JobFilter) -> str:
    table, condition = _BUCKETS[state]
    terms = [condition.format(now=dialect.now), *_others(dialect, table, where)]
    head = dialect.head(where, [state]) if table == "conveyor_job" else Head(table)
    here = _number(head.rows, terms)
    return f"CASE WHEN {head.unless} THEN {_number(EVERY.rows, terms)} ELSE {here} END" if head.unless else here


def _number(rows: str, terms: Sequence[str]) -> str:
    return f"(SELECT count(*) FROM (SELECT 1 FROM {rows}{_where(terms)} LIMIT :enough) AS counted)"  # noqa: S608 - as above


def conditions(dialect: Dialect, table: str, where: JobFilter) -> list[str] | None:
    """The conditions on *table* that *where* stands for; ``None`` when no such job can lie there."""
    if table == "conveyor_job" and (where.fingerprint is not None or where.finished_before is not None):
        return None
    here = [text for state, (place, text) in _BUCKETS.items() if state in where.states and place == table]
    if where.states and not here:
        return None
    states = [f"({' OR '.join(here)})".format(now=dialect.now)] if here else []
    return [*states, *_others(dialect, table, where)]


def _others(dialect: Dialect, table: str, where: JobFilter) -> list[str]:
    terms = {
        "queue": "queue = :queue",
        "task": "task = :task",
        "tag": dialect.contains.format("extras"),
        "fingerprint": "fingerprint = :fingerprint" if table == "conveyor_history" else "1 = 0",
        "enqueued_after": "enqueued_at >= :enqueued_after",
        "enqueued_before": "enqueued_at < :enqueued_before",
        "finished_before": "finished_at < :finished_before" if table == "conveyor_history" else "1 = 0",
        "ids": dialect.id_list.format("id"),
    }
    return [text for name, text in terms.items() if getattr(where, name) is not None]


def filter_params(where: JobFilter) -> dict[str, object]:
    """The values that the conditions of *where* name; ids apart, which each dialect takes in its own way."""
    given: dict[str, object] = {name: getattr(where, name) for name in _VALUES if getattr(where, name) is not None}
    if where.tag is not None:
        given["tag"] = needle(where.tag)
    return given


_VALUES = ("queue", "task", "fingerprint", "enqueued_after", "enqueued_before", "finished_before")
_TABLES = ("conveyor_job", "conveyor_history")


def _where(terms: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(terms)}" if terms else ""
