"""Looking at jobs, workers and queues, over SQL; ``store.contract.Operations`` says what each operation owes."""

from collections.abc import Sequence
from typing import Final, cast

from conveyor.core.clock import MICROSECOND, stored
from conveyor.core.model import (
    COUNTED,
    Counts,
    Direction,
    DueTask,
    Ended,
    FailureGroup,
    JobFilter,
    JobInfo,
    QueueInfo,
    Runner,
)
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.reading import conditions, count_jobs, filter_params, get_job, list_jobs, number_of
from conveyor.store.rows import ended_of, failures_of, queue_of, runner_of
from conveyor.store.sqlbase import SqlBase, number
from conveyor.store.sqlfiles import sql

MINUTES: Final = 600.0
"""Seconds, for what reads all there is."""


class Reads(SqlBase):
    """The operations that change nothing."""

    def get(self, id_: bytes) -> Plan[JobInfo | None]:
        """See ``Operations.get``."""
        return Plan(lambda: get_job(self.reading, self.params(id=self.id_param(id_))), writes=False)

    def list(
        self, where: JobFilter, *, limit: int, after: bytes | None, direction: Direction
    ) -> Plan[Sequence[JobInfo]]:
        """See ``Operations.list``."""
        place = {} if after is None else {"after": self.id_param(after)}
        return Plan(
            lambda: list_jobs(self.reading, where, self.params(**place) | self.filtered(where), limit, direction),
            writes=False,
        )

    def counts(self, where: JobFilter) -> Plan[Counts]:
        """See ``Operations.counts``."""
        return Plan(lambda: count_jobs(self.reading, where, self.params() | self.filtered(where)), writes=False)

    def number(self, where: JobFilter) -> Plan[int]:
        """See ``Operations.number``."""
        params = self.params() | self.filtered(where)
        return Plan(lambda: number_of(self.reading, where, params), writes=False, patience=MINUTES)

    def ahead(self, job: JobInfo, limit: int) -> Plan[int]:
        """See ``Operations.ahead``."""

        def steps() -> "Steps[int]":
            after = stored(job.run_after)
            answer = yield self.statement("ahead", queue=job.queue, priority=job.priority, run_after=after, limit=limit)
            return number(answer)

        return Plan(steps, writes=False)

    def runners(self) -> Plan[Sequence[Runner]]:
        """See ``Operations.runners``."""

        def steps() -> "Steps[Sequence[Runner]]":
            answer = yield self.statement("runners")
            return [runner_of(row) for row in answer.rows]

        return Plan(steps, writes=False)

    def queues(self) -> Plan[Sequence[QueueInfo]]:
        """See ``Operations.queues``."""

        def steps() -> "Steps[Sequence[QueueInfo]]":
            answer = yield self.statement("queues", enough=COUNTED + 1)
            return [queue_of(row) for row in answer.rows]

        return Plan(steps, writes=False)

    def queue(self, name: str, enough: int = COUNTED + 1) -> Plan[QueueInfo]:
        """See ``Operations.queue``."""

        def steps() -> "Steps[QueueInfo]":
            answer = yield self.statement("queue", queue=name, enough=enough)
            return queue_of(answer.rows[0])

        return Plan(steps, writes=False)

    def due_tasks(self, queue: str, limit: int) -> Plan[Sequence[DueTask]]:
        """See ``Operations.due_tasks``."""

        def steps() -> "Steps[Sequence[DueTask]]":
            answer = yield self.statement("due_tasks", queue=queue, enough=limit)
            found = cast(Sequence[tuple[str, int, int]], answer.rows)
            return [DueTask(task, jobs, waited * MICROSECOND) for task, jobs, waited in found]

        return Plan(steps, writes=False)

    def latest(self, limit: int) -> Plan[Sequence[Ended]]:
        """See ``Operations.latest``."""

        def steps() -> "Steps[Sequence[Ended]]":
            answer = yield self.statement("latest", among=COUNTED, limit=limit)
            return [ended_of(row) for row in answer.rows]

        return Plan(steps, writes=False)

    def stranded(self) -> Plan[int]:
        """See ``Operations.stranded``."""
        return self._number("stranded")

    def prunable(self) -> Plan[int]:
        """See ``Operations.prunable``."""
        return self._number("prunable")

    def clock(self) -> Plan[int]:
        """See ``Operations.clock``."""
        return self._number("clock")

    def failures(self, where: JobFilter, limit: int) -> Plan[Sequence[FailureGroup]]:
        """See ``Operations.failures``."""

        def steps() -> "Steps[Sequence[FailureGroup]]":
            terms = conditions(self.reading, "conveyor_history", where)
            if terms is None:
                return []
            text = sql(self.folder, "failures").replace("{where}", " AND ".join(terms) or "1 = 1")
            params = self.params(limit=limit) | filter_params(where) | self.filtered(where)
            answer = yield Statement(text, params)
            return [failures_of(row) for row in answer.rows]

        return Plan(steps, writes=False)

    def identity(self) -> Plan[str]:
        """See ``Operations.identity``."""

        def steps() -> "Steps[str]":
            return cast(str, (yield self.statement("identity")).rows[0][0])

        return Plan(steps, writes=False)

    def schema(self) -> Plan[int]:
        """See ``Operations.schema``."""
        return self._number("schema")

    def _number(self, name: str) -> Plan[int]:
        """The one number that the statement *name* gives."""

        def steps() -> "Steps[int]":
            return number((yield self.statement(name)))

        return Plan(steps, writes=False)

    def filtered(self, where: JobFilter) -> dict[str, object]:
        """The parameters for the ids of a filter."""
        return {} if where.ids is None else self.id_list(where.ids)
