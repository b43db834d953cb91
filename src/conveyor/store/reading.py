"""Reading jobs: the same for both SQL dialects, but for how each names its clock."""

from collections.abc import Sequence
from typing import cast

from conveyor.core import ids
from conveyor.core.clock import MICROSECOND, moment
from conveyor.core.lifecycle import State, shown
from conveyor.core.model import COUNTED, Counts, Direction, JobFilter, JobInfo, read_attempts
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

_COLUMNS = (
    "{id}, task, queue, priority, state, attempt, max_attempts, crashes, token, timeout, enqueued_at, run_after, "
    "started_at, last_attempted_at, {finished_at}, {run_time}, {runner}, args, {result}, attempts, {now}"
)


class Dialect:
    """What reading must know of a dialect."""

    def __init__(self, *, now: str, id_form: str) -> None:
        """*now* is the clock's expression; *id_form* wraps a column so that an id arrives as 16 bytes."""
        self.now = now
        self.id_form = id_form

    def columns(self, table: str) -> str:
        """The columns of a job's record in *table*, in the order of ``job_info``."""
        past = table == "conveyor_history"
        return _COLUMNS.format(
            id=self.id_form.format("id"),
            runner=self.id_form.format("runner"),
            finished_at="finished_at" if past else "CAST(NULL AS bigint)",
            run_time="run_time" if past else "CAST(NULL AS bigint)",
            result="result" if past else "CAST(NULL AS bytea)",
            now=self.now,
        )


def job_info(row: Row) -> JobInfo:
    """The record in a row of ``get`` or ``list``."""
    (id_, task, queue, priority, stored, attempt, limit, crashes, token, timeout, *times) = row
    (enqueued, after, started, attempted, finished, ran, runner, args, result, attempts, now) = times
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
        started_at=None if started is None else moment(cast(int, started)),
        last_attempted_at=None if attempted is None else moment(cast(int, attempted)),
        finished_at=None if finished is None else moment(cast(int, finished)),
        run_time=None if ran is None else cast(int, ran) * MICROSECOND,
        runner=None if runner is None else cast(bytes, runner).hex(),
        payload=cast(bytes, args),
        result=cast(bytes | None, result),
        attempts=record,
    )


def list_jobs(
    dialect: Dialect, where: JobFilter, params: dict[str, object], limit: int, direction: Direction
) -> Steps[Sequence[JobInfo]]:
    """A page of records by id, from both tables. *params* holds ``after`` (an id or nothing), and the clock."""
    newest = direction == "newest"
    beyond = "id < :after" if newest else "id > :after"
    order = "DESC" if newest else "ASC"
    params = _with_filter(params, where) | {"limit": limit}
    parts: list[str] = []
    for table in ("conveyor_job", "conveyor_history"):
        wanted = _wanted(dialect, table, where.states)
        if wanted is not None:
            terms = [*wanted, *_conditions(where), *([beyond] if "after" in params else [])]
            parts.append(
                f"SELECT * FROM (SELECT {dialect.columns(table)} FROM {table}"  # noqa: S608 - texts of ours only
                f"{_where(terms)} ORDER BY id {order} LIMIT :limit) AS {table}"
            )
    if not parts:
        return []
    text = f"{' UNION ALL '.join(parts)} ORDER BY 1 {order} LIMIT :limit"
    answer = yield Statement(text, params)
    return [job_info(row) for row in answer.rows]


def count_jobs(dialect: Dialect, where: JobFilter, params: dict[str, object]) -> Steps[Counts]:
    """Jobs per shown state, in one statement and so of one moment; each counted up to one more than ``COUNTED``."""
    params = _with_filter(params, where) | {"enough": COUNTED + 1}
    wanted = [state for state in _BUCKETS if not where.states or state in where.states]
    parts = [_count(dialect, state, where) for state in wanted]
    if not parts:
        return {}
    answer = yield Statement(f"SELECT {', '.join(parts)}", params)
    return {state: cast(int, number) for state, number in zip(wanted, answer.rows[0], strict=True)}


def _count(dialect: Dialect, state: State, where: JobFilter) -> str:
    table, condition = _BUCKETS[state]
    terms = [condition.format(now=dialect.now), *_conditions(where)]
    return f"(SELECT count(*) FROM (SELECT 1 FROM {table}{_where(terms)} LIMIT :enough) AS counted)"  # noqa: S608 - as above


def _wanted(dialect: Dialect, table: str, states: tuple[State, ...]) -> list[str] | None:
    """The condition on *table* for *states*; ``None`` when none of them lies there."""
    if not states:
        return []
    here = [text for state, (place, text) in _BUCKETS.items() if state in states and place == table]
    return [f"({' OR '.join(here)})".format(now=dialect.now)] if here else None


def _conditions(where: JobFilter) -> list[str]:
    return [f"{name} = :{name}" for name in ("queue", "task") if getattr(where, name) is not None]


def _with_filter(params: Params, where: JobFilter) -> dict[str, object]:
    return dict(params) | {name: getattr(where, name) for name in ("queue", "task") if getattr(where, name) is not None}


def _where(terms: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(terms)}" if terms else ""
