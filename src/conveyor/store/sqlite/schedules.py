"""Schedules on SQLite."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from conveyor.core.schedules import Move
from conveyor.plan import Steps
from conveyor.store.arrivals import Given
from conveyor.store.schedules import SqlSchedules, given_move
from conveyor.store.sqlite.plans import SqliteDialect


class SqliteSchedules(SqliteDialect, SqlSchedules):
    """``SqlSchedules`` for SQLite: the transaction has the file to itself."""

    def fired(self, moves: Sequence[Move]) -> Steps[Mapping[str, int]]:
        """See ``SqlSchedules.fired``."""
        made: dict[str, int] = {}
        for move in moves:
            job = move.jobs[-1].id if move.jobs else None
            answer = yield self.statement("fire", **_move(move), job=job)
            made |= {cast(str, name): cast(int, jobs) for name, jobs in answer.rows}
            if made.get(move.name):
                rows = [Given.of(job, place) for place, job in enumerate(move.jobs)]
                ids = b"".join(job.id for job in move.jobs)
                yield self.statement("join", rows=msgspec.json.encode(rows).decode(), ids=ids)
        return made


def _move(move: Move) -> dict[str, object]:
    params = given_move(move)
    return {"schedule": params.pop("name"), **params}
