"""An opened SQLite store: a writer's lane, a reader's lane, and the side folder."""

import asyncio
import os
import sqlite3
import weakref
from collections.abc import Awaitable
from functools import partial
from typing import Final, TypeVar

from conveyor.core.clock import Clock
from conveyor.core.model import RunnerInfo
from conveyor.core.opening import opening
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.contract import Lease, Listener, Operations
from conveyor.store.sqlfiles import migrations, statements
from conveyor.store.sqlite.bell import SqliteListener, ring
from conveyor.store.sqlite.lane import Lane
from conveyor.store.sqlite.leases import FileLeases, Leases, MemoryLeases, SqliteLease
from conveyor.store.sqlite.place import Place
from conveyor.store.sqlite.plans import SqliteOperations

T = TypeVar("T")

BUSY_TIMEOUT = 10_000
"""Milliseconds to wait for a writer that is not one of ours."""


_PARENTS: Final[list[Lane]] = []
"""Lanes that a fork left behind. They are kept, for SQLite forbids even to close a parent's connection."""


class SqliteStore:
    """See ``store.contract.Store``. It makes its own tables, when it is first used."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Opens nothing yet. Raises ``UsageError`` for a URL that means nothing."""
        self.url = url
        self._place = Place(url)
        self._operations = SqliteOperations(clock)
        self._folder = None if self._place.memory else self._place.folder
        self._leases: Leases = FileLeases(self._folder) if self._folder else MemoryLeases()
        self._listeners: weakref.WeakSet[SqliteListener] = weakref.WeakSet()
        self._owner = 0
        self._lanes: list[Lane] = []
        self._commits = 0

    @property
    def migrations(self) -> int:
        """See ``Store``."""
        return migrations("sqlite")[-1][0]

    @property
    def operations(self) -> Operations:
        """See ``Store``."""
        return self._operations

    def run(self, plan: Plan[T]) -> T:
        """See ``Store``."""
        return self._lane(plan).submit(plan).result()

    def arun(self, plan: Plan[T]) -> Awaitable[T]:
        """See ``Store``."""
        return asyncio.wrap_future(self._lane(plan).submit(plan))

    def migrate(self) -> list[str]:
        """The tables are made at first use, so there is never anything left to do."""
        self.run(self._operations.schema())
        return []

    def lease(self, runner: bytes, info: RunnerInfo, seconds: float) -> Lease:
        """See ``Store``."""
        register = self._operations.register(runner, info, round(seconds * 1_000_000))
        forget = self._operations.forget(runner)
        return SqliteLease(
            self._leases, runner, seconds, enrol=partial(self.run, register), forget=partial(self.run, forget)
        )

    def listener(self, runner: bytes) -> Listener:
        """See ``Store``."""
        listener = SqliteListener(self._folder, runner, self._version)
        self._listeners.add(listener)
        return listener

    def close(self) -> None:
        """See ``Store``."""
        lanes, self._lanes = self._lanes, []
        if self._owner == os.getpid():
            for lane in lanes:
                lane.close()

    async def aclose(self) -> None:
        """Nothing here belongs to an event loop: the lanes are the process's, and in memory they are the store."""

    def _lane(self, plan: Plan[T]) -> Lane:
        """The writer's lane or the reader's; after a fork both are made anew, and the parent's left alone."""
        if not self._lanes or self._owner != os.getpid():
            with opening():
                if not self._lanes or self._owner != os.getpid():
                    self._open()
        return self._lanes[0] if plan.writes else self._lanes[-1]

    def _open(self) -> None:
        _PARENTS.extend(self._lanes)
        if self._folder is None:
            self._owner, self._lanes = os.getpid(), [Lane("memory", self._connect, committed=self._ring)]
            return
        self._place.check()
        self._folder.mkdir(exist_ok=True)
        ticket = self._folder / "ticket"
        write = Lane("write", self._connect, ticket=ticket, committed=self._ring)
        self._owner, self._lanes = os.getpid(), [write, Lane("read", self._connect)]

    def _connect(self) -> sqlite3.Connection:
        name = ":memory:" if self._place.memory else str(self._place.file)
        connection = sqlite3.connect(name, isolation_level=None, cached_statements=256)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._place.synchronous}")
        connection.create_function("conveyor_alive", 1, self._leases.alive)
        _migrate(connection)
        return connection

    def _ring(self) -> None:
        if self._folder is not None:
            ring(self._folder)
            return
        self._commits += 1
        for listener in list(self._listeners):
            listener.rung()

    async def _version(self) -> int:
        """A number that changes with each commit that may matter: in memory our own, in a file those of others."""

        def steps() -> Steps[int]:
            answer = yield Statement("PRAGMA data_version", {})
            return self._commits + int(str(answer.rows[0][0]))

        return await self.arun(Plan(steps, writes=False))


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing. The look before the lock spares every later opening a write."""
    if _applied(connection) >= migrations("sqlite")[-1][0]:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS conveyor_migration "
            "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )
        done = _applied(connection)
        for number, name, text in migrations("sqlite"):
            if number > done:
                for statement in statements(text):
                    connection.execute(statement)
                connection.execute("INSERT INTO conveyor_migration (number, name) VALUES (?, ?)", (number, name))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _applied(connection: sqlite3.Connection) -> int:
    known = "SELECT 1 FROM sqlite_master WHERE name = 'conveyor_migration'"
    if connection.execute(known).fetchone() is None:
        return 0
    row: tuple[int] = connection.execute("SELECT coalesce(max(number), 0) FROM conveyor_migration").fetchone()
    return row[0]
