"""Schedules on SQLite."""

from collections.abc import Mapping, Sequence

import msgspec

from conveyor.core.model import NewJob
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
            params = _move(move)
            rows = (yield self.statement("ticking", **params)).rows
            if rows:
                jobs = yield from self._inserted(move.jobs if rows[0][0] else ())
                made[move.name] = len(jobs)
                yield self.statement("fire", **params, jobs=len(jobs), job=jobs[-1].id if jobs else None)
        return made

    def _inserted(self, jobs: Sequence[NewJob]) -> Steps[Sequence[NewJob]]:
        """Those of *jobs* that are stored now: one whose unique key is held is not."""
        if not jobs:
            return ()
        rows = msgspec.json.encode([Given.of(job, place) for place, job in enumerate(jobs)]).decode()
        answer = yield self.statement("join", rows=rows, ids=b"".join(job.id for job in jobs))
        stored = {row[0] for row in answer.rows}
        return [job for job in jobs if job.id.hex() in stored]


def _move(move: Move) -> dict[str, object]:
    params = given_move(move)
    return {"schedule": params.pop("name"), **params}
