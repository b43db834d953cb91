"""psycopg 3, blocking and async."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, Connection, errors, pq
from psycopg.adapt import Dumper, PyFormat
from psycopg.rows import TupleRow

from conveyor.core.errors import (
    HeldElsewhere,
    OutcomeUnknown,
    SchemaOutdated,
    StoreClosed,
    StoreRefused,
    StoreUnavailable,
)
from conveyor.drivers.placeholders import pyformat
from conveyor.plan import Answer, Column, Statement

if TYPE_CHECKING:
    from psycopg.abc import DumperKey

_LENGTH = Struct("!i")
_HEADER = Struct("!iiIii")
_INTEGERS = {"int2": Struct("!ih"), "int8": Struct("!iq")}
_ELEMENT = {"uuid": 2950, "text": 25, "int2": 21, "int8": 20, "bytea": 17}
_ARRAY = {"uuid": 2951, "text": 1009, "int2": 1005, "int8": 1016, "bytea": 1001}
_MARK = {"uuid": UUID, "text": str, "int2": bool, "int8": int, "bytea": bytes}
"""psycopg tells dumpers apart by types only: one for each kind, whichever."""
_NULL = _LENGTH.pack(-1)
_UUID = _LENGTH.pack(16)


def adapt(connection: Connection[TupleRow] | AsyncConnection[TupleRow]) -> None:
    """Teach a connection of ours to send a ``Column``."""
    connection.adapters.register_dumper(Column, ColumnDumper)


def carry(connection: Connection[TupleRow]) -> Callable[[Statement], Answer]:
    """Carries statements over a blocking *connection*."""

    def execute(statement: Statement) -> Answer:
        with connection.cursor(binary=True) as cursor:
            cursor.execute(placeholders(statement.text), statement.params, prepare=statement.steady)
            return Answer(cursor.fetchall() if cursor.description else (), cursor.rowcount)

    return execute


def acarry(connection: AsyncConnection[TupleRow]) -> Callable[[Statement], Awaitable[Answer]]:
    """Carries statements over an async *connection*."""

    async def execute(statement: Statement) -> Answer:
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(placeholders(statement.text), statement.params, prepare=statement.steady)
            return Answer(await cursor.fetchall() if cursor.description else (), cursor.rowcount)

    return execute


CLOSED: Final = "CV001"
"""The SQLSTATE of our own triggers, where a store is closed to be moved."""
STALE: Final = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)
"""A statement was planned for tables that have changed, or is not known any more; it was not carried out."""


class Collided(StoreUnavailable):
    """The server took a transaction back, whole, because it stood in another one's way: it may be tried again."""


@contextmanager
def translated(*, writes: bool) -> Generator[None]:
    """Errors of psycopg as ours. After a lost connection nobody knows what became of a write."""
    try:
        yield
    except (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn) as error:
        raise SchemaOutdated(f"{error.diag.message_primary}; run `conveyor migrate`") from error
    except (errors.DeadlockDetected, errors.SerializationFailure, *STALE) as error:
        raise Collided(f"PostgreSQL: {_one_line(error)}") from error
    except errors.LockNotAvailable as error:
        raise HeldElsewhere(
            f"another transaction has held for too long what this had to wait for, and nothing was done: "
            f"PostgreSQL: {_one_line(error)}"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
        kind = OutcomeUnknown if writes else StoreUnavailable
        raise kind(f"PostgreSQL: {_one_line(error)}") from error
    except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as error:
        raise StoreRefused(f"PostgreSQL: {_one_line(error)}") from error
    except psycopg.Error as error:
        if error.sqlstate == CLOSED:
            raise StoreClosed(str(error.diag.message_primary)) from error
        # No value's fault: a right is missing, the server is read-only, a trigger of somebody's objects.
        raise StoreUnavailable(f"PostgreSQL: {_one_line(error)}") from error


def unreachable(error: Exception) -> StoreUnavailable:
    """A failed attempt to connect, as ours."""
    return StoreUnavailable(f"PostgreSQL cannot be reached, check its URL: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@cache
def placeholders(text: str) -> bytes:
    """*text* as psycopg wants it: its types allow a computed text as bytes only."""
    return pyformat(text).encode()


class ColumnDumper(Dumper):
    """A ``Column`` in PostgreSQL's binary array form.

    psycopg's own lists go element by element through a dumper each; this is several times quicker for the few
    element types that we send.
    """

    format = pq.Format.BINARY

    def __init__(self, cls: type, context: Any = None, kind: str = "text") -> None:
        """Psycopg makes one for each *kind* and cursor."""
        super().__init__(cls, context)
        self.kind = kind
        self.oid = _ARRAY[kind]

    def get_key(self, obj: Column, format: PyFormat) -> "DumperKey":  # noqa: A002, ARG002 - psycopg's signature
        """One dumper for each element type."""
        return (self.cls, _MARK[obj.kind])

    def upgrade(self, obj: Column, format: PyFormat) -> "ColumnDumper":  # noqa: A002, ARG002 - psycopg's signature
        """The dumper for the element type of *obj*."""
        return self if obj.kind == self.kind else ColumnDumper(self.cls, None, obj.kind)

    def dump(self, obj: Column) -> bytes:
        """Header, then each value behind its length."""
        values = obj.values
        if not values:
            return _HEADER.pack(0, 0, _ELEMENT[self.kind], 0, 0)[:12]
        has_null = None in values
        header = _HEADER.pack(1, int(has_null), _ELEMENT[self.kind], len(values), 1)
        if values.count(values[0]) == len(values):  # as most columns are: one queue, one task, no result
            return header + b"".join(self._cells(values[:1])) * len(values)
        if self.kind == "uuid" and not has_null:
            return header + _UUID + _UUID.join(cast("Sequence[bytes]", values))
        return header + b"".join(self._cells(values))

    def _cells(self, values: Any) -> list[bytes]:
        integer = _INTEGERS.get(self.kind)
        if integer is not None:
            size = integer.size - _LENGTH.size
            pack = integer.pack
            return [_NULL if value is None else pack(size, value) for value in values]
        if self.kind == "text":
            values = [None if value is None else value.encode() for value in values]
        length = _LENGTH.pack
        return [_NULL if value is None else length(len(value)) + value for value in values]
