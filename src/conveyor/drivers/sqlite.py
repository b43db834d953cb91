"""The standard library's ``sqlite3``."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from conveyor.core.errors import SchemaOutdated, StoreClosed, StoreRefused, StoreUnavailable
from conveyor.plan import Answer, Statement

CLOSED: Final = "SQLITE_CONSTRAINT_TRIGGER"
"""The error of our own triggers, where a store is closed to be moved."""


def carry(connection: sqlite3.Connection) -> Callable[[Statement], Answer]:
    """Carries statements over *connection*. Each cursor is read to its end: an unread one keeps the write lock."""

    def execute(statement: Statement) -> Answer:
        if statement.many is not None:
            return Answer((), connection.executemany(statement.text, statement.many).rowcount)
        cursor = connection.execute(statement.text, statement.params)
        rows = cursor.fetchall()
        return Answer(rows, cursor.rowcount)

    return execute


@contextmanager
def translated() -> Generator[None]:
    """Errors of ``sqlite3`` as ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "no such table: conveyor_" in str(error):
            raise SchemaOutdated(f"{error}; run `conveyor migrate`") from error
        raise StoreUnavailable(f"SQLite: {error}") from error
    except (sqlite3.Error, OverflowError) as error:
        if getattr(error, "sqlite_errorname", "") == CLOSED and "conveyor move" in str(error):
            raise StoreClosed(str(error)) from error
        raise StoreRefused(f"SQLite: {error}") from error
