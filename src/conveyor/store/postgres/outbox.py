"""The outbox on PostgreSQL."""

from conveyor.store.outbox import SqlOutbox
from conveyor.store.postgres.plans import PostgresDialect


class PostgresOutbox(PostgresDialect, SqlOutbox):
    """``SqlOutbox`` for PostgreSQL."""

    def __init__(self, target: str) -> None:
        """*target* is what the store calls itself that it is for."""
        self.target = target
