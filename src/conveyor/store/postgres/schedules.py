"""Schedules on PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec

from conveyor.core.schedules import Move
from conveyor.plan import Steps
from conveyor.store.arrivals import Given
from conveyor.store.postgres.plans import PostgresDialect
from conveyor.store.schedules import SqlSchedules, Ticked, given_move

LOCK_WAIT: Final = 100
"""Milliseconds to wait for a unique key that a transaction under way has taken, and may yet give back."""


class PostgresSchedules(PostgresDialect, SqlSchedules):
    """``SqlSchedules`` for PostgreSQL: one statement, whatever becomes of who sends it."""

    def fired(self, moves: Sequence[Move]) -> Steps[Mapping[str, int]]:
        """See ``SqlSchedules.fired``."""
        rows = [
            Ticked(**msgspec.structs.asdict(Given.of(job, place)), schedule=move.name)
            for place, (move, job) in enumerate((move, job) for move in moves for job in move.jobs)
        ]
        given = [given_move(move) for move in moves]
        answer = yield self.statement(
            "fire",
            moves=msgspec.json.encode(given).decode(),
            rows=msgspec.json.encode(rows).decode(),
            patience=str(LOCK_WAIT),
        )
        return {cast(str, name): cast(int, jobs) for name, jobs, _ in answer.rows}
