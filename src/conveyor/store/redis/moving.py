"""Moving everything to Redis, or from there; ``store.moving.Moving`` says what each operation owes.

Here it is the scripts themselves that look whether the store is closed.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, cast

import msgspec

from conveyor.core.moving import Mark, Record
from conveyor.core.schedules import Scheduled
from conveyor.plan import Plan, Steps
from conveyor.store.moving import Busy, Over, bounds
from conveyor.store.redis.plans import EACH, text, unhex
from conveyor.store.redis.scripts import MOST, Argument, bounded, call, given

_IDS: Final = frozenset({"id", "runner"})
_BYTES: Final = frozenset({"args", "attempts", "result", "progress"})
_TEXTS: Final = frozenset({"state", "task", "queue", "extras", "unique_key", "cancelled", "fingerprint"})
"""Fields of a record; all others but ``until_start`` hold numbers."""
Cell = bytes | None


class RedisMoving:
    """See ``store.moving.Moving``."""

    def mark(self) -> Plan[Mark | None]:
        """See ``Moving.mark``."""

        def steps() -> "Steps[Mark | None]":
            found = cast(Cell, (yield call("move", "mark")).rows[0][0])
            return None if found is None else msgspec.json.decode(found, type=Mark)

        return Plan(steps, writes=False)

    def close(self, mark: Mark) -> Plan[None]:
        """See ``Moving.close``."""

        def steps() -> "Steps[None]":
            answer = yield call("move", "close", mark.role, mark.told, msgspec.json.encode(mark))
            alive, running = cast("list[int]", answer.rows[0][0])
            if alive or running:
                raise Busy(alive, running)

        return Plan(steps)

    def note(self, mark: Mark) -> Plan[None]:
        """See ``Moving.note``."""
        return Plan(partial(_said, "move", "note", msgspec.json.encode(mark)))

    def known(self, ids: Sequence[bytes]) -> Steps[frozenset[bytes]]:
        """Those of *ids* that there are."""
        found: set[bytes] = set()
        for part in bounded(ids):
            rows = cast("list[bytes]", (yield call("known", *(id_.hex() for id_ in part))).rows[0][0])
            found.update(map(unhex, rows))
        return frozenset(found)

    def open(self) -> Plan[None]:
        """See ``Moving.open``."""
        return Plan(partial(_said, "move", "open"))

    def exported(self, after: bytes | None, limit: int) -> Plan[Sequence[Record]]:
        """See ``Moving.exported``."""
        return Plan(partial(_records, "exported", after.hex() if after else "", min(limit, MOST)), writes=False)

    def found(self, ids: Sequence[bytes]) -> Plan[Sequence[Record]]:
        """See ``Moving.found``."""

        def steps() -> "Steps[Sequence[Record]]":
            found: list[Record] = []
            for part in bounded(sorted(ids)):
                found += yield from _records("found", *(id_.hex() for id_ in part))
            return found

        return Plan(steps, writes=False)

    def imported(self, records: Sequence[Record], source: str | None = None) -> Plan[Mapping[bytes, bytes]]:
        """See ``Moving.imported``."""

        def steps() -> "Steps[Mapping[bytes, bytes]]":
            holders: dict[bytes, bytes] = {}
            for part in bounded(records):
                flat = [value for record in part for value in _fields(record)]
                held = cast("list[bytes] | None", (yield call("imported", source or "", *flat)).rows[0][0])
                if held is None:
                    raise Over
                holders |= {unhex(id_): unhex(holder) for id_, holder in zip(held[::2], held[1::2], strict=True)}
            return holders

        return Plan(steps, patience=len(records) * EACH)

    def restored(self, schedules: Sequence[Scheduled], paused: Mapping[str, int]) -> Plan[None]:
        """See ``Moving.restored``."""

        def steps() -> "Steps[None]":
            for part in bounded(schedules):
                yield call("restored", len(part), *(value for schedule in part for value in _schedule(schedule)))
            for some in bounded(list(paused.items())):
                yield call("restored", 0, *(value for pair in some for value in pair))

        return Plan(steps)

    def dropped(self, ids: Sequence[bytes], schedules: Sequence[str] = ()) -> Plan[None]:
        """See ``Moving.dropped``."""

        def steps() -> "Steps[None]":
            for part in bounded(ids):
                yield call("dropped", len(part), *(id_.hex() for id_ in part))
            for names in bounded(schedules):
                yield call("dropped", 0, *names)

        return Plan(steps)


def _said(name: str, *arguments: Argument) -> Steps[None]:
    yield call(name, *arguments)


def _records(name: str, *arguments: Argument) -> Steps[Sequence[Record]]:
    rows = cast("list[list[Cell]]", (yield call(name, *arguments)).rows[0][0])
    return [Record._make(map(_value, Record._fields, row)) for row in rows]


def _value(field: str, cell: Cell) -> object:
    if field == "until_start":
        return cell is not None
    if cell is None or field in _BYTES:
        return cell
    if field in _IDS:
        return unhex(cell)
    return text(cell) if field in _TEXTS else int(cell)


def _fields(record: Record) -> tuple[Argument, ...]:
    """One job as ``imported.lua`` reads it."""
    until_start = 1 if record.until_start else None
    plain = record._replace(runner=None, until_start=False)._asdict()
    values = plain | {"runner": None if record.runner is None else record.runner.hex(), "until_start": until_start}
    return (record.id.hex(), *(given(cast("Argument | None", values[name])) for name in Record._fields[1:]))


def _schedule(schedule: Scheduled) -> tuple[Argument, ...]:
    """One schedule as ``restored.lua`` reads it."""
    spec = bounds(schedule)
    values: tuple[Argument | None, ...] = (
        schedule.spec,
        schedule.declared,
        schedule.next_at,
        schedule.tick,
        schedule.fired,
        schedule.paused_at,
        None if schedule.job is None else schedule.job.hex(),
        schedule.version,
        schedule.created_at,
        None if spec is None else spec.times,
        "allow" if spec is None else spec.overlap,
    )
    return (schedule.name, *map(given, values))
