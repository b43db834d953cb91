"""How all that a store has comes into another one: what each store owes for that, and how the two on SQL do it.

A store that is *closed* refuses to register runners, so that nothing can be claimed in it: a claim needs a lease, and
one that is lost stays lost. A source refuses every other change as well; a target lets jobs be enqueued, and refuses
what would change or delete jobs, or change schedules. On SQL these are triggers, made when the store is closed and
dropped when it opens: they are there for all programs and transactions of the user's, of whatever version, and cost
nothing before and after. To make one waits until all transactions that have written by then are over.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol, cast

import msgspec

from conveyor.core.errors import UsageError
from conveyor.core.moving import Mark, Record
from conveyor.core.schedules import Scheduled, Spec, read_spec
from conveyor.plan import Plan, Row, Statement, Steps
from conveyor.store.sqlbase import SqlBase, number
from conveyor.store.sqlfiles import sql

GUARDED: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "source": {
        "conveyor_job": ("INSERT", "UPDATE", "DELETE"),
        "conveyor_history": ("INSERT", "UPDATE", "DELETE"),
        "conveyor_schedule": ("INSERT", "UPDATE", "DELETE"),
        "conveyor_queue": ("INSERT", "UPDATE", "DELETE"),
        "conveyor_runner": ("INSERT",),
    },
    "target": {
        "conveyor_job": ("UPDATE", "DELETE"),
        "conveyor_history": ("UPDATE", "DELETE"),
        "conveyor_schedule": ("INSERT", "UPDATE", "DELETE"),
        "conveyor_runner": ("INSERT",),
    },
}
"""What is refused, by the role of the store in the move."""

EACH: Final = 0.01
"""Seconds of patience for each job of many,"""
PATIENCE: Final = 20.0
"""and for what waits for others to end their transactions."""


class Busy(UsageError):
    """The store was not closed: workers live, or jobs run. Nothing was changed."""

    def __init__(self, runners: int, jobs: int) -> None:
        """How many."""
        self.runners, self.jobs = runners, jobs
        super().__init__(f"{runners} runners live there, and {jobs} jobs run: stop the workers first")


class Over(UsageError):
    """The store is not being filled any more from where the jobs come. Nothing was stored."""

    def __init__(self) -> None:
        """Of one that was, a moment ago."""
        super().__init__("another command has ended this move, or undone it: there is nothing left to do here")


class Moving(Protocol):
    """The operations by which everything is moved from one store to another one."""

    def mark(self) -> Plan[Mark | None]:
        """What the store has written down of the move that it is part of; ``None`` for a store that is open.

        A store in several parts, only some of which are closed, says so with ``Mark.partly``.
        """
        ...

    def close(self, mark: Mark) -> Plan[None]:
        """The store is closed, as ``Mark.role`` wants it; from now on it tells others so with ``StoreClosed``.

        Raises ``Busy``, with nothing changed, while a runner lives, or while jobs run in a source. A store that is
        closed already gets the new *mark*.
        """
        ...

    def note(self, mark: Mark) -> Plan[None]:
        """The closed store's mark is this one; it stays closed as it is. An open one stays open, without a mark.

        Raises ``Over`` when only some parts of it are closed.
        """
        ...

    def open(self) -> Plan[None]:
        """The store is open, and has no mark."""
        ...

    def exported(self, after: bytes | None, limit: int) -> Plan[Sequence[Record]]:
        """Jobs behind *after*, in the order of ids, whatever their state: *limit* or fewer; none at the end."""
        ...

    def found(self, ids: Sequence[bytes]) -> Plan[Sequence[Record]]:
        """Those of *ids* that there are, in the order of their ids."""
        ...

    def imported(self, records: Sequence[Record], source: str | None = None) -> Plan[Mapping[bytes, bytes]]:
        """Each of *records* is a job of this store, as it was in the other; also where this store is closed to others.

        With *source*, the id of a store, only while this one is closed to be filled from there; raises ``Over`` else.

        One whose id is known here, in whatever state, is passed over: to repeat a call is no harm. One that waits, and
        whose unique key another unfinished job holds, is not stored: the answer gives the holder's id by its own, or
        nothing when the holder has ended meanwhile.
        """
        ...

    def restored(self, schedules: Sequence[Scheduled], paused: Mapping[str, int]) -> Plan[None]:
        """There are these schedules, and these queues are paused since then; those that are known stay as they are."""
        ...

    def dropped(self, ids: Sequence[bytes], schedules: Sequence[str] = ()) -> Plan[None]:
        """There are no such jobs, and no such schedules any more; also where this store is closed to others."""
        ...


def bounds(schedule: Scheduled) -> Spec | None:
    """What the stores keep of a schedule beside its ``Spec``; ``None`` when somebody has spoilt that."""
    try:
        return read_spec(schedule.spec)
    except ValueError:
        return None


class SqlMoving(SqlBase):
    """The operations that SQLite and PostgreSQL share."""

    @abstractmethod
    def guards(self, mark: Mark) -> Sequence[str]:
        """The statements that close the store."""

    @abstractmethod
    def unguards(self) -> Sequence[str]:
        """The statements that open it, whatever closes it."""

    @abstractmethod
    def lift(self, mark: Mark | None) -> Steps[None]:
        """The rest of the transaction may do what is refused to others, as *mark* says, until ``lower``."""

    @abstractmethod
    def lower(self, mark: Mark | None) -> Steps[None]:
        """It is refused again."""

    @abstractmethod
    def inserted(self, name: str, records: Sequence[Record]) -> Steps[None]:
        """Carry *records* through the statement *name*, which passes over those that meet a conflict."""

    def mark(self) -> Plan[Mark | None]:
        """See ``Moving.mark``."""
        return Plan(self._mark, writes=False)

    def _mark(self, name: str = "mark") -> Steps[Mark | None]:
        rows: Sequence[Row] = (yield self.statement(name)).rows
        return msgspec.json.decode(cast(str, rows[0][0]), type=Mark) if rows else None

    def close(self, mark: Mark) -> Plan[None]:
        """See ``Moving.close``."""

        def steps() -> "Steps[None]":
            for text in self.guards(mark):
                yield Statement(text, {})
            alive = number((yield self.statement("alive_runners")))
            running = number((yield self.statement("running_jobs"))) if mark.role == "source" else 0
            if alive or running:
                raise Busy(alive, running)
            yield self.statement("set_mark", mark=msgspec.json.encode(mark).decode())

        return Plan(steps, atomic=True, patience=PATIENCE)

    def note(self, mark: Mark) -> Plan[None]:
        """See ``Moving.note``."""

        def steps() -> "Steps[None]":
            yield self.statement("note_mark", mark=msgspec.json.encode(mark).decode())

        return Plan(steps)

    def open(self) -> Plan[None]:
        """See ``Moving.open``."""

        def steps() -> "Steps[None]":
            for text in self.unguards():
                yield Statement(text, {})
            yield self.statement("unmark")

        return Plan(steps, atomic=True, patience=PATIENCE)

    def exported(self, after: bytes | None, limit: int) -> Plan[Sequence[Record]]:
        """See ``Moving.exported``."""
        where = "1 = 1" if after is None else "id > :after"
        behind = {} if after is None else {"after": self.id_param(after)}
        return Plan(lambda: self._records(where, limit=limit, **behind), writes=False)

    def found(self, ids: Sequence[bytes]) -> Plan[Sequence[Record]]:
        """See ``Moving.found``."""
        return Plan(partial(self._found, ids), writes=False)

    def _found(self, ids: Sequence[bytes]) -> Steps[Sequence[Record]]:
        where = self.reading.id_list.format("id")
        return (yield from self._records(where, limit=len(ids), **self.id_list(ids)))

    def _records(self, where: str, **params: object) -> Steps[Sequence[Record]]:
        text = sql(self.folder, "exported").replace("{where}", where)
        rows: Sequence[Row] = (yield Statement(text, params)).rows
        return [Record._make((*row[:-1], bool(row[-1]))) for row in rows]

    def imported(self, records: Sequence[Record], source: str | None = None) -> Plan[Mapping[bytes, bytes]]:
        """See ``Moving.imported``. The mark is kept from being deleted until this has ended."""

        def steps() -> "Steps[Mapping[bytes, bytes]]":
            mark = yield from self._mark("mark_held")
            if source is not None and (mark is None or mark.role != "target" or mark.other != source):
                raise Over
            return (yield from self._imported(records))

        return Plan(steps, atomic=True, patience=len(records) * EACH)

    def _imported(self, records: Sequence[Record]) -> Steps[Mapping[bytes, bytes]]:
        known = yield from self._known(records)
        left = [record for record in records if record.id not in known]
        ended, waiting = [one for one in left if one.ended], [one for one in left if not one.ended]
        if ended:
            yield from self.inserted("restore_ended", ended)
        if waiting:
            yield from self.inserted("restore_jobs", waiting)
        stored = yield from self._known(waiting)
        held = [one for one in waiting if one.id not in stored]
        if not held:
            return {}
        keys = msgspec.json.encode([one.unique_key for one in held]).decode()
        rows: Sequence[Row] = (yield self.statement("holders", keys=keys)).rows
        holders = {key: bytes.fromhex(cast(str, id_)) for key, id_ in rows}
        return {one.id: holders.get(one.unique_key, b"") for one in held}

    def _known(self, records: Sequence[Record]) -> Steps[frozenset[bytes]]:
        if not records:
            return frozenset()
        text = sql(self.folder, "known_ids").replace("{where}", self.reading.id_list.format("id"))
        rows = (yield Statement(text, self.id_list([record.id for record in records]))).rows
        return frozenset(cast(bytes, id_) for (id_,) in rows)

    def restored(self, schedules: Sequence[Scheduled], paused: Mapping[str, int]) -> Plan[None]:
        """See ``Moving.restored``."""

        def steps() -> "Steps[None]":
            for schedule in schedules:
                spec = bounds(schedule)
                more = {
                    "job": None if schedule.job is None else self.id_param(schedule.job),
                    "times": None if spec is None else spec.times,
                    "overlap": "allow" if spec is None else spec.overlap,
                }
                yield Statement(sql(self.folder, "restore_schedule"), schedule._asdict() | more)
            for queue, since in paused.items():
                yield self.statement("restore_pause", queue=queue, since=since)

        return self._past(steps)

    def dropped(self, ids: Sequence[bytes], schedules: Sequence[str] = ()) -> Plan[None]:
        """See ``Moving.dropped``."""

        def steps() -> "Steps[None]":
            for table in ("conveyor_job", "conveyor_history") if ids else ():
                where = self.reading.id_list.format("id")
                yield Statement(f"DELETE FROM {table} WHERE {where}", self.id_list(ids))  # noqa: S608 - texts of ours
            for name in schedules:
                yield self.statement("remove_schedule", schedule=name)

        return self._past(steps)

    def _past(self, steps: Callable[[], Steps[None]]) -> Plan[None]:
        def past() -> Steps[None]:
            mark = yield from self._mark()
            yield from self.lift(mark)
            yield from steps()
            yield from self.lower(mark)

        return Plan(past, atomic=True, patience=PATIENCE)
