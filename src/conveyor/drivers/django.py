"""Django's connections, lent by the user: the one behind ``django.db.connection``, or ``connections[alias]``."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol, cast

from conveyor.core.errors import ConveyorError, WrongStore
from conveyor.drivers.lent import BlockingLoan, Kind, broken, failed
from conveyor.drivers.placeholders import pyformat
from conveyor.plan import Answer, Statement

_transaction: Any = import_module("django.db.transaction")  # it has no types
_KINDS: Mapping[str, Kind] = {"sqlite": "sqlite", "postgresql": "postgresql"}


class _Cursor(Protocol):
    rowcount: int
    description: object

    def execute(self, sql: str, params: Mapping[str, object]) -> object: ...
    def fetchall(self) -> Sequence[Sequence[object]]: ...


class Wrapper(Protocol):
    """What we use of Django's ``BaseDatabaseWrapper``, which has no types."""

    alias: str
    vendor: str
    connection: object
    autocommit: bool
    settings_dict: Mapping[str, object]
    in_atomic_block: bool
    needs_rollback: bool
    savepoint_ids: Sequence[str]
    run_on_commit: Sequence[tuple[object, ...]]
    """The savepoints in which each was said, and who is to be called."""

    def cursor(self) -> AbstractContextManager[_Cursor]:
        """One that closes itself."""
        ...

    def on_commit(self, func: Callable[[], object]) -> None:
        """Have *func* called after the commit of the transaction, unless what it was said in is rolled back."""
        ...


def resolved(connection: object) -> Wrapper:
    """*connection* itself, or of a proxy the connection of this thread."""
    handler = vars(connection).get("_connections")
    return cast(Wrapper, connection if handler is None else handler[vars(connection)["_alias"]])


class DjangoLoan(BlockingLoan):
    """A connection of Django's, on SQLite or PostgreSQL."""

    writing = """begin it for writing: "OPTIONS": {"transaction_mode": "IMMEDIATE"}, new in Django 5.1"""

    def __init__(self, connection: object) -> None:
        """*connection* stays the user's. A proxy is resolved now, to the connection of this thread."""
        self._connection = resolved(connection)
        self._atomic: AbstractContextManager[object] | None = None
        self._gone = False
        self.name = f"Django's connection {self._connection.alias!r}"
        vendor = self._connection.vendor
        if vendor not in _KINDS:
            raise WrongStore(f"jobs are stored in PostgreSQL or SQLite, and {self.name} is {vendor}; leave out within=")
        self.kind = _KINDS[vendor]

    @property
    def lost(self) -> bool:
        """See ``Loan.lost``. After a failed commit Django has closed by itself what was broken."""
        return self._gone or broken(self._connection.connection)

    def check(self) -> None:
        """See ``Loan.check``."""
        atomic = f"transaction.atomic(using={self._connection.alias!r})"
        if not self._connection.in_atomic_block:
            raise self.refusal("has none any more" if self.begun else "has none", f"wrap the call in {atomic}")
        if self._connection.needs_rollback or failed(self._connection.connection):
            raise self.refusal("is in one that has failed", f"let the error leave its {atomic} block")

    def idle(self) -> None:
        """See ``Loan.idle``."""
        connection = self._connection
        commits = connection.settings_dict["AUTOCOMMIT"] if connection.connection is None else connection.autocommit
        if connection.in_atomic_block:
            raise self.busy("is in an atomic block already", "leave it first")
        if not commits:
            raise self.busy("has autocommit off, so that one is open always", "set AUTOCOMMIT to True")
        if _transaction.get_connection(connection.alias) is not connection:
            raise ConveyorError(
                f"transaction.atomic() would not use {self.name} that was lent; "
                f"lend django.db.connections[{connection.alias!r}], in the thread that uses it"
            )

    def _carry(self, statement: Statement) -> Answer:
        with self._connection.cursor() as cursor:
            cursor.execute(pyformat(statement.text), statement.params)
            rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            return Answer(rows, len(rows) if cursor.description else cursor.rowcount)

    def _begin(self) -> None:
        """A block of Django's own, so that hooks run on commit. On SQLite OPTIONS say how it begins."""
        block = _transaction.atomic(using=self._connection.alias, durable=True)
        block.__enter__()
        self._atomic = block

    def _commit(self) -> None:
        """An error of the user's hook comes out of it, too, although the commit stands."""
        block, self._atomic = self._atomic, None
        raw = self._connection.connection
        if block is not None:
            try:
                block.__exit__(None, None, None)
            except BaseException:
                self._gone = bool(getattr(raw, "closed", False))
                raise

    def _rollback(self) -> None:
        """A block that has failed to commit has rolled back itself."""
        block, self._atomic = self._atomic, None
        if block is not None:
            error = ConveyorError("rolled back")
            block.__exit__(ConveyorError, error, None)
