"""The operations on SQLite. It has no writing CTE and no arrays: a plan is several statements in one transaction."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple, cast

import msgspec

from conveyor.core.clock import Clock
from conveyor.core.lifecycle import ending
from conveyor.core.model import Claimed, NewJob, Outcome, Report
from conveyor.plan import Params, Row, Statement, Steps
from conveyor.store.arrivals import Given
from conveyor.store.control import SqlControl
from conveyor.store.ending import in_turn
from conveyor.store.reading import Dialect
from conveyor.store.sight import Sight
from conveyor.store.sqlbase import SqlBase
from conveyor.store.sqlfiles import sql
from conveyor.store.sqlplans import SqlOperations, id_set


class SqliteDialect(SqlBase):
    """How SQLite takes values: no arrays, so ids travel as one blob; and the clock is the caller's."""

    folder: ClassVar[str] = "sqlite"
    reading: ClassVar[Dialect] = Dialect(
        now=":now",
        id_form="{}",
        id_list="{} IN (SELECT substr(:ids, key * 16 + 1, 16) FROM json_each(:places))",
        contains="instr({}, :tag) > 0",
    )

    def __init__(self, clock: Clock) -> None:
        """*clock* is the database's clock: all processes of a SQLite file share one host."""
        self._clock = clock

    def params(self, **params: object) -> dict[str, object]:
        """*params* and the time, read when the statement is made, inside the transaction."""
        return {"now": self._clock.microseconds(), **params}

    def id_param(self, id_: bytes) -> object:
        """See ``SqlBase.id_param``."""
        return id_

    def plain_id(self, id_: bytes) -> object:
        """See ``SqlBase.plain_id``."""
        return id_

    def id_list(self, ids: Sequence[bytes]) -> dict[str, object]:
        """See ``SqlBase.id_list``."""
        return {"ids": b"".join(ids), "places": json.dumps([0] * len(ids))}


class SqliteOperations(SqliteDialect, SqlOperations):
    """``SqlOperations`` for SQLite: many rows are one statement, run once for each."""

    def __init__(self, clock: Clock, file: str) -> None:
        """*file* is the database's one true name."""
        super().__init__(clock)
        self._file = file

    def arrive(self) -> Steps[None]:
        """See ``Arrivals.arrive``. A transaction that reads first would not wait for a writer, and fail at once."""
        rows = (yield Statement("PRAGMA database_list", {})).rows
        if any(name == "main" and os.path.realpath(cast(str, file)) == self._file for _, name, file in rows):
            try:
                yield self.statement("take_lock")
            except Exception as error:
                if "no such table" not in str(error):  # which is what the next question is about
                    raise

    def insert(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.insert``."""
        now = self.params()
        yield self._each(
            name, [now | job._asdict() | {"place": place, "unique": None} for place, job in enumerate(jobs)]
        )

    def delete_finished(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.delete_finished``."""
        yield self._each("repeat_clean", [{"id": job.id} for job in jobs])

    def take_turns(self, jobs: Sequence[NewJob]) -> Steps[None]:  # noqa: ARG002 - as the other dialect's
        """See ``Arrivals.take_turns``: writers do that anyway."""
        yield from ()

    def rows_param(self, jobs: Sequence[NewJob]) -> dict[str, object]:
        """See ``Arrivals.rows_param``."""
        rows = msgspec.json.encode([Given.of(job, place) for place, job in enumerate(jobs)]).decode()
        return {"rows": rows, "ids": b"".join(job.id for job in jobs)}

    def id_texts(self, given: Sequence[bytes]) -> dict[str, object]:
        """See ``Arrivals.id_texts``."""
        return self.id_list(given)

    def complete_steps(self, key: Mapping[str, object], texts: Mapping[str, object]) -> Steps[bool]:
        """See ``Arrivals.complete_steps``."""
        yield self.statement("complete", **key, **texts)
        return bool((yield self.statement("complete_delete", **key)).rows)

    def claim_steps(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight
    ) -> Steps[Sequence[Claimed]]:
        """See ``SqlOperations.claim_steps``."""
        claimed: list[Claimed] = []
        if not (yield self.statement("alive", runner=runner)).rows[0][0]:
            return claimed
        began = self.params()["now"]  # before any lane is looked into: each statement reads the clock anew
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
        sight.until = cast(int, began)
        return in_turn(claimed)

    def next_due_steps(self, queues: Sequence[str], sight: Sight) -> Steps[int | None]:
        """See ``SqlOperations.next_due_steps``."""
        answer = yield self.statement("next_due", queues=json.dumps(list(queues)), since=sight.until)
        return cast(int | None, answer.rows[0][0])

    def write_final(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_final``."""
        return (yield from self._final(_batch(outcomes) | {"asked": 0}))

    def write_stops(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.write_stops``."""
        stopped = yield from self._final(_batch(outcomes) | {"asked": 1})
        return (yield from self.cancelled(outcomes)) if stopped else frozenset()

    def _final(self, batch: Mapping[str, object]) -> Steps[int]:
        yield self.statement("settle_final", **batch)
        return (yield self.statement("settle_delete", **batch)).touched

    def write_again(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_again``."""
        now = self._clock.microseconds()
        return (yield self._each("settle_again", [_row(outcome, now) for outcome in outcomes])).touched

    def recorded(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.recorded``."""
        return id_set((yield self.statement("settled", **_batch(outcomes))).rows)

    def still_held(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:  # noqa: ARG002 - as the other dialect's
        """See ``SqlOperations.still_held``: in one transaction of the one writer, nobody rewrites anything."""
        yield from ()
        return frozenset()

    def cancelled(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.cancelled``."""
        return id_set((yield self.statement("ended_cancelled", **_batch(outcomes))).rows)

    def write_reports(self, reports: Sequence[Report]) -> Steps[None]:
        """See ``SqlOperations.write_reports``."""
        yield self._each("report", [report._asdict() for report in reports])

    def _each(self, name: str, rows: Sequence[Params]) -> Statement:
        return Statement(sql(self.folder, name), {}, rows)


class _Final(msgspec.Struct, array_like=True):
    """One ended attempt, as ``settle_final.sql`` reads it."""

    token: int
    flags: int
    outcome: str | None
    run_time: int
    result: str | None
    record: str | None
    reason: str | None
    fingerprint: str | None


_PASSES: Final = {
    "revive_waiting": ("pick_later", ("hasten",)),
    "delete_waiting": ("pick_waiting", ("drop_jobs",)),
    "delete_ended": ("pick_ended", ("drop_ended",)),
}
"""What each change picks, and what it does to that."""


class SqliteControl(SqliteDialect, SqlControl):
    """``SqlControl`` for SQLite: one statement picks rows, others change them, in one transaction."""

    def change(self, name: str, terms: str, params: dict[str, object]) -> Steps[Sequence[Row]]:
        """See ``SqlControl.change``."""
        if name == "stop":
            return (yield from self._stop_picked(terms, params))
        if name == "revive_ended":
            return (yield from self._revive_picked(terms, params))
        pick, changes = _PASSES[name]
        picked = (yield Statement(sql(self.folder, pick).replace("{where}", terms), params)).rows
        seqs = json.dumps([row[2] for row in picked])
        for change in changes if picked else ():
            yield Statement(sql(self.folder, change), params | {"seqs": seqs})
        return picked

    def _stop_picked(self, terms: str, params: dict[str, object]) -> Steps[Sequence[Row]]:
        picked = (yield Statement(sql(self.folder, "pick_stoppable").replace("{where}", terms), params)).rows
        waiting = json.dumps([seq for *_, seq, runs in picked if not runs])
        running = json.dumps([seq for *_, seq, runs in picked if runs])
        for change, seqs in (("ended", waiting), ("drop_jobs", waiting), ("ask", running)):
            if seqs != "[]":
                yield Statement(sql(self.folder, change), params | {"seqs": seqs})
        return [(id_, label, runs) for id_, label, _, runs in picked]

    def _revive_picked(self, terms: str, params: dict[str, object]) -> Steps[Sequence[Row]]:
        picked = (yield Statement(sql(self.folder, "pick_ended").replace("{where}", terms), params)).rows
        named = params | {"seqs": json.dumps([row[2] for row in picked])}
        back: frozenset[bytes] = frozenset()
        if picked:
            back = id_set((yield Statement(sql(self.folder, "revive"), named)).rows)
        if back:
            yield Statement(sql(self.folder, "revived"), named)
        return [(id_, label if id_ in back else None) for id_, label, _ in picked]

    def pruned(self, limit: int) -> Steps[int]:
        """See ``SqlControl.pruned``."""
        return (yield self.statement("prune", limit=limit)).touched


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
    expires_at: int | None
    extras: str | None
    cancelled: str | None


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
        row.expires_at,
        _text(row.extras),
        _text(row.cancelled),
    )


def _text(digits: str | None) -> str | None:
    return None if digits is None else bytes.fromhex(digits).decode("utf-8", "replace")


def _batch(outcomes: Sequence[Outcome]) -> dict[str, object]:
    finals = [
        _Final(
            outcome.token,
            outcome.flags,
            ending(outcome.event),
            outcome.run_time,
            None if outcome.result is None else outcome.result.decode(),
            None if outcome.record is None else outcome.record.decode(),
            outcome.reason,
            outcome.fingerprint,
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
        "due": outcome.due,
        "delay": outcome.delay,
        "flags": outcome.flags,
        "record": outcome.record,
    }
