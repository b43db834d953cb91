"""How the doctor asks a server: each question is a file of SQL beside this one, and none may take long."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Self

from psycopg import Connection
from psycopg.rows import TupleRow

from conveyor.core.health import Finding
from conveyor.drivers.postgres import carry, translated
from conveyor.plan import Row, Statement
from conveyor.store import sqlfiles

COMMITS: Final = 5
FOLDER: Final = "postgres/checks"
_LIMITS: Final = Statement(
    "SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '1s', true)", {}
)
"""A doctor that waits behind the trouble is no help. For the transaction only: behind a pooler the session is not ours.
"""


class Look:
    """A connection of the doctor's own, made at the first question and again when it is lost."""

    def __init__(self, connect: Callable[[], Connection[TupleRow]]) -> None:
        """Connects to nothing yet."""
        self.connect = connect
        self._kept: Connection[TupleRow] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()

    def ask(self, name: str, **params: object) -> Sequence[Row]:
        """The rows that the statement in ``<name>.sql`` gives. Raises as ``Store.run`` does."""
        connection = self._connection()
        with translated(writes=False), connection.transaction():
            execute = carry(connection)
            execute(_LIMITS)
            return execute(Statement(sqlfiles.sql(FOLDER, name), params)).rows

    def commit_seconds(self) -> float:
        """How long the quickest of a few commits took; each uses up a transaction's number, and leaves no row."""
        with translated(writes=False):
            return min(_commit_seconds(self._connection()) for _ in range(COMMITS))

    def _connection(self) -> Connection[TupleRow]:
        if self._kept is None or self._kept.closed:
            self._kept = self.connect()
        return self._kept


def _commit_seconds(connection: Connection[TupleRow]) -> float:
    begun = time.perf_counter()
    connection.execute("SELECT pg_current_xact_id()")
    return time.perf_counter() - begun


Check = Callable[[Look], Iterable[Finding]]
"""Looks at one thing. It raises a ``ConveyorError`` when that cannot be done, and gives nothing where it means nothing.
"""
