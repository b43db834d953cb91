"""Schedules on Redis; ``store.contract.Schedules`` says what each operation owes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from conveyor.core.schedules import Coming, Edit, Move, Scheduled
from conveyor.plan import Plan, Steps
from conveyor.store.redis.plans import arriving, unhex
from conveyor.store.redis.scripts import Argument, bounded, call, given

Cell = bytes | None


class RedisSchedules:
    """See ``store.contract.Schedules``."""

    def all(self, names: Sequence[str] | None = None) -> Plan[Sequence[Scheduled]]:
        """See ``Schedules.all``."""

        def steps() -> "Steps[Sequence[Scheduled]]":
            asked = ("all",) if names is None else ("named", *names)
            _, _, *rows = cast("list[object]", (yield call("schedules", *asked)).rows[0][0])
            return sorted(_scheduled(cast("list[Cell]", row)) for row in rows)

        return Plan(steps, writes=False)

    def coming(self, limit: int) -> Plan[Coming]:
        """See ``Schedules.coming``."""

        def steps() -> "Steps[Coming]":
            now, soonest, *rows = cast("list[object]", (yield call("schedules", "coming", limit)).rows[0][0])
            due = tuple(_scheduled(cast("list[Cell]", row)) for row in rows)
            return Coming(int(cast(bytes, now)), due, _number(cast(Cell, soonest)))

        return Plan(steps, writes=False)

    def save(self, edits: Sequence[Edit]) -> Plan[frozenset[str]]:
        """See ``Schedules.save``."""

        def steps() -> "Steps[frozenset[str]]":
            saved: set[bytes] = set()
            for part in bounded(edits):
                saved.update(cast("list[bytes]", (yield call("save_schedules", *_flat(map(_edit, part)))).rows[0][0]))
            return frozenset(name.decode() for name in saved)

        return Plan(steps)

    def remove(self, name: str) -> Plan[bool]:
        """See ``Schedules.remove``."""

        def steps() -> "Steps[bool]":
            return bool((yield call("remove_schedule", name)).rows[0][0])

        return Plan(steps)

    def fire(self, moves: Sequence[Move]) -> Plan[Mapping[str, int]]:
        """See ``Schedules.fire``."""
        return Plan(partial(_fire, moves))


def _fire(moves: Sequence[Move]) -> Steps[Mapping[str, int]]:
    flat = cast("list[bytes | int]", (yield call("fire", *_flat(map(_move, moves)))).rows[0][0])
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {cast(bytes, name).decode(): cast(int, jobs) for name, jobs in pairs}


def _edit(edit: Edit) -> tuple[Argument, ...]:
    return (
        edit.name,
        edit.version,
        edit.spec,
        given(edit.declared),
        given(edit.next_at),
        given(edit.paused_at),
        given(edit.times),
        edit.overlap,
    )


def _move(move: Move) -> tuple[Argument, ...]:
    head = (move.name, move.version, move.due, given(move.next_at), move.tick, len(move.jobs))
    return (*head, *_flat(map(arriving, move.jobs)))


def _flat(rows: "map[tuple[Argument, ...]]") -> list[Argument]:
    return [value for row in rows for value in row]


def _scheduled(row: Sequence[Cell]) -> Scheduled:
    name, spec, declared, next_at, tick, fired, paused_at, job, version, created_at, now = row
    return Scheduled(
        (name or b"").decode(),
        (spec or b"").decode(),
        None if declared is None else declared.decode(),
        _number(next_at),
        _number(tick),
        _number(fired) or 0,
        _number(paused_at),
        None if job is None else unhex(job),
        _number(version) or 0,
        _number(created_at) or 0,
        _number(now) or 0,
    )


def _number(cell: Cell) -> int | None:
    return None if cell is None else int(cell)
