"""An opened SQLite store: a writer's lane, a reader's lane, and the side folder."""

import asyncio
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Final, NoReturn, TypeVar

from conveyor.core.clock import Clock
from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.core.health import Finding
from conveyor.core.model import RunnerInfo
from conveyor.core.opening import opening
from conveyor.core.stalled import stalled
from conveyor.drivers.here import open_in_django
from conveyor.drivers.lent import Kind, lock_code
from conveyor.drivers.sqlite import translated
from conveyor.drivers.within import lends
from conveyor.plan import Plan, Ring, Statement, Steps
from conveyor.store.contract import LOCK_TIMEOUT
from conveyor.store.leases import Leases
from conveyor.store.listener import Listener
from conveyor.store.outbox import Outbox, needs_no_outbox
from conveyor.store.sqlfiles import migrations, statements
from conveyor.store.sqlite.bell import SqliteListener, ring
from conveyor.store.sqlite.forking import unforked
from conveyor.store.sqlite.health import examined
from conveyor.store.sqlite.holder import Caller, Holder
from conveyor.store.sqlite.lane import NOBODY, Lane
from conveyor.store.sqlite.leases import FileLeases, Lives, MemoryLeases, SqliteLeases
from conveyor.store.sqlite.locks import SqliteLocks
from conveyor.store.sqlite.moving import SqliteMoving
from conveyor.store.sqlite.outbox import SqliteOutbox
from conveyor.store.sqlite.pending import awaited
from conveyor.store.sqlite.place import Place
from conveyor.store.sqlite.plans import SqliteControl, SqliteOperations
from conveyor.store.sqlite.schedules import SqliteSchedules

T = TypeVar("T")

BUSY_TIMEOUT = 10_000
"""Milliseconds to wait for a writer that is not one of ours."""
BUSY_LOOK: Final = 0.005
"""Seconds between looks where SQLite does not wait by itself."""


_PARENTS: Final[list[Lane]] = []
"""Lanes that a fork left behind. They are kept, for SQLite forbids even to close a parent's connection."""


class SqliteStore:
    """See ``store.contract.Store``. It makes its own tables, when it is first used."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Opens nothing yet. Raises ``UsageError`` for a URL that means nothing."""
        self.url = url
        self._place = Place(url)
        self.operations = SqliteOperations(clock, str(self._place.file))
        self.control = SqliteControl(clock)
        self.schedules = SqliteSchedules(clock)
        self.moving = SqliteMoving(clock)
        self._clock = clock
        self._folder = None if self._place.memory else self._place.folder
        self.locks = SqliteLocks(clock, self._folder)
        self._holder = Holder(self._place.file, BUSY_TIMEOUT / 1_000) if self._folder else None
        self._lives: Lives = FileLeases(self._folder) if self._folder else MemoryLeases()
        self._listeners: weakref.WeakSet[SqliteListener] = weakref.WeakSet()
        self._ready = False
        self._owner = 0
        self._lanes: list[Lane] = []
        self._commits = 0

    @property
    def migrations(self) -> int:
        """See ``Store``."""
        return migrations("sqlite")[-1][0]

    @property
    def kind(self) -> Kind:
        """See ``Store``."""
        return "sqlite"

    def outbox(self, target: str) -> Outbox:
        """See ``Store``."""
        return SqliteOutbox(target, self._clock)

    @property
    def intake(self) -> NoReturn:
        """Raises ``UsageError``."""
        raise needs_no_outbox(self.url)

    def run(self, plan: Plan[T]) -> T:
        """See ``Store``."""
        self._prepare()
        lane = self._lane(plan)
        if not plan.writes or self._holder is None:
            return lane.submit(plan).result()
        with self._holder.waits() as thread:
            return lane.submit(plan, Caller(thread, self._busy())).result()

    async def arun(self, plan: Plan[T]) -> T:
        """See ``Store``."""
        self._prepare()
        lane = self._lane(plan)
        if not plan.writes or self._holder is None:
            return await awaited(partial(lane.submit, plan, NOBODY))
        caller = Caller(threading.get_ident(), self._busy(), asyncio.get_running_loop())
        with stalled():
            return await awaited(partial(lane.submit, plan, caller))

    def _prepare(self) -> None:
        """See to it that the tables are there, or say at once that the caller's own transaction keeps them away."""
        if not self._ready and self._folder is not None and self._busy():
            try:
                self._place.check()
                with unforked():
                    self._opened(wait=0).close()
            except sqlite3.OperationalError as error:
                if not lock_code(error):
                    raise StoreUnavailable(f"SQLite: {error}") from error
                raise UsageError(
                    f"Conveyor's tables are not in {self._place.file} yet, and cannot be made while a transaction of "
                    "yours holds that file: call app.migrate() once at start, before the first transaction"
                ) from error
        self._ready = True

    def _busy(self) -> bool:
        """Whether the caller is known to have a transaction of their own open on the file."""
        return lends(self) or open_in_django(self._place.file)

    def migrate(self, lock_timeout: float = LOCK_TIMEOUT) -> list[str]:  # noqa: ARG002 - a file has one lock, and waits for that
        """The tables are made at first use, so there is never anything left to do."""
        self.run(self.operations.schema())
        return []

    def pending(self) -> list[str]:
        """See ``Store``: what the next use will apply."""
        if self._place.memory or not self._place.file.exists():
            return [name for _, name, _ in migrations("sqlite")] if self._folder else []
        uri = f"{self._place.file.as_uri()}?mode=ro"
        with translated(), unforked(), closing(sqlite3.connect(uri, uri=True)) as connection:
            return [name for number, name, _ in migrations("sqlite") if number > _applied(connection)]

    def script(self, first: int, last: int, lock_timeout: float = LOCK_TIMEOUT) -> str:  # noqa: ARG002 - as Store has it
        """There is none: no other program has to run it."""
        raise UsageError("an SQLite store brings its own tables up to date at first use; there is no script to be run")

    def ring(self, why: Ring) -> None:
        """See ``Store``."""
        self._lane(Plan(self.operations.schema().steps))  # so that the side folder is there
        self._ring(why)

    def connect(self) -> sqlite3.Connection:
        """See ``Store``: with a write lock to wait for, as everybody's."""
        if self._folder is None:
            raise UsageError("a store in memory has one connection; a transaction needs a file, as sqlite:///jobs.db")
        self.run(self.operations.schema())  # which makes the tables
        connection = sqlite3.connect(self._place.file, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        connection.execute(f"PRAGMA synchronous = {self._place.synchronous}")
        return connection

    async def aconnect(self) -> sqlite3.Connection:
        """See ``Store``: the same, but it does not wait for the write lock, for the event loop must go on."""
        connection = self.connect()
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def examine(self, *, deep: bool) -> Sequence[Finding]:
        """See ``Store``."""
        return examined(self._place, self.run, deep=deep)

    def amiss(self) -> Sequence[Finding]:
        """Nothing: it makes its own tables, and the file is its user's."""
        return ()

    def leases(self, seconds: float) -> Leases:
        """See ``Store``."""

        def enrol(runner: bytes, info: RunnerInfo) -> None:
            self.run(self.operations.register(runner, info, round(seconds * 1_000_000)))

        def forget(runner: bytes) -> None:
            self.run(self.operations.forget(runner))

        return SqliteLeases(self._lives, seconds, enrol=enrol, forget=forget)

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
        """Of two that open at once, since a signal handler came in between, the first one counts: see ``opening``."""
        owner, (lanes, holder) = os.getpid(), self._made()
        if self._lanes and self._owner == owner:
            spare = lanes
        else:
            left, spare = self._lanes, []
            self._owner, self._lanes, self._holder = owner, lanes, holder
            _PARENTS.extend(left)
        for lane in spare:
            lane.close()

    def _made(self) -> tuple[list[Lane], Holder | None]:
        if self._folder is None:
            return [Lane("memory", self._connect, committed=self._ring, lasts=True)], None
        self._place.check()
        self._folder.mkdir(exist_ok=True)
        ticket = self._folder / "ticket"
        holder = Holder(self._place.file, BUSY_TIMEOUT / 1_000)
        write = Lane("write", self._connect, ticket=ticket, committed=self._ring, holder=holder)
        read = Lane("read", self._connect)
        holder.lockless = frozenset({write.thread, read.thread})
        return [write, read], holder

    def _connect(self) -> sqlite3.Connection:
        connection = self._opened(wait=BUSY_TIMEOUT)
        connection.execute(f"PRAGMA synchronous = {self._place.synchronous}")
        connection.create_function("conveyor_alive", 1, self._lives.alive)
        connection.create_function("conveyor_untied", 1, self.locks.untied)
        return connection

    def _opened(self, *, wait: int) -> sqlite3.Connection:
        """A connection to the store with its tables; *wait* for as many milliseconds for who holds the file."""
        name = ":memory:" if self._place.memory else str(self._place.file)
        connection = sqlite3.connect(name, isolation_level=None, cached_statements=256, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA busy_timeout = {wait}")
            _use_log(connection, wait)
            _migrate(connection)
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _ring(self, why: Ring) -> None:
        if self._folder is not None:
            ring(self._folder, why)
            return
        self._commits += 1
        for listener in list(self._listeners):
            listener.rung(why)

    async def _version(self) -> int:
        """A number that changes with each commit that may matter: in memory our own, in a file those of others."""

        def steps() -> "Steps[int]":
            answer = yield Statement("PRAGMA data_version", {})
            return self._commits + int(str(answer.rows[0][0]))

        return await self.arun(Plan(steps, writes=False))


def _use_log(connection: sqlite3.Connection, wait: int) -> None:
    """Have the file written through a log, which is a property of the file.

    Of several that open a new file at the same moment SQLite lets one make the change, and tells the others at once
    that it is locked, however long they said that they would wait: it takes that for a deadlock.
    """
    end = time.monotonic() + wait / 1_000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not lock_code(error) or time.monotonic() > end:
                raise
            time.sleep(BUSY_LOOK)
        else:
            return


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
