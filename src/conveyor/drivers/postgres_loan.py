"""psycopg 3, lent by the user, blocking and async."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor, Rollback
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.none import NoneDumper
from psycopg.types.numeric import IntDumper, IntLoader
from psycopg.types.string import StrDumperUnknown, TextLoader

from conveyor.drivers.lent import AsyncLoan, BlockingLoan, Kind, Loan
from conveyor.drivers.postgres import placeholders
from conveyor.drivers.postgres_wire import DEADLINE, UNDOING, limited
from conveyor.plan import Answer, Statement

_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


def _plain(cursor: Cursor[Any] | AsyncCursor[Any]) -> None:
    """Give *cursor* psycopg's own adapters for all that we send and read, whatever its connection has been taught."""
    adapters = cursor.adapters
    adapters.register_dumper(str, StrDumperUnknown)
    adapters.register_dumper(int, IntDumper)
    adapters.register_dumper(type(None), NoneDumper)
    adapters.register_loader("text", TextLoader)
    for kind in ("int2", "int4", "int8"):
        adapters.register_loader(kind, IntLoader)


class _Facts(Loan):
    kind: Kind = "postgresql"

    def __init__(self, connection: Connection[Any] | AsyncConnection[Any]) -> None:
        self._lent = connection

    @property
    def lost(self) -> bool:
        """See ``Loan.lost``."""
        return self._lent.broken

    @property
    def _status(self) -> TransactionStatus:
        return self._lent.info.transaction_status

    def check(self) -> None:
        """See ``Loan.check``."""
        if self._lent.closed:
            raise self.refusal("is closed", "lend an open one")
        if self._lent.pgconn.pipeline_status != PipelineStatus.OFF:
            raise self.refusal("is in pipeline mode, where nobody can tell whether one is", "leave the pipeline first")
        status = self._status
        if status == TransactionStatus.INERROR:
            raise self.refusal("is in one that has failed", "roll it back first")
        if status == TransactionStatus.ACTIVE:
            raise self.refusal("is busy with a statement or COPY", "let it end first")
        if status == TransactionStatus.IDLE and self._lent.autocommit and not self.begun:
            raise self.refusal("is in autocommit", "wrap the call in connection.transaction()")
        if status == TransactionStatus.IDLE and self.begun:
            raise self.refusal("has none any more", "")

    def idle(self) -> None:
        """See ``Loan.idle``."""
        if self._lent.closed:
            raise self.busy("is closed", "lend an open one")
        if self._status != TransactionStatus.IDLE:
            raise self.busy("has one open already", "call its commit() or rollback() first")


class PsycopgLoan(_Facts, BlockingLoan):
    """A ``psycopg.Connection``."""

    name = "psycopg.Connection"

    def __init__(self, connection: Connection[Any]) -> None:
        """*connection* stays the user's."""
        super().__init__(connection)
        self._connection = connection
        self._block: AbstractContextManager[object] | None = None

    def _carry(self, statement: Statement) -> Answer:
        """With a cursor of psycopg's own: the connection's cursor factory is made for the user's statements."""
        with limited(self._connection, DEADLINE), Cursor(self._connection, row_factory=tuple_row) as cursor:
            _plain(cursor)
            cursor.execute(placeholders(statement.text), statement.params, prepare=False)
            return Answer(cursor.fetchall() if cursor.description else (), cursor.rowcount)

    def _begin(self) -> None:
        """As a block of psycopg's: it works in autocommit too, and forbids commit() and rollback() inside."""
        self._block = self._connection.transaction()
        with limited(self._connection, DEADLINE):
            self._block.__enter__()

    def _commit(self) -> None:
        block, self._block = self._block, None
        if block is not None:
            with limited(self._connection, DEADLINE):
                block.__exit__(None, None, None)

    def _rollback(self) -> None:
        """The block knows it best; what it has left open (a block inside of it was not ended, say) goes by hand."""
        block, self._block = self._block, None
        error = Rollback()
        with limited(self._connection, UNDOING):
            if block is not None:
                block.__exit__(Rollback, error, None)
            if self._status in _OPEN:
                self._connection.execute("ROLLBACK")


class AsyncPsycopgLoan(_Facts, AsyncLoan):
    """A ``psycopg.AsyncConnection``; otherwise as ``PsycopgLoan``."""

    name = "psycopg.AsyncConnection"

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        """*connection* stays the user's."""
        super().__init__(connection)
        self._connection = connection
        self._block: AbstractAsyncContextManager[object] | None = None

    async def _carry(self, statement: Statement) -> Answer:
        with limited(self._connection, DEADLINE):
            async with AsyncCursor(self._connection, row_factory=tuple_row) as cursor:
                _plain(cursor)
                await cursor.execute(placeholders(statement.text), statement.params, prepare=False)
                return Answer(await cursor.fetchall() if cursor.description else (), cursor.rowcount)

    async def _begin(self) -> None:
        self._block = self._connection.transaction()
        with limited(self._connection, DEADLINE):
            await self._block.__aenter__()

    async def _commit(self) -> None:
        block, self._block = self._block, None
        if block is not None:
            with limited(self._connection, DEADLINE):
                await block.__aexit__(None, None, None)

    async def _rollback(self) -> None:
        block, self._block = self._block, None
        error = Rollback()
        with limited(self._connection, UNDOING):
            if block is not None:
                await block.__aexit__(Rollback, error, None)
            if self._status in _OPEN:
                await self._connection.execute("ROLLBACK")
