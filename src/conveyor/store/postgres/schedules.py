"""Schedules on PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from conveyor.core.schedules import Move
from conveyor.plan import Steps
from conveyor.store.arrivals import Given
from conveyor.store.postgres.plans import PostgresDialect
from conveyor.store.schedules import SqlSchedules, Ticked, given_move


class PostgresSchedules(PostgresDialect, SqlSchedules):
    """``SqlSchedules`` for PostgreSQL: one statement, whatever becomes of who sends it."""

    def fired(self, moves: Sequence[Move]) -> Steps[Mapping[str, int]]:
        """See ``SqlSchedules.fired``."""
        rows = [
            Ticked(**msgspec.structs.asdict(Given.of(job, place)), schedule=move.name)
            for place, (move, job) in enumerate((move, job) for move in moves for job in move.jobs)
        ]
        given = [given_move(move) | {"job": move.jobs[-1].id.hex() if move.jobs else None} for move in moves]
        answer = yield self.statement(
            "fire", moves=msgspec.json.encode(given).decode(), rows=msgspec.json.encode(rows).decode()
        )
        return {cast(str, name): cast(int, jobs) for name, jobs, _ in answer.rows}
