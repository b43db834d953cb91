"""What both SQL dialects do alike. A dialect's own folder holds its statements, and the plans where it differs."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, cast

import msgspec

from conveyor.core.clock import moment, stored
from conveyor.core.judge import judge_loss
from conveyor.core.lifecycle import ending
from conveyor.core.model import (
    Claimed,
    Counts,
    Direction,
    Held,
    JobFilter,
    JobInfo,
    NewJob,
    Outcome,
    Runner,
    RunnerInfo,
)
from conveyor.plan import Answer, Plan, Row, Statement, Steps
from conveyor.store.contract import Rescued
from conveyor.store.reading import Dialect, count_jobs, job_info, list_jobs
from conveyor.store.sqlfiles import sql

SETTLE_ROUNDS = 3
BURIAL = 60_000_000
"""Microseconds that a dead runner's row stays, so that rescue still looks for claims that were in flight."""


class SqlOperations(ABC):
    """The operations that SQLite and PostgreSQL share; ``store.contract.Operations`` says what each owes."""

    folder: ClassVar[str]
    reading: ClassVar[Dialect]

    @abstractmethod
    def id_param(self, id_: bytes) -> object:
        """An id as the dialect's parameter."""

    @abstractmethod
    def insert(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        """Carry *jobs* through the statement *name*."""

    @abstractmethod
    def delete_finished(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """Delete those of *jobs* from the hot table that history knows."""

    @abstractmethod
    def claim_steps(self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str]) -> Steps[Sequence[Claimed]]:
        """The steps of ``claim``."""

    @abstractmethod
    def next_due_steps(self, queues: Sequence[str]) -> Steps[int | None]:
        """The steps of ``next_due``."""

    @abstractmethod
    def write_final(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """Move ended jobs to history; how many were still the runner's."""

    @abstractmethod
    def write_again(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """Make jobs ready again; how many were still the runner's."""

    @abstractmethod
    def recorded(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """The ids among *outcomes* whose outcome is in the store."""

    def params(self, **params: object) -> dict[str, object]:
        """*params*, with what every statement of the dialect gets."""
        return params

    def statement(self, name: str, **params: object) -> Statement:
        """The statement of the file *name*, with its values."""
        return Statement(sql(self.folder, name), self.params(**params))

    def enqueue(self, jobs: Sequence[NewJob]) -> Plan[None]:
        """See ``Operations.enqueue``."""
        return Plan(partial(self._enqueue, "enqueue", jobs), wakes=True)

    def repeat_enqueue(self, jobs: Sequence[NewJob]) -> Plan[None]:
        """See ``Operations.repeat_enqueue``.

        Two statements, each with a snapshot of its own. One could not be right: the job may have moved to history
        after the statement's snapshot was taken and before its insert met no conflict.
        """

        def steps() -> Steps[None]:
            yield from self._enqueue("repeat_insert", jobs)
            yield from self.delete_finished(jobs)

        return Plan(steps, atomic=True, wakes=True)

    def _enqueue(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        if jobs:
            yield from self.insert(name, jobs)

    def claim(self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str]) -> Plan[Sequence[Claimed]]:
        """See ``Operations.claim``."""
        return Plan(partial(self.claim_steps, runner, room, tasks))

    def next_due(self, queues: Sequence[str]) -> Plan[int | None]:
        """See ``Operations.next_due``."""
        return Plan(partial(self.next_due_steps, queues), writes=False)

    def settle(self, outcomes: Sequence[Outcome]) -> Plan[frozenset[bytes]]:
        """See ``Operations.settle``."""
        again = any(not ending(outcome.event) for outcome in outcomes)
        return Plan(partial(self._settle, sorted(outcomes, key=_by_id)), wakes=again)

    def _settle(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """In the order of ids, so that two settles never wait for each other in a circle.

        A row that somebody else rewrites at the same moment is passed over by PostgreSQL (the version that we may
        see is gone, the new one is not ours to see), though the job is still ours: so what is neither written nor
        recorded is tried again, with a new snapshot.
        """
        left = outcomes
        for _ in range(SETTLE_ROUNDS):
            final = [outcome for outcome in left if ending(outcome.event)]
            again = [outcome for outcome in left if not ending(outcome.event)]
            written = (yield from self.write_final(final)) if final else 0
            written += (yield from self.write_again(again)) if again else 0
            if written == len(left):
                return frozenset()
            recorded = yield from self.recorded(left)
            left = [outcome for outcome in left if outcome.id not in recorded]
            if not left:
                break
        return frozenset(outcome.id for outcome in left)

    def held(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int]]]:
        """See ``Operations.held``."""

        def steps() -> Steps[Sequence[tuple[bytes, int]]]:
            answer = yield self.statement("held", runner=self.id_param(runner))
            return cast(Sequence[tuple[bytes, int]], answer.rows)

        return Plan(steps, writes=False)

    def rescue(self, limit: int) -> Plan[Rescued]:
        """See ``Operations.rescue``.

        In one transaction, for it writes two statements: a rescuer that died between them would leave part of a dead
        runner's jobs, and the last of them would look as if it had been alone.
        """
        return Plan(partial(self._rescue, limit), atomic=True, wakes=True)

    def _rescue(self, limit: int) -> Steps[Rescued]:
        """Find, judge, settle. Two rescuers may find the same job: the token lets one of them settle it."""
        answer = yield self.statement("orphans", limit=limit)
        held = [Held._make(row[:-1]) for row in answer.rows]
        queues = frozenset(cast(str, row[-1]) for row in answer.rows)
        if not held:
            yield self.statement("bury", grace=BURIAL)
            return Rescued(0, queues, more=False)
        holding = Counter(job.runner for job in held)
        outcomes = [judge_loss(job, alone=holding[job.runner] == 1) for job in held]
        refused = yield from self._settle(sorted(outcomes, key=_by_id))
        return Rescued(len(held) - len(refused), queues, more=len(holding) == limit)

    def dead_runners(self) -> Plan[int]:
        """See ``Operations.dead_runners``."""

        def steps() -> Steps[int]:
            return _number((yield self.statement("dead_runners")))

        return Plan(steps, writes=False)

    def register(self, runner: bytes, info: RunnerInfo, lease: int) -> Plan[None]:
        """Make the runner known; *lease* in microseconds, where the lease is a row."""

        def steps() -> Steps[None]:
            data = msgspec.json.encode(info)
            yield self.statement("register", runner=self.id_param(runner), info=data, lease=lease)

        return Plan(steps)

    def forget(self, runner: bytes) -> Plan[None]:
        """Make the runner unknown: it holds nothing, so nobody need look for what it held."""

        def steps() -> Steps[None]:
            yield self.statement("forget", runner=self.id_param(runner))

        return Plan(steps)

    def runners(self) -> Plan[Sequence[Runner]]:
        """See ``Operations.runners``."""

        def steps() -> Steps[Sequence[Runner]]:
            answer = yield self.statement("runners")
            return [_runner(row) for row in answer.rows]

        return Plan(steps, writes=False)

    def get(self, id_: bytes) -> Plan[JobInfo | None]:
        """See ``Operations.get``."""

        def steps() -> Steps[JobInfo | None]:
            answer = yield self.statement("get", id=self.id_param(id_))
            return job_info(answer.rows[0]) if answer.rows else None

        return Plan(steps, writes=False)

    def list(
        self, where: JobFilter, *, limit: int, after: bytes | None, direction: Direction
    ) -> Plan[Sequence[JobInfo]]:
        """See ``Operations.list``."""
        place = {} if after is None else {"after": self.id_param(after)}
        return Plan(lambda: list_jobs(self.reading, where, self.params(**place), limit, direction), writes=False)

    def counts(self, where: JobFilter) -> Plan[Counts]:
        """See ``Operations.counts``."""
        return Plan(lambda: count_jobs(self.reading, where, self.params()), writes=False)

    def ahead(self, job: JobInfo, limit: int) -> Plan[int]:
        """See ``Operations.ahead``."""

        def steps() -> Steps[int]:
            after = stored(job.run_after)
            answer = yield self.statement("ahead", queue=job.queue, priority=job.priority, run_after=after, limit=limit)
            return _number(answer)

        return Plan(steps, writes=False)

    def schema(self) -> Plan[int]:
        """See ``Operations.schema``."""

        def steps() -> Steps[int]:
            return _number((yield self.statement("schema")))

        return Plan(steps, writes=False)


def _by_id(outcome: Outcome) -> bytes:
    return outcome.id


def _number(answer: Answer) -> int:
    return cast(int, answer.rows[0][0])


def _runner(row: Row) -> Runner:
    id_, alive, started_at, info = row
    return Runner(
        id=cast(bytes, id_).hex(),
        info=msgspec.json.decode(cast(bytes, info), type=RunnerInfo),
        alive=bool(alive),
        started_at=moment(cast(int, started_at)),
    )


def in_turn(claimed: list[Claimed]) -> list[Claimed]:
    """Claimed jobs in the order in which they are to start."""
    claimed.sort(key=lambda job: (-job.priority, job.run_after))
    return claimed


def id_set(rows: Iterable[Row]) -> frozenset[bytes]:
    """The ids in a one-column answer."""
    return frozenset(cast(bytes, id_) for (id_,) in rows)
