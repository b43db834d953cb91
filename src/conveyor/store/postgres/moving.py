"""Moving everything to PostgreSQL, or from there."""

from collections.abc import Sequence
from typing import Final

from conveyor.core.moving import Mark, Record
from conveyor.plan import Column, Steps
from conveyor.store.moving import GUARDED, SqlMoving
from conveyor.store.postgres.plans import PostgresDialect
from conveyor.store.sqlfiles import sql

LOCK_WAIT: Final = 3_000
"""Milliseconds to wait for those who use a table, while all who come after wait as long."""
_KINDS: Final = {"id": "uuid", "runner": "uuid", "priority": "int2", "attempt": "int2"} | {
    **dict.fromkeys(("max_attempts", "crashes", "until_start"), "int2"),
    **dict.fromkeys(("state", "task", "queue", "extras", "unique_key", "cancelled", "fingerprint"), "text"),
    **dict.fromkeys(("args", "attempts", "result", "progress"), "bytea"),
}
"""Of the columns of a record that are no ``int8``."""


class PostgresMoving(PostgresDialect, SqlMoving):
    """``SqlMoving`` for PostgreSQL. Who closes a store or opens it needs the rights of ``conveyor migrate``."""

    def guards(self, mark: Mark) -> Sequence[str]:
        """See ``SqlMoving.guards``.

        A target's jobs are guarded row by row: a repeated enqueue deletes what has ended, which is nothing as a rule.
        """
        told = mark.told.replace("'", "''")
        made = [
            f"CREATE OR REPLACE TRIGGER conveyor_closed BEFORE {' OR '.join(acts)} ON {_TABLES.get(table, table)} "
            f"FOR EACH {'ROW' if (mark.role, table) == ('target', 'conveyor_job') else 'STATEMENT'} "
            f"EXECUTE FUNCTION conveyor_closed('{told}')"
            for table, acts in GUARDED[mark.role].items()
        ]
        return [_PATIENCE, sql(self.folder, "closed"), *made]

    def unguards(self) -> Sequence[str]:
        """See ``SqlMoving.unguards``."""
        tables = [_TABLES.get(table, table) for table in GUARDED["source"]]
        dropped = [f"DROP TRIGGER IF EXISTS conveyor_closed ON {table}" for table in tables]
        return [_PATIENCE, *dropped, "DROP FUNCTION IF EXISTS conveyor_closed()"]

    def lift(self, mark: Mark | None) -> Steps[None]:  # noqa: ARG002 - as the other dialect's
        """See ``SqlMoving.lift``."""
        yield self.statement("moving", moving="on")

    def lower(self, mark: Mark | None) -> Steps[None]:  # noqa: ARG002 - as the other dialect's
        """See ``SqlMoving.lower``: the end of the transaction would do it too."""
        yield self.statement("moving", moving="")

    def inserted(self, name: str, records: Sequence[Record]) -> Steps[None]:
        """See ``SqlMoving.inserted``."""
        columns = zip(Record._fields, zip(*records, strict=True), strict=True)
        yield self.statement(name, **{field: Column(_KINDS.get(field, "int8"), cells) for field, cells in columns})


_PATIENCE: Final = f"SELECT set_config('lock_timeout', '{LOCK_WAIT}', true)"
_TABLES: Final = {"conveyor_history": "conveyor_past"}
"""What is called so is a view of it."""
