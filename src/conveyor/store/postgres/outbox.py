"""The outbox on PostgreSQL."""

from conveyor.store.outbox import SqlOutbox
from conveyor.store.postgres.plans import PostgresDialect


class PostgresOutbox(PostgresDialect, SqlOutbox):
    """``SqlOutbox`` for PostgreSQL."""
