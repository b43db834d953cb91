"""Whether what is deleted is cleared away: dead rows, and tables and indexes far larger than what is in them."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from conveyor.core.health import Finding, bounded, fine, note, span, trouble
from conveyor.store.postgres.checks.look import Look
from conveyor.store.postgres.checks.server import Setting, asked, turned_on

MIB: Final = 1024 * 1024
DEAD_FEW: Final = 10_000
"""Dead rows that are never worth a word."""
DEAD_MANY: Final = 1_000_000
LATE: Final = 900.0
"""Seconds. Autovacuum looks at each database once a minute, and a queue gives it a reason nearly each time."""
TIMES: Final = 10
"""A table or index is bloated when it is this many times as large as what is in it ..."""
TABLE_SPARE: Final = 512 * MIB
INDEX_SPARE: Final = 256 * MIB
"""... and has this much room to spare: a queue that was once long keeps its room, and uses it again."""
ENTRY: Final = 64
"""Bytes of an entry of our largest index, and more than those of the others."""


class Table(NamedTuple):
    """One of our tables, in the order of ``tables.sql``."""

    name: str
    enabled: bool
    """Whether autovacuum may come."""
    dead: int
    live: int
    trigger: float
    """Dead rows with which autovacuum should come."""
    since: float
    """Seconds since a vacuum ended; -1 when none has."""
    watched: float
    """Seconds for which the server has counted."""
    known: bool
    """Whether *live* is more than a guess."""
    running: bool
    """Whether a vacuum is at work."""
    size: int
    row: float | None
    """Bytes that a row takes; ``None`` where nobody knows."""


class Index(NamedTuple):
    """One of our indexes, in the order of ``indexes.sql``."""

    name: str
    size: int
    entries: int
    known: bool


def looked(look: Look) -> Iterator[Finding]:
    """Settings first: without them the rest means nothing."""
    settings = asked(look)
    found = [_off(name, settings) for name in ("autovacuum", "track_counts") if settings[name].value == "off"]
    tables = [Table._make(row) for row in look.ask("tables")]
    for table in tables:
        found += of_table(table)
    found += [finding for row in look.ask("indexes") if (finding := of_index(Index._make(row))) is not None]
    dead = sum(table.dead for table in tables)
    yield from bounded("vacuum", found) or (
        [fine("vacuum", f"{dead:,} dead rows wait for autovacuum")] if tables else []
    )


def _off(name: str, settings: Mapping[str, Setting]) -> Finding:
    text = f"{name} is off: nobody clears away what is deleted, and tables grow without end"
    return trouble("vacuum", text, turned_on(name, settings))


def of_table(table: Table) -> Iterator[Finding]:
    """Whether autovacuum may come, does come, and leaves a table of a sensible size."""
    if not table.enabled:
        text = f"autovacuum is off for {table.name}: what is deleted there is never cleared away"
        yield trouble("vacuum", text, f"ALTER TABLE {table.name} RESET (autovacuum_enabled)")
    late = table.since if table.since >= 0 else table.watched
    if table.dead > max(DEAD_FEW, 2 * table.trigger) and late > LATE and not table.running:
        text = (
            f"{table.name} has {table.dead:,} dead rows beside {table.live:,} live ones, and autovacuum has not been "
            f"there for {span(timedelta(seconds=late))}"
        )
        fix = f"VACUUM (ANALYZE) {table.name}; then see what else keeps the autovacuum_max_workers busy"
        yield (trouble if table.dead > DEAD_MANY else note)("vacuum", text, fix)
    need = table.live * (table.row or 0)
    if (table.row or not table.live) and table.known and _bloated(table.size, need, TABLE_SPARE):
        text = f"{table.name} takes {_mib(table.size)} for {table.live:,} rows, which need about {_mib(need)}"
        yield note(
            "vacuum", text, f"VACUUM (FULL, ANALYZE) {table.name}; in a quiet hour, for jobs wait until it has ended"
        )


def of_index(index: Index) -> Finding | None:
    """Whether it is far larger than its table's rows need."""
    need = index.entries * ENTRY
    if not index.known or not _bloated(index.size, need, INDEX_SPARE):
        return None
    text = f"{index.name} takes {_mib(index.size)} for {index.entries:,} rows, which need at most {_mib(need)}"
    return note("vacuum", text, f"REINDEX INDEX CONCURRENTLY {index.name}")


def _bloated(size: int, need: float, spare: int) -> bool:
    return size > TIMES * need and size - need > spare


def _mib(size: float) -> str:
    return f"{size / MIB:,.0f} MiB"
