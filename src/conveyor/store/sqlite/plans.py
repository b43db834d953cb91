"""The operations on SQLite. It has no writing CTE and no arrays: a plan is several statements in one transaction."""

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple, cast

import msgspec

from conveyor.core.clock import Clock
from conveyor.core.lifecycle import TAKEN_BACK, Event, ending
from conveyor.core.model import Claimed, NewJob, Outcome
from conveyor.plan import Params, Statement, Steps
from conveyor.store.reading import Dialect
from conveyor.store.sqlfiles import sql
from conveyor.store.sqlplans import SqlOperations, id_set, in_turn


class SqliteOperations(SqlOperations):
    """``SqlOperations`` for SQLite: many rows are one statement, run once for each."""

    folder: ClassVar[str] = "sqlite"
    reading: ClassVar[Dialect] = Dialect(now=":now", id_form="{}")

    def __init__(self, clock: Clock) -> None:
        """*clock* is the database's clock: all processes of a SQLite file share one host."""
        self._clock = clock

    def params(self, **params: object) -> dict[str, object]:
        """*params* and the time, read when the statement is made, inside the transaction."""
        return {"now": self._clock.microseconds(), **params}

    def id_param(self, id_: bytes) -> object:
        """See ``SqlOperations.id_param``."""
        return id_

    def insert(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.insert``."""
        now = self.params()
        yield self._each(name, [now | job._asdict() | {"place": place} for place, job in enumerate(jobs)])

    def delete_finished(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.delete_finished``."""
        yield self._each("repeat_clean", [{"id": job.id} for job in jobs])

    def claim_steps(self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str]) -> Steps[Sequence[Claimed]]:
        """See ``SqlOperations.claim_steps``."""
        claimed: list[Claimed] = []
        if not (yield self.statement("alive", runner=runner)).rows[0][0]:
            return claimed
        lanes = yield self.statement("lanes", queues=json.dumps(list(room)))
        left = dict(room)
        known = json.dumps(list(tasks))
        for queue, priority in cast(Sequence[tuple[str, int]], lanes.rows):
            if left[queue] > 0:
                due = yield self.statement("due", queue=queue, priority=priority, tasks=known, room=left[queue])
                seqs = due.rows[0][0]
                yield self.statement("claim", runner=runner, seqs=seqs)
                taken = yield self.statement("claimed", seqs=seqs)
                jobs = [_claimed(row) for row in _TAKEN.decode(cast(str, taken.rows[0][0]))]
                left[queue] -= len(jobs)
                claimed += jobs
        return in_turn(claimed)

    def next_due_steps(self, queues: Sequence[str]) -> Steps[int | None]:
        """See ``SqlOperations.next_due_steps``."""
        answer = yield self.statement("next_due", queues=json.dumps(list(queues)))
        return cast(int | None, answer.rows[0][0])

    def write_final(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_final``."""
        batch = _batch(outcomes)
        yield self.statement("settle_final", **batch)
        return (yield self.statement("settle_delete", **batch)).touched

    def write_again(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_again``."""
        now = self._clock.microseconds()
        return (yield self._each("settle_again", [_row(outcome, now) for outcome in outcomes])).touched

    def recorded(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.recorded``."""
        return id_set((yield self.statement("settled", **_batch(outcomes))).rows)

    def _each(self, name: str, rows: Sequence[Params]) -> Statement:
        return Statement(sql(self.folder, name), {}, rows)


class _Final(msgspec.Struct):
    """One ended attempt, as ``settle_final.sql`` reads it."""

    token: int
    outcome: str | None
    crash: bool
    fence: bool
    run_time: int
    result: str | None
    record: str | None


class _Taken(NamedTuple):
    """A row of ``claimed.sql``; bytes travel in hexadecimal, so that no corrupt row can spoil the claim."""

    id: str
    task: str
    queue: str
    priority: int
    run_after: int
    attempt: int
    max_attempts: int
    crashes: int
    token: int
    timeout: int | None
    args: str
    attempts: str | None
    last_attempted_at: int


_TAKEN: Final = msgspec.json.Decoder(list[_Taken])


def _claimed(row: _Taken) -> Claimed:
    return Claimed(
        bytes.fromhex(row.id),
        row.task,
        row.queue,
        row.priority,
        row.run_after,
        row.attempt,
        row.max_attempts,
        row.crashes,
        row.token,
        row.timeout,
        bytes.fromhex(row.args),
        None if row.attempts is None else bytes.fromhex(row.attempts),
        row.last_attempted_at,
    )


def _batch(outcomes: Sequence[Outcome]) -> dict[str, object]:
    finals = [
        _Final(
            outcome.token,
            ending(outcome.event),
            outcome.crash,
            outcome.event in TAKEN_BACK,
            outcome.run_time,
            None if outcome.result is None else outcome.result.decode(),
            None if outcome.record is None else outcome.record.decode(),
        )
        for outcome in outcomes
    ]
    return {
        "rows": msgspec.json.encode(finals).decode(),
        "ids": b"".join(outcome.id for outcome in outcomes),
        "runners": b"".join(outcome.runner for outcome in outcomes),
    }


def _row(outcome: Outcome, now: int) -> Params:
    return {
        "now": now,
        "id": outcome.id,
        "token": outcome.token,
        "runner": outcome.runner,
        "delay": outcome.delay,
        "back": outcome.event is Event.RELEASE,
        "crash": outcome.crash,
        "fence": outcome.event in TAKEN_BACK,
        "record": outcome.record,
    }
