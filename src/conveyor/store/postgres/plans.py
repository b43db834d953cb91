"""The operations on PostgreSQL. Nearly each is one statement, which commits by itself in one round trip."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast
from uuid import UUID

from conveyor.core.lifecycle import TAKEN_BACK, Event, ending
from conveyor.core.model import Claimed, NewJob, Outcome
from conveyor.plan import Column, Plan, Steps
from conveyor.store.reading import Dialect
from conveyor.store.sqlplans import SqlOperations, id_set, in_turn


class PostgresOperations(SqlOperations):
    """``SqlOperations`` for PostgreSQL: many rows travel as columns, one array parameter for each."""

    folder: ClassVar[str] = "postgres"
    reading: ClassVar[Dialect] = Dialect(now="(SELECT conveyor_now())", id_form="uuid_send({})")

    def id_param(self, id_: bytes) -> object:
        """See ``SqlOperations.id_param``."""
        return UUID(bytes=id_)

    def insert(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.insert``."""
        ids, tasks, queues, priorities, dues, delays, limits, timeouts, payloads = zip(*jobs, strict=True)
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
        )

    def delete_finished(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.delete_finished``."""
        yield self.statement("repeat_clean", id=Column("uuid", [job.id for job in jobs]))

    def claim_steps(self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str]) -> Steps[Sequence[Claimed]]:
        """See ``SqlOperations.claim_steps``."""
        answer = yield self.statement(
            "claim",
            runner=self.id_param(runner),
            queue=Column("text", tuple(room)),
            room=Column("int8", tuple(room.values())),
            tasks=Column("text", tasks),
        )
        return in_turn([Claimed._make(row) for row in answer.rows])

    def next_due_steps(self, queues: Sequence[str]) -> Steps[int | None]:
        """See ``SqlOperations.next_due_steps``."""
        answer = yield self.statement("next_due", queue=Column("text", queues))
        return cast(int | None, answer.rows[0][0])

    def write_final(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_final``."""
        answer = yield self.statement(
            "settle_final",
            **_keys(outcomes),
            outcome=Column("text", [str(ending(outcome.event)) for outcome in outcomes]),
            crash=Column("int2", [int(outcome.crash) for outcome in outcomes]),
            fence=Column("int2", [int(outcome.event in TAKEN_BACK) for outcome in outcomes]),
            run_time=Column("int8", [outcome.run_time for outcome in outcomes]),
            result=Column("bytea", [outcome.result for outcome in outcomes]),
            record=Column("bytea", [outcome.record for outcome in outcomes]),
        )
        return cast(int, answer.rows[0][0])

    def write_again(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_again``."""
        answer = yield self.statement(
            "settle_again",
            **_keys(outcomes),
            delay=Column("int8", [outcome.delay for outcome in outcomes]),
            back=Column("int2", [int(outcome.event is Event.RELEASE) for outcome in outcomes]),
            crash=Column("int2", [int(outcome.crash) for outcome in outcomes]),
            fence=Column("int2", [int(outcome.event in TAKEN_BACK) for outcome in outcomes]),
            record=Column("bytea", [outcome.record for outcome in outcomes]),
        )
        return cast(int, answer.rows[0][0])

    def recorded(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.recorded``."""
        answer = yield self.statement(
            "settled",
            id=Column("uuid", [outcome.id for outcome in outcomes]),
            token=Column("int8", [outcome.token for outcome in outcomes]),
        )
        return id_set(answer.rows)

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

    def idle(self, window: int) -> Plan[None]:
        """Ask enqueuers to notify for the next *window* microseconds."""

        def steps() -> Steps[None]:
            yield self.statement("idle", window=window)

        return Plan(steps)


def _keys(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """What fences a write: job, token and runner."""
    return {
        "id": Column("uuid", [outcome.id for outcome in outcomes]),
        "token": Column("int8", [outcome.token for outcome in outcomes]),
        "runner": Column("uuid", [outcome.runner for outcome in outcomes]),
    }
