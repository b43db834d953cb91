"""An opened PostgreSQL store."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from functools import partial
from typing import Final, NoReturn, TypeVar

import psycopg
from psycopg import conninfo

from conveyor.core.backoff import jittered
from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.core.health import Finding
from conveyor.core.model import RunnerInfo
from conveyor.drivers.lent import Kind
from conveyor.drivers.postgres import Collided, acarry, carry, translated
from conveyor.drivers.postgres_wire import DEADLINE, AsyncWire, Overdue, Wire
from conveyor.plan import Plan, Ring, arun, run
from conveyor.store.contract import LOCK_TIMEOUT
from conveyor.store.leases import LEAST, SHARE, Leases
from conveyor.store.listener import Listener
from conveyor.store.outbox import Outbox, needs_no_outbox
from conveyor.store.postgres import migrating
from conveyor.store.postgres.checks import CHECKS, DEEP
from conveyor.store.postgres.health import amiss, examined
from conveyor.store.postgres.links import AsyncLinks, Links, alent, connect, dsn, lent, own, wraps
from conveyor.store.postgres.listen import PostgresListener
from conveyor.store.postgres.locks import PostgresLocks
from conveyor.store.postgres.moving import PostgresMoving
from conveyor.store.postgres.outbox import PostgresOutbox
from conveyor.store.postgres.plans import PostgresControl, PostgresOperations
from conveyor.store.postgres.schedules import PostgresSchedules
from conveyor.store.sqlfiles import migrations

T = TypeVar("T")

COLLISIONS: Final = (0.01, 0.03, 0.1, 0.3)
"""Seconds until a plan is tried again that the server took back, because it stood in another one's way."""
WAITED: Final = (Overdue, TimeoutError, psycopg.errors.ConnectionTimeout)
"""What tells of a server that does not answer: no second try, for its caller has waited long enough."""


class PostgresStore:
    """See ``store.contract.Store``. Its tables come from ``conveyor migrate``."""

    def __init__(self, url: str, listen_url: str | None = None) -> None:
        """Connects to nothing yet. *listen_url*: where to listen, past a pooler that *url* leads to.

        Raises ``UsageError`` for a URL that means nothing.
        """
        self._text = _read(url)
        self._listen_text = _read(listen_url) if listen_url else self._text
        self.url = _without_password(url)
        self.operations = PostgresOperations()
        self.control = PostgresControl()
        self.schedules = PostgresSchedules()
        self.moving = PostgresMoving()
        self.locks = PostgresLocks(self._listen_text)
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

    def outbox(self, target: str) -> Outbox:
        """See ``Store``."""
        return PostgresOutbox(target)

    @property
    def intake(self) -> NoReturn:
        """Raises ``UsageError``."""
        raise needs_no_outbox(self.url)

    def run(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once: its connection may have broken while it was on its way."""
        try:
            return self._tried(plan)
        except StoreUnavailable as error:
            if plan.writes or isinstance(error.__cause__, WAITED):
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
        with translated(writes=plan.writes), self._links.link(steady=plan.steady) as connection:
            connection.allow(min(DEADLINE + plan.patience, plan.most))
            return _carried(plan, connection)

    async def arun(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once, as in ``run``."""
        try:
            return await self._atried(plan)
        except StoreUnavailable as error:
            if plan.writes or isinstance(error.__cause__, WAITED):
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
        with translated(writes=plan.writes):
            async with self._alinks.link(steady=plan.steady) as connection:
                connection.allow(min(DEADLINE + plan.patience, plan.most))
                return await _acarried(plan, connection)

    def migrate(self, lock_timeout: float = LOCK_TIMEOUT) -> list[str]:
        """See ``Store``: each migration in a transaction of its own, one migrating process at a time."""
        with closing(connect(self._text)) as connection:
            applied = migrating.migrate(connection, lock_timeout)
            with translated(writes=True):
                run(self.control.arrange(), carry(connection))
        return applied

    def pending(self) -> list[str]:
        """See ``Store``."""
        with closing(connect(self._text)) as connection, translated(writes=False):
            return [name for _, name, _ in migrating.missing(connection)]

    def script(self, first: int, last: int, lock_timeout: float = LOCK_TIMEOUT) -> str:
        """See ``Store``."""
        return migrating.script(first, last, lock_timeout)

    def ring(self, why: Ring) -> None:
        """Nothing: a notification is part of the transaction that it tells of."""

    def connect(self) -> Wire:
        """See ``Store``. A new one each time: whatever its user sets in its session ends with it."""
        return lent(self._text)

    async def aconnect(self) -> AsyncWire:
        """See ``Store``."""
        return await alent(self._text)

    def examine(self, *, deep: bool) -> Sequence[Finding]:
        """See ``Store``."""
        return examined(partial(connect, self._text), CHECKS | DEEP if deep else CHECKS)

    def amiss(self) -> Sequence[Finding]:
        """See ``Store``."""
        return amiss(partial(connect, self._text))

    def leases(self, seconds: float) -> Leases:
        """See ``Store``."""
        return PostgresLeases(self._text, self.operations, seconds)

    def listener(self, runner: bytes) -> Listener:
        """See ``Store``."""

        def ask(seconds: float) -> Awaitable[None]:
            return self.arun(self.operations.idle(round(seconds * 1_000_000)))

        def ping(channel: str) -> Awaitable[None]:
            return self.arun(self.operations.ping(channel))

        return PostgresListener(self._listen_text, runner, ask, ping)

    def close(self) -> None:
        """See ``Store``."""
        self._links.close()

    async def aclose(self) -> None:
        """See ``Store``."""
        await self._alinks.aclose()


class PostgresLeases:
    """Rows in ``conveyor_runner``, renewed over a connection that nothing else uses."""

    def __init__(self, text: str, operations: PostgresOperations, seconds: float) -> None:
        """Leases of *seconds*."""
        self._text = text
        self._lease = round(seconds * 1_000_000)
        self._patience = min(DEADLINE, max(seconds * SHARE, LEAST))
        self._operations = operations
        self._connection: Wire | None = None

    def register(self, runner: bytes, info: RunnerInfo) -> None:
        """See ``Leases``."""
        self._carry(self._operations.register(runner, info, self._lease))

    def renew(self, runners: Sequence[bytes]) -> frozenset[bytes]:
        """See ``Leases``."""
        return self._carry(self._operations.renew(runners, self._lease))

    def retire(self, runner: bytes, *, clean: bool) -> None:
        """See ``Leases``."""
        self._carry(self._operations.forget(runner) if clean else self._operations.retire(runner))

    def witness(self, runner: bytes) -> None:
        """See ``Leases``: a row needs none."""

    def close(self) -> None:
        """See ``Leases``."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _carry(self, plan: Plan[T]) -> T:
        if self._connection is None:
            self._connection = own(self._text, self._patience)
        self._connection.allow(self._patience)
        try:
            with translated(writes=False):
                return _carried(plan, self._connection)
        except StoreUnavailable:
            self.close()
            raise


def _carried(plan: Plan[T], connection: Wire) -> T:
    """Until a COMMIT is sent, nothing is done for good: what goes wrong before leaves no doubt."""
    if not plan.atomic and not wraps(connection):
        return run(plan, carry(connection))
    with ExitStack() as stack, translated(writes=False):
        stack.enter_context(connection.transaction())
        connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return run(plan, carry(connection))


async def _acarried(plan: Plan[T], connection: AsyncWire) -> T:
    if not plan.atomic and not wraps(connection):
        return await arun(plan, acarry(connection))
    async with AsyncExitStack() as stack:
        with translated(writes=False):
            await stack.enter_async_context(connection.transaction())
            await connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            return await arun(plan, acarry(connection))


def _read(url: str) -> str:
    try:
        return dsn(url)
    except psycopg.ProgrammingError as error:
        raise UsageError(f"the PostgreSQL URL cannot be read: {error}") from None


def _without_password(url: str) -> str:
    given = conninfo.conninfo_to_dict(url)
    host, port = given.get("host", "localhost"), given.get("port", "5432")
    return f"postgresql://{given.get('user', '')}@{host}:{port}/{given.get('dbname', '')}"
