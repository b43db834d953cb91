"""The operations on PostgreSQL. Nearly each is one statement, which commits by itself in one round trip."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, cast
from uuid import UUID

import msgspec

from conveyor.core.lifecycle import ending
from conveyor.core.model import Claimed, NewJob, Outcome, Report
from conveyor.plan import Column, Plan, Row, Statement, Steps
from conveyor.store.arrivals import Given
from conveyor.store.control import SqlControl
from conveyor.store.reading import Dialect
from conveyor.store.sight import Sight
from conveyor.store.sqlbase import SqlBase, number
from conveyor.store.sqlfiles import sql
from conveyor.store.sqlplans import SqlOperations, id_set, in_turn

LOCK_WAIT: Final = 9_000
"""Milliseconds to wait for what another transaction holds: less than an async caller waits for anything."""


class PostgresDialect(SqlBase):
    """How PostgreSQL takes values: many rows travel as columns, one array parameter for each."""

    folder: ClassVar[str] = "postgres"
    reading: ClassVar[Dialect] = Dialect(
        now="(SELECT conveyor_now())",
        id_form="uuid_send({})",
        id_list="{} = ANY (:ids::uuid[])",
        contains="strpos({}, :tag) > 0",
    )

    def id_param(self, id_: bytes) -> object:
        """See ``SqlBase.id_param``."""
        return UUID(bytes=id_)

    def plain_id(self, id_: bytes) -> object:
        """See ``SqlBase.plain_id``."""
        return id_.hex()

    def id_list(self, ids: Sequence[bytes]) -> dict[str, object]:
        """See ``SqlBase.id_list``."""
        return {"ids": Column("uuid", ids)}


class PostgresControl(PostgresDialect, SqlControl):
    """``SqlControl`` for PostgreSQL: each change is one statement."""

    def params(self, **params: object) -> dict[str, object]:
        """See ``SqlBase.params``."""
        return params | _patience()

    def change(self, name: str, terms: str, params: dict[str, object]) -> Steps[Sequence[Row]]:
        """See ``SqlControl.change``."""
        return (yield Statement(sql(self.folder, name).replace("{where}", terms), params)).rows

    def pruned(self, limit: int) -> Steps[int]:
        """See ``SqlControl.pruned``."""
        return number((yield self.statement("prune", limit=limit)))


class PostgresOperations(PostgresDialect, SqlOperations):
    """``SqlOperations`` for PostgreSQL."""

    def insert(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.insert``."""
        ids, tasks, queues, priorities, dues, delays, limits, timeouts, payloads, expiries, keeps, extras, _ = zip(
            *jobs, strict=True
        )
        yield self.statement(
            name,
            id=Column("uuid", ids),
            task=Column("text", tasks),
            queue=Column("text", queues),
            priority=Column("int2", priorities),
            due=Column("int8", dues),
            delay=Column("int8", delays),
            max_attempts=Column("int2", limits),
            timeout=Column("int8", timeouts),
            args=Column("bytea", payloads),
            expires=Column("int8", expiries),
            keep=Column("int8", keeps),
            extras=Column("text", extras),
        )

    def take_turns(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``Arrivals.take_turns``."""
        keys = [job.unique.key for job in jobs if job.unique]
        yield self.statement("take_turns", keys=msgspec.json.encode(keys).decode(), **_patience())

    def rows_param(self, jobs: Sequence[NewJob]) -> dict[str, object]:
        """See ``Arrivals.rows_param``."""
        rows = msgspec.json.encode([Given.of(job, place) for place, job in enumerate(jobs)]).decode()
        return {"rows": rows} | _patience()

    def id_texts(self, given: Sequence[bytes]) -> dict[str, object]:
        """See ``Arrivals.id_texts``."""
        return {"ids": msgspec.json.encode([id_.hex() for id_ in given]).decode()}

    def complete_steps(self, key: Mapping[str, object], texts: Mapping[str, object]) -> Steps[bool]:
        """See ``Arrivals.complete_steps``."""
        return number((yield self.statement("complete", **key, **texts))) == 1

    def delete_finished(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.delete_finished``."""
        yield self.statement("repeat_clean", id=Column("uuid", [job.id for job in jobs]))

    def claim_steps(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight
    ) -> Steps[Sequence[Claimed]]:
        """See ``SqlOperations.claim_steps``."""
        answer = yield self.statement(
            "claim",
            runner=self.id_param(runner),
            queue=Column("text", tuple(room)),
            room=Column("int8", tuple(room.values())),
            tasks=Column("text", tasks),
        )
        sight.until = cast(int, answer.rows[0][0])
        return in_turn([Claimed._make(job) for _, *job in answer.rows if job[0] is not None])

    def next_due_steps(self, queues: Sequence[str], since: int | None) -> Steps[int | None]:
        """See ``SqlOperations.next_due_steps``."""
        answer = yield self.statement("next_due", queue=Column("text", queues), since=since)
        return cast(int | None, answer.rows[0][0])

    def write_final(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_final``."""
        return number((yield self._final(outcomes, asked=False)))

    def write_stops(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.write_stops``."""
        answer = yield self._final(outcomes, asked=True)
        return frozenset(cast("list[bytes] | None", answer.rows[0][1]) or ())

    def _final(self, outcomes: Sequence[Outcome], *, asked: bool) -> Statement:
        return self.statement(
            "settle_final",
            **_keys(outcomes),
            outcome=Column("text", [str(ending(outcome.event)) for outcome in outcomes]),
            flags=Column("int2", [outcome.flags for outcome in outcomes]),
            run_time=Column("int8", [outcome.run_time for outcome in outcomes]),
            result=Column("bytea", [outcome.result for outcome in outcomes]),
            record=Column("bytea", [outcome.record for outcome in outcomes]),
            reason=Column("text", [outcome.reason for outcome in outcomes]),
            fingerprint=Column("text", [outcome.fingerprint for outcome in outcomes]),
            asked=int(asked),
        )

    def write_again(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_again``."""
        answer = yield self.statement(
            "settle_again",
            **_keys(outcomes),
            due=Column("int8", [outcome.due for outcome in outcomes]),
            delay=Column("int8", [outcome.delay for outcome in outcomes]),
            flags=Column("int2", [outcome.flags for outcome in outcomes]),
            record=Column("bytea", [outcome.record for outcome in outcomes]),
        )
        return number(answer)

    def write_reports(self, reports: Sequence[Report]) -> Steps[None]:
        """See ``SqlOperations.write_reports``."""
        progress = Column("bytea", [report.progress for report in reports])
        yield self.statement("report", **_keys(reports), progress=progress)

    def recorded(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.recorded``."""
        answer = yield self.statement(
            "settled",
            id=Column("uuid", [outcome.id for outcome in outcomes]),
            token=Column("int8", [outcome.written_token for outcome in outcomes]),
        )
        return id_set(answer.rows)

    def still_held(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.still_held``."""
        return id_set((yield self.statement("still_held", **_keys(outcomes))).rows)

    def cancelled(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.cancelled``."""
        ids = Column("uuid", [outcome.id for outcome in outcomes])
        tokens = Column("int8", [outcome.written_token for outcome in outcomes])
        return id_set((yield self.statement("ended_cancelled", id=ids, token=tokens)).rows)

    def renew(self, runner: bytes, lease: int) -> Plan[bool]:
        """The lease counts anew from now; ``False`` when it had ended: a lease once lost stays lost."""

        def steps() -> Steps[bool]:
            answer = yield self.statement("renew", runner=self.id_param(runner), lease=lease)
            return answer.touched == 1

        return Plan(steps)

    def retire(self, runner: bytes) -> Plan[None]:
        """The lease has ended; whatever the runner still holds will be rescued."""

        def steps() -> Steps[None]:
            yield self.statement("retire", runner=self.id_param(runner))

        return Plan(steps)

    def settings(self) -> Plan[Sequence[str]]:
        """The server's settings that jobs depend on, as ``store.postgres.health`` names them."""

        def steps() -> Steps[Sequence[str]]:
            return cast(Sequence[str], (yield self.statement("settings")).rows[0])

        return Plan(steps, writes=False)

    def idle(self, window: int) -> Plan[None]:
        """Ask enqueuers to notify for the next *window* microseconds."""

        def steps() -> Steps[None]:
            yield self.statement("idle", window=window)

        return Plan(steps)


def _patience() -> dict[str, object]:
    return {"patience": str(LOCK_WAIT)}


def _keys(outcomes: Sequence[Outcome | Report]) -> dict[str, object]:
    """What fences a write: job, token and runner."""
    return {
        "id": Column("uuid", [outcome.id for outcome in outcomes]),
        "token": Column("int8", [outcome.token for outcome in outcomes]),
        "runner": Column("uuid", [outcome.runner for outcome in outcomes]),
    }
