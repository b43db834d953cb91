"""The outbox on SQLite."""

from conveyor.core.clock import Clock
from conveyor.store.outbox import SqlOutbox
from conveyor.store.sqlite.plans import SqliteDialect


class SqliteOutbox(SqliteDialect, SqlOutbox):
    """``SqlOutbox`` for SQLite."""

    def __init__(self, target: str, clock: Clock) -> None:
        """*target* is what the store calls itself that it is for."""
        super().__init__(clock)
        self.target = target
