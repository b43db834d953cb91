"""Whether a pooler stands between us and the server, told by how it behaves: none says so by itself."""

from collections.abc import Iterator

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from conveyor.core.errors import StoreUnavailable
from conveyor.core.health import Finding, fine, trouble
from conveyor.drivers.postgres import translated
from conveyor.store.postgres.checks.look import Look


def looked(look: Look) -> Iterator[Finding]:
    """Two connections at a time: through a pooler in transaction mode they come to the same process of the server.

    A pooler also gives out process ids of its own, for it cannot tell which process a client will have.
    """
    with look.connect() as first, look.connect() as second, translated(writes=False):
        told = first.info.backend_pid
        before = _process(first)
        try:
            second.execute("BEGIN")
            other = _process(second)
            second.execute("COMMIT")
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError) and "pooling mode" not in str(error):
                raise
            yield of_statements(error)
            return
        after = _process(first)
    yield of_processes(told, before, other, after)


def of_statements(error: Exception) -> Finding:
    """No transaction can be had."""
    text = f"a transaction cannot be begun: {' '.join(str(error).split())}"
    return trouble("pooler", text, "set pool_mode = transaction (or session) in the pooler, and reload it")


def of_processes(told: int, before: int, other: int, after: int) -> Finding:
    """What the ids of the server's processes say: of one connection twice, of the other in between."""
    if other == before or after != before:
        text = "a pooler in transaction mode is in front: connections of ours share the server's processes"
        return fine("pooler", text)
    if told != before:
        text = "something is in front that gives out process ids of its own: a pooler in session mode, it seems"
        return fine("pooler", text)
    return fine("pooler", "none is seen, and each connection has a process of the server to itself")


def _process(connection: Connection[TupleRow]) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is None:
        raise StoreUnavailable("PostgreSQL: no answer to SELECT pg_backend_pid()")
    return int(row[0])
