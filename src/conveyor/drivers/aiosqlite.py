"""aiosqlite: ``sqlite3`` in a thread of its own."""

import sqlite3
from typing import Any, cast

from aiosqlite import Connection

from conveyor.drivers.lent import AsyncLoan
from conveyor.drivers.sqlite_loan import ALONE, SqliteFacts, ask, beneath, opening, plain_text
from conveyor.plan import Answer, Row, Statement


class AiosqliteLoan(SqliteFacts, AsyncLoan):
    """An ``aiosqlite.Connection``."""

    name = "aiosqlite.Connection"

    def __init__(self, connection: Connection) -> None:
        """*connection* stays the user's."""
        self._connection = connection

    @property
    def raw(self) -> sqlite3.Connection:
        """See ``SqliteFacts.raw``."""
        return beneath(self._connection)

    async def _carry(self, statement: Statement) -> Answer:
        first = opening(self.raw, statement)
        if first is not None and await ask(self._connection) is True:
            raise self.refusal(*ALONE)
        async with self._connection.cursor() as cursor:
            cursor.row_factory = None
            if first is not None:
                await cursor.execute(first)
            await cursor.execute(statement.text, cast(Any, statement.params))
            with plain_text(self.raw):
                rows = cast(list[Row], await cursor.fetchall())
            return Answer(rows, len(rows) if cursor.description else cursor.rowcount)

    async def _begin(self) -> None:
        await self._execute("BEGIN IMMEDIATE")

    async def _commit(self) -> None:
        await self._execute("COMMIT")

    async def _rollback(self) -> None:
        """A BEGIN whose caller was cancelled may still be under way in the thread: making a cursor waits for it."""
        async with self._connection.cursor() as cursor:
            if self.raw.in_transaction:
                await cursor.execute("ROLLBACK")

    async def _execute(self, text: str) -> None:
        async with self._connection.execute(text):
            pass
