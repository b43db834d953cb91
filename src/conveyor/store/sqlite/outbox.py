"""The outbox on SQLite."""

from conveyor.store.outbox import SqlOutbox
from conveyor.store.sqlite.plans import SqliteDialect


class SqliteOutbox(SqliteDialect, SqlOutbox):
    """``SqlOutbox`` for SQLite."""
