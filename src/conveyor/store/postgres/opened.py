"""An opened PostgreSQL store."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Final, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection, conninfo
from psycopg.rows import TupleRow

from conveyor.core.backoff import jittered
from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.core.health import Finding
from conveyor.core.model import RunnerInfo
from conveyor.drivers.lent import Kind
from conveyor.drivers.postgres import Collided, acarry, carry, translated
from conveyor.plan import Plan, Ring, arun, run
from conveyor.store.contract import Control, Lease, Listener, Operations
from conveyor.store.postgres.health import examined
from conveyor.store.postgres.links import DEADLINE, AsyncLinks, Links, aconnect, connect, dsn, own, wraps
from conveyor.store.postgres.listen import PostgresListener
from conveyor.store.postgres.plans import PostgresControl, PostgresOperations
from conveyor.store.sqlfiles import migrations, statements

T = TypeVar("T")

COLLISIONS: Final = (0.01, 0.03, 0.1, 0.3)
"""Seconds until a plan is tried again that the server took back, because it stood in another one's way."""
MIGRATION_LOCK = 0x636F6E76
"""Two `conveyor migrate` take turns by this advisory lock, which ends with its transaction."""


class PostgresStore:
    """See ``store.contract.Store``. Its tables come from ``conveyor migrate``."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet. Raises ``UsageError`` for a URL that means nothing."""
        try:
            self._text = dsn(url)
        except psycopg.ProgrammingError as error:
            raise UsageError(f"the PostgreSQL URL cannot be read: {error}") from None
        self.url = _without_password(url)
        self._operations = PostgresOperations()
        self._control = PostgresControl()
        self._links = Links(self._text)
        self._alinks = AsyncLinks(self._text)

    @property
    def migrations(self) -> int:
        """See ``Store``."""
        return migrations("postgres")[-1][0]

    @property
    def kind(self) -> Kind:
        """See ``Store``."""
        return "postgresql"

    @property
    def operations(self) -> Operations:
        """See ``Store``."""
        return self._operations

    @property
    def control(self) -> Control:
        """See ``Store``."""
        return self._control

    def run(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once: its connection may have died while it lay idle."""
        try:
            return self._tried(plan)
        except StoreUnavailable:
            if plan.writes:
                raise
        self._links.close()
        return self._tried(plan)

    def _tried(self, plan: Plan[T]) -> T:
        for pause in COLLISIONS:
            try:
                return self._run(plan)
            except Collided:
                time.sleep(jittered(pause))
        return self._run(plan)

    def _run(self, plan: Plan[T]) -> T:
        with self._links.link() as connection, translated(writes=plan.writes):
            return _carried(plan, connection)

    async def arun(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once, as in ``run``."""
        try:
            return await self._atried(plan)
        except StoreUnavailable:
            if plan.writes:
                raise
        await self._alinks.aclose()
        return await self._atried(plan)

    async def _atried(self, plan: Plan[T]) -> T:
        for pause in COLLISIONS:
            try:
                return await self._arun(plan)
            except Collided:
                await asyncio.sleep(jittered(pause))
        return await self._arun(plan)

    async def _arun(self, plan: Plan[T]) -> T:
        async with self._alinks.link() as connection:
            with translated(writes=plan.writes):
                async with asyncio.timeout(DEADLINE):
                    return await _acarried(plan, connection)

    def migrate(self) -> list[str]:
        """See ``Store``: each migration in a transaction of its own, one migrating process at a time."""
        applied: list[str] = []
        connection = connect(self._text)
        with connection, translated(writes=True):
            for number, name, text in migrations("postgres"):
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
                    connection.execute(_LEDGER)
                    known = "SELECT 1 FROM conveyor_migration WHERE number = %s"
                    if connection.execute(known, (number,)).fetchone() is None:
                        for statement in statements(text):
                            connection.execute(statement.encode())
                        insert = "INSERT INTO conveyor_migration (number, name) VALUES (%s, %s)"
                        connection.execute(insert, (number, name))
                        applied.append(name)
        return applied

    def ring(self, why: Ring) -> None:
        """Nothing: a notification is part of the transaction that it tells of."""

    def connect(self) -> Connection[TupleRow]:
        """See ``Store``. A new one each time: whatever its user sets in its session ends with it."""
        return connect(self._text)

    async def aconnect(self) -> AsyncConnection[TupleRow]:
        """See ``Store``."""
        return await aconnect(self._text)

    def examine(self, *, deep: bool) -> Sequence[Finding]:  # noqa: ARG002 - a server looks after its own files
        """See ``Store``."""
        return examined(self._operations, self.run, partial(connect, self._text))

    def lease(self, runner: bytes, info: RunnerInfo, seconds: float) -> Lease:
        """See ``Store``."""
        return PostgresLease(self._text, self._operations, runner, info, round(seconds * 1_000_000))

    def listener(self, runner: bytes) -> Listener:
        """See ``Store``."""

        def ask(seconds: float) -> Awaitable[None]:
            return self.arun(self._operations.idle(round(seconds * 1_000_000)))

        return PostgresListener(self._text, runner, ask)

    def close(self) -> None:
        """See ``Store``."""
        self._links.close()

    async def aclose(self) -> None:
        """See ``Store``."""
        await self._alinks.aclose()


_LEDGER = (
    "CREATE TABLE IF NOT EXISTS conveyor_migration "
    "(number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)


class PostgresLease:
    """A row in ``conveyor_runner``, renewed over a connection that nothing else uses."""

    def __init__(self, text: str, operations: PostgresOperations, runner: bytes, info: RunnerInfo, lease: int) -> None:
        """*lease* in microseconds."""
        self._text = text
        self._renewal = operations.renew(runner, lease)
        self._register = operations.register(runner, info, lease)
        self._retire = operations.retire(runner)
        self._forget = operations.forget(runner)
        self._connection: Connection[TupleRow] | None = None

    def register(self) -> None:
        """Take the lease."""
        self._carry(self._register)

    def renew(self) -> bool:
        """Renew it."""
        return self._carry(self._renewal)

    def retire(self, *, clean: bool) -> None:
        """End it, and close the connection."""
        try:
            self._carry(self._forget if clean else self._retire)
        finally:
            self._drop()

    def _carry(self, plan: Plan[T]) -> T:
        if self._connection is None:
            self._connection = own(self._text)
        try:
            with translated(writes=False):
                return _carried(plan, self._connection)
        except StoreUnavailable:
            self._drop()
            raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _carried(plan: Plan[T], connection: Connection[TupleRow]) -> T:
    if not plan.atomic and not wraps(connection):
        return run(plan, carry(connection))
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return run(plan, carry(connection))


async def _acarried(plan: Plan[T], connection: AsyncConnection[TupleRow]) -> T:
    if not plan.atomic and not wraps(connection):
        return await arun(plan, acarry(connection))
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return await arun(plan, acarry(connection))


def _without_password(url: str) -> str:
    given = conninfo.conninfo_to_dict(url)
    host, port = given.get("host", "localhost"), given.get("port", "5432")
    return f"postgresql://{given.get('user', '')}@{host}:{port}/{given.get('dbname', '')}"
