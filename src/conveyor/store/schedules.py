"""Schedules over SQL; ``store.contract.Schedules`` says what each operation owes."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from conveyor.core.schedules import Coming, Edit, Move, Scheduled
from conveyor.plan import Plan, Ring, Steps
from conveyor.store.arrivals import Given
from conveyor.store.sqlbase import SqlBase


class Ticked(Given):
    """One job of a schedule's, as ``fire.sql`` reads it."""

    schedule: str


class SqlSchedules(SqlBase):
    """The operations that SQLite and PostgreSQL share."""

    def all(self, names: Sequence[str] | None = None) -> Plan[Sequence[Scheduled]]:
        """See ``Schedules.all``."""
        wanted = None if names is None else msgspec.json.encode(names).decode()

        def steps() -> "Steps[Sequence[Scheduled]]":
            answer = yield self.statement("schedules", names=wanted)
            return [Scheduled._make(row) for row in answer.rows]

        return Plan(steps, writes=False)

    def coming(self, limit: int) -> Plan[Coming]:
        """See ``Schedules.coming``."""

        def steps() -> "Steps[Coming]":
            answer = yield self.statement("coming", limit=limit)
            now = cast(int, answer.rows[0][-1])
            found = [Scheduled._make(row) for row in answer.rows if row[0] is not None]
            later = [one.next_at for one in found if not one.spec and one.next_at is not None]
            return Coming(now, tuple(one for one in found if one.spec), min(later, default=None))

        return Plan(steps, writes=False)

    def save(self, edits: Sequence[Edit]) -> Plan[frozenset[str]]:
        """See ``Schedules.save``."""

        def steps() -> "Steps[frozenset[str]]":
            text = msgspec.json.encode([edit._asdict() for edit in edits]).decode()
            answer = yield self.statement("save_schedules", edits=text)
            return frozenset(cast(str, row[0]) for row in answer.rows)

        return Plan(steps, rings=Ring.TICK)

    def remove(self, name: str) -> Plan[bool]:
        """See ``Schedules.remove``."""

        def steps() -> "Steps[bool]":
            return bool((yield self.statement("remove_schedule", schedule=name)).rows)

        return Plan(steps)

    def fire(self, moves: Sequence[Move]) -> Plan[Mapping[str, int]]:
        """See ``Schedules.fire``."""
        return Plan(lambda: self.fired(moves), rings=Ring.WORK)

    @abstractmethod
    def fired(self, moves: Sequence[Move]) -> Steps[Mapping[str, int]]:
        """The steps of ``fire``."""


def given_move(move: Move) -> dict[str, object]:
    """*move* as parameters, but for its jobs."""
    return {
        "name": move.name,
        "version": move.version,
        "due": move.due,
        "next_at": move.next_at,
        "tick": move.tick,
    }
