"""asyncpg, lent by the user: a connection, or a pool's proxy of one. It has no types of its own, so we say ours."""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from conveyor.drivers.lent import AsyncLoan, Kind
from conveyor.drivers.placeholders import numbered
from conveyor.plan import Answer, Statement

_RECORD: type = import_module("asyncpg").Record
"""The user's own kind of record may iterate as it likes."""
_RELEASED: type[Exception] = import_module("asyncpg").InterfaceError
"""What a pool's proxy of a connection raises once it was given back."""


class _Transaction(Protocol):
    async def start(self) -> None: ...
    async def commit(self) -> None: ...
    async def rollback(self) -> None: ...


class _Prepared(Protocol):
    async def fetch(self, *args: object) -> Sequence[Sequence[object]]: ...
    def get_attributes(self) -> Sequence[object]: ...
    def get_statusmsg(self) -> str: ...


class _Connection(Protocol):
    def is_closed(self) -> bool: ...
    def is_in_transaction(self) -> bool: ...
    def transaction(self) -> _Transaction: ...
    async def prepare(self, query: str, *, name: str, record_class: type) -> _Prepared: ...
    async def execute(self, query: str) -> str: ...


class AsyncpgLoan(AsyncLoan):
    """An ``asyncpg.Connection``, or what ``pool.acquire()`` gives.

    It does not say whether its transaction has failed; then the first statement does.
    """

    name = "asyncpg.Connection"
    kind: Kind = "postgresql"

    def __init__(self, connection: object) -> None:
        """*connection* stays the user's."""
        self._connection = cast(_Connection, connection)
        self._transaction: _Transaction | None = None

    @property
    def lost(self) -> bool:
        """See ``Loan.lost``. Not told apart from one that was closed."""
        try:
            return self._connection.is_closed()
        except _RELEASED:
            return False

    def check(self) -> None:
        """See ``Loan.check``."""
        if self._connection.is_closed():
            raise self.refusal("is closed", "lend an open one")
        if not self._connection.is_in_transaction():
            wrong = "has none any more" if self.begun else "has none"
            raise self.refusal(wrong, "wrap the call in `async with connection.transaction()`")

    def idle(self) -> None:
        """See ``Loan.idle``."""
        if self._connection.is_closed():
            raise self.busy("is closed", "lend an open one")
        if self._connection.is_in_transaction():
            raise self.busy("has one open already", "leave its connection.transaction() block first")

    async def _carry(self, statement: Statement) -> Answer:
        """Prepared under no name: ``fetch`` does not say how many rows were written, ``execute`` gives none."""
        text, names = numbered(statement.text)
        prepared = await self._connection.prepare(text, name="", record_class=_RECORD)
        rows = [tuple(row) for row in await prepared.fetch(*(statement.params[name] for name in names))]
        return Answer(rows, len(rows) if prepared.get_attributes() else _written(prepared.get_statusmsg()))

    async def _begin(self) -> None:
        transaction = self._connection.transaction()
        await transaction.start()
        self._transaction = transaction

    async def _commit(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.commit()

    async def _rollback(self) -> None:
        """By hand where asyncpg's own object has failed: it would refuse, whether the transaction is open or not."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.rollback()
        elif self._connection.is_in_transaction():
            await self._connection.execute("ROLLBACK")


def _written(status: str) -> int:
    """The number at the end of ``INSERT 0 3``, ``UPDATE 3``."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdecimal() else -1
