"""How jobs come into a store over SQL: over our own connection, or inside a transaction of the user's."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final, cast

import msgspec

from conveyor.core import ids
from conveyor.core.errors import (
    DuplicateJob,
    NotInTransaction,
    SchemaOutdated,
    StoreRefused,
    StoreUnavailable,
    WrongStore,
)
from conveyor.core.model import Completion, NewJob
from conveyor.plan import Plan, Ring, Row, Steps
from conveyor.store.answers import Visit
from conveyor.store.sqlbase import SqlBase, number
from conveyor.store.sqlfiles import migrations

WRITABLE: Final = 1
"""What ``has_tables.sql`` says of tables that are there and may be used."""
READ_ONLY: Final = 3
ROUNDS: Final = 20
"""So often a key was taken and its holder gone when we looked: somebody enqueues and ends such jobs all the time."""
EACH: Final = 0.01
"""Seconds of patience for each job of many: a thin line, or a busy server, needs its time for ten thousand."""

Holders = Mapping[bytes, bytes]


class Given(msgspec.Struct):
    """One job as ``join.sql`` reads it."""

    id: str
    task: str
    queue: str
    priority: int
    due: int
    delay: int
    place: int
    max_attempts: int
    timeout: int | None
    args: str
    expires: int | None
    keep: int | None
    extras: str | None
    unique_key: str | None
    until_start: bool

    @classmethod
    def of(cls, job: NewJob, place: int) -> "Given":
        """*job*, the *place*-th of its call."""
        hold = job.unique
        return cls(
            job.id.hex(),
            job.task,
            job.queue,
            job.priority,
            job.due,
            job.delay,
            place,
            job.max_attempts,
            job.timeout,
            job.args.decode(),
            job.expires,
            job.keep,
            job.extras,
            hold.key if hold else None,
            hold is not None and hold.until_start,
        )


class Arrivals(SqlBase):
    """The operations by which jobs arrive; ``store.contract.Operations`` says what each owes."""

    @abstractmethod
    def insert(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        """Carry *jobs* through the statement *name*."""

    @abstractmethod
    def delete_finished(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """Delete those of *jobs* from the hot table that history knows."""

    @abstractmethod
    def take_turns(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """Wait for all calls of several jobs that want a unique key of *jobs* as well, until their commit."""

    @abstractmethod
    def rows_param(self, jobs: Sequence[NewJob]) -> dict[str, object]:
        """All of *jobs* as parameters that the user's libraries carry."""

    def enqueue(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """See ``Operations.enqueue``. One statement, unless some of *jobs* are unique."""
        several = len(jobs) > 1 and any(job.unique for job in jobs)
        steps = partial(self._enqueue, "enqueue", jobs, several=several)
        return Plan(steps, atomic=several, rings=Ring.WORK, steady=True, patience=len(jobs) * EACH)

    def repeat_enqueue(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """See ``Operations.repeat_enqueue``.

        Two statements, each with a snapshot of its own. One could not be right: the job may have moved to history
        after the statement's snapshot was taken and before its insert met no conflict.
        """

        def steps() -> "Steps[Holders]":
            known = yield from self._known([job for job in jobs if job.unique])
            left = [job for job in jobs if job.id not in known]
            holders = yield from self._enqueue("repeat_insert", left, several=True)
            if left:
                yield from self.delete_finished(left)
            return holders

        return Plan(steps, atomic=True, rings=Ring.WORK, patience=len(jobs) * EACH)

    def holder(self, key: str) -> Plan[bytes | None]:
        """See ``Operations.holder``."""

        def steps() -> "Steps[bytes | None]":
            return (yield from self._holders([key])).get(key)

        return Plan(steps, writes=False)

    def _known(self, jobs: Sequence[NewJob]) -> Steps[frozenset[bytes]]:
        """Those of *jobs* that an earlier enqueue has stored, wherever they are now."""
        known: set[bytes] = set()
        for job in jobs:
            if (yield self.statement("known", id=self.id_param(job.id))).rows:
                known.add(job.id)
        return frozenset(known)

    def _enqueue(self, name: str, jobs: Sequence[NewJob], *, several: bool) -> Steps[Holders]:
        """In one statement, whether unique or not: each statement has its own clock, and order is told by time.

        *several*: the transaction has several statements, and so may hold one key while it waits for another.
        """
        if any(job.unique for job in jobs):
            if several:
                yield from self.take_turns(jobs)
            return (yield from self._placed(jobs, always=False))
        if jobs:
            yield from self.insert(name, jobs)
        return {}

    def arrive(self) -> Steps[None]:
        """What a transaction that will write must do before it reads anything."""
        yield from ()

    def visit(self, visit: Visit) -> Plan[str]:
        """See ``Operations.visit``. Nothing is asked that could fail and doom the user's transaction."""

        def steps() -> "Steps[str]":
            yield from self.arrive()
            ((there, first),) = (yield self.statement("has_tables")).rows
            if not there:
                raise WrongStore(
                    f"{visit.name} cannot see Conveyor's tables: it is connected to another database, schema or file "
                    f"than {visit.url}, or `conveyor migrate` has not been run"
                )
            if there == READ_ONLY:
                raise NotInTransaction(
                    f"{visit.name} is in a read-only transaction, on a replica perhaps; lend one that may write, or "
                    "leave out within="
                )
            if there != WRITABLE:
                raise StoreRefused(
                    f"{visit.name} may not enqueue: its role needs SELECT and INSERT on conveyor_job, and SELECT on "
                    "conveyor_meta, conveyor_migration and the sequence conveyor_bell"
                )
            rows: Sequence[Row] = (yield self.statement("identity")).rows
            identity, schema, second, isolation = rows[0] if rows else ("", 0, first, "")
            if identity != visit.identity:
                raise WrongStore(
                    f"{visit.name} is connected to the store {identity}, and this app's is {visit.identity} "
                    f"({visit.url}); lend a connection to that database, schema or file"
                )
            if cast(int, schema) < migrations(self.folder)[-1][0]:
                raise SchemaOutdated(f"the store is at migration {schema}; run `conveyor migrate`")
            if first != second:
                raise NotInTransaction(
                    f"{visit.name} is in autocommit: two statements were two transactions; begin one, or leave out "
                    "within="
                )
            return cast(str, isolation)

        return Plan(steps, writes=False)

    def join(self, jobs: Sequence[NewJob]) -> Plan[Holders]:
        """See ``Operations.join``."""
        return Plan(partial(self._placed, jobs, always=True))

    def _placed(self, jobs: Sequence[NewJob], *, always: bool) -> Steps[Holders]:
        """Insert *jobs*; for those whose key is taken, find who holds it.

        Two statements, and so not of one moment: a holder may end in between. Then the key may be free, and the
        insert is tried again. *always*: workers are told at the commit, whether or not one has asked for it.

        What was not inserted and has no key, or holds its key itself, was stored by an earlier try.
        """
        holders: dict[bytes, bytes] = {}
        stored: set[bytes] = set()
        left = jobs
        for _ in range(ROUNDS):
            rows: Sequence[Row] = (yield self.statement("join", always=int(always), **self.rows_param(left))).rows
            stored |= {bytes.fromhex(cast(str, row[0])) for row in rows}
            left = [job for job in left if job.unique and job.id not in stored]
            found = (yield from self._found(left)) if left else {}
            holders |= {job.id: found[_key(job)] for job in left if _key(job) in found}
            left = [job for job in left if job.id not in holders]
            if not left:
                others = {id_: holder for id_, holder in holders.items() if id_ != holder}
                left = yield from self._settle_conflicts(jobs, others, stored, always=always)
                if not left:
                    return others
                holders = {id_: holder for id_, holder in holders.items() if id_ not in {job.id for job in left}}
        raise StoreUnavailable(
            f"the unique key {left[0].unique!r} was taken {ROUNDS} times, and its holder gone each time; try again"
        )

    def _found(self, jobs: Sequence[NewJob]) -> Steps[dict[str, bytes]]:
        return (yield from self._holders([_key(job) for job in jobs]))

    def _holders(self, keys: Sequence[str]) -> Steps[dict[str, bytes]]:
        rows: Sequence[Row] = (yield self.statement("holders", keys=msgspec.json.encode(keys).decode())).rows
        return {cast(str, key): bytes.fromhex(cast(str, id_)) for key, id_ in rows}

    def _settle_conflicts(
        self, jobs: Sequence[NewJob], holders: Holders, stored: Collection[bytes], *, always: bool
    ) -> Steps[Sequence[NewJob]]:
        """What the second job of a key does: nothing, take the place of the first, or refuse the whole call.

        Gives those that were to take a place which nobody has any more: to drop them would lose their arguments.
        """
        second = [job for job in jobs if job.id in holders and job.unique]
        refused = next((job for job in second if job.unique and job.unique.on_conflict == "raise"), None)
        if refused is not None:
            if stored:
                yield self.statement("withdraw", **self.id_texts(sorted(stored)))
            holder = ids.text(holders[refused.id])
            raise DuplicateJob(f"job {holder} of {refused.task} holds this unique key already", holder)
        replacing = {_key(job): job for job in second if job.unique and job.unique.on_conflict == "replace"}
        if not replacing:
            return []
        done = yield self.statement("replace", always=int(always), **self.rows_param(list(replacing.values())))
        replaced = {bytes.fromhex(cast(str, row[0])) for row in done.rows}
        missed = [job for job in replacing.values() if holders[job.id] not in replaced]
        found = (yield from self._found(missed)) if missed else {}
        free = {_key(job) for job in missed if found.get(_key(job)) != holders[job.id]}
        return [job for job in second if _key(job) in free]

    @abstractmethod
    def id_texts(self, given: Sequence[bytes]) -> dict[str, object]:
        """Ids as parameters that the user's libraries carry."""

    def complete(self, done: Completion) -> Plan[bool]:
        """See ``Operations.complete``."""

        def steps() -> "Steps[bool]":
            key = {"id": self.plain_id(done.id), "token": done.token, "runner": self.plain_id(done.runner)}
            texts = {
                "result": done.result and done.result.decode(),
                "progress": done.progress and done.progress.decode(),
                "record": done.record and done.record.decode(),
            }
            return (yield from self.complete_steps(key, texts))

        return Plan(steps)

    @abstractmethod
    def complete_steps(self, key: Mapping[str, object], texts: Mapping[str, object]) -> Steps[bool]:
        """Move the job of *key* to history; whether it was still the runner's."""

    def confirm(self, id_: bytes, token: int) -> Plan[bool]:
        """See ``Operations.confirm``: first wait for whoever is ending the job, then look."""

        def steps() -> "Steps[bool]":
            yield self.statement("hold_job", id=self.id_param(id_))
            return number((yield self.statement("was_ended", id=self.id_param(id_), token=token))) > 0

        return Plan(steps, atomic=True)


def _key(job: NewJob) -> str:
    return job.unique.key if job.unique else ""
