"""What every part of a harness stands on: an app with another store in its place, for one block."""

import os
import sqlite3
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import urlsplit

from conveyor.app import Conveyor
from conveyor.context import Context
from conveyor.core import ids
from conveyor.core.clock import SystemClock
from conveyor.core.errors import UsageError
from conveyor.core.model import JobInfo
from conveyor.hooks import Ended, Hooks
from conveyor.job import Job
from conveyor.plan import Ring
from conveyor.store.openers import open_store
from conveyor.testing.clock import MovableClock
from conveyor.testing.home import Home
from conveyor.testing.log import Happened, Kind, Log
from conveyor.testing.store import WatchedStore
from conveyor.worker.surround import Surround

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
"""A file system in memory, where there is one: a test's database need not reach a disk."""
LOCK_WAIT: Final = 1.0
"""Seconds to wait for whoever writes to a SQLite file."""


class Rigged:
    """An app, and what stands in for parts of it."""

    def __init__(self, app: Conveyor, url: str | None = None, *, now: datetime | None = None) -> None:
        """See ``Harness``."""
        self.app = app
        self.log = Log()
        self._given = url
        self._now = now
        self._url = ""
        self._opened: WatchedStore | None = None
        self._surrounding: Callable[[], Surround] | None = None
        self._stack = ExitStack()
        self._inline = 0
        self._home: Home | None = None
        self.working = 0
        """Workers that run in the background."""
        self.trouble: BaseException | None = None
        """What has ended one of them."""

    def __repr__(self) -> str:
        """For the prompt."""
        return f"<{type(self).__name__} of {self.app!r}>"

    def __enter__(self) -> Self:
        """Give the app another store. ``UsageError`` inside of its own block."""
        if self._opened is not None:
            raise UsageError("this harness is in use already; a block inside of its own takes another Harness(app)")
        with ExitStack() as stack:
            self.log = Log()
            self._opened = self._made(stack)
            stack.callback(self._end)
            self._surrounding = stack.enter_context(self.app.rigged(self))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the app its own store back, and remove the private one."""
        self._stack.close()

    async def __aenter__(self) -> Self:
        """``with``, for async code."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """``with``, for async code: closes what this event loop has opened, too."""
        try:
            await self.store.aclose()
        finally:
            self._stack.close()

    @property
    def store(self) -> WatchedStore:
        """What the app has instead of its own. ``UsageError`` outside of the block, as for all the rest."""
        if self._opened is None:
            raise UsageError("a harness works inside of its block: `with Harness(app) as harness:`")
        return self._opened

    @property
    def url(self) -> str:
        """Where the store is, as SQLAlchemy and Django read it too: for connections of the test's own."""
        return self._url if self.store.url else ""

    @property
    def path(self) -> Path:
        """The file of the store, for ``sqlite3.connect``. ``UsageError`` for a store that is no SQLite file."""
        if not self.in_a_file:
            raise UsageError(f"{self.url} is no SQLite file, so there is no path")
        return Path(self.url.removeprefix("sqlite:///").partition("?")[0])

    @property
    def in_a_file(self) -> bool:
        """Whether the store is a file of SQLite's."""
        return self.store.kind == "sqlite" and ":memory:" not in self.url

    @property
    def clock(self) -> MovableClock:
        """The clock by which jobs come due. ``UsageError`` on PostgreSQL, whose clock is the server's."""
        clock = self.store.clock
        if clock is None:
            raise UsageError(
                "PostgreSQL decides by its server's clock what is due, and a test cannot move that; run_all() runs "
                "what is scheduled or retryable without waiting for its time, and on SQLite the clock can be moved"
            )
        return clock

    @property
    def at_once(self) -> bool:
        """See ``worker.surround.Rig``."""
        return self._inline > 0

    def unattended(self) -> str:
        """See ``worker.surround.Rig``: whether there is a worker, of this harness or of whoever else."""
        store = self.store
        if self.working or store.turns is not None or any(one.alive for one in store.run(store.operations.runners())):
            return ""
        return "nothing runs jobs here: call harness.drain() first, or wait inside of `with harness.worker():`"

    def surround(self, usual: Surround) -> Surround:
        """See ``worker.surround.Rig``: as usual, and the log hears of it."""
        around, home = usual.around, self._home
        watched = replace(
            around,
            async_wraps=[self._awaited, *around.async_wraps],
            plain_wraps=[self._called, *around.plain_wraps],
            hooks=around.hooks.joined(Hooks(on_finish=(self._told,), on_retry=(self._told,))),
        )
        return replace(usual, around=watched, pool=usual.pool if home is None else _only(home))

    def surrounding(self) -> Surround:
        """What an attempt needs, by the app and by this harness."""
        if self._surrounding is None:
            raise UsageError("a harness works inside of its block: `with Harness(app) as harness:`")
        return self._surrounding()

    def handle(self, info: JobInfo) -> Job[object]:
        """The handle of a job that was read."""
        task = self.app.tasks.get(info.task)
        decode = _as_it_is if task is None else task.definition.codec.decode_result
        job: Job[object] = Job(ids.parse(info.id), info.task, self.surrounding().desk, decode)
        job.seen(info)
        return job

    def _made(self, stack: ExitStack) -> WatchedStore:
        private = self._given is None
        self._url = self._given or f"sqlite:///{stack.enter_context(_private_folder()) / 'jobs.db'}"
        clock = MovableClock(self._now, self._ring) if urlsplit(self._url).scheme == "sqlite" else None
        if clock is None and self._now is not None:
            raise UsageError("now= sets the clock of a store on SQLite; PostgreSQL's is the server's")
        url = f"{self._url}?synchronous=NORMAL" if private else self._url
        inner = open_store(url, clock or SystemClock())
        stack.callback(inner.close)
        inner.migrate()
        return WatchedStore(inner, clock, self.log)

    def _end(self) -> None:
        self._opened = self._surrounding = None

    def _ring(self) -> None:
        if self._opened is not None:
            self._opened.ring(Ring.WORK)

    def _called(self, context: Context, call: Callable[[], object]) -> object:
        """Around every plain task."""
        self._note("started", context.job.id, context)
        try:
            return call()
        except BaseException as error:
            self.log.raised[context.job.id, context.token] = error
            raise

    async def _awaited(self, context: Context, call: Callable[[], Awaitable[object]]) -> object:
        """Around every async task."""
        self._note("started", context.job.id, context)
        try:
            return await call()
        except BaseException as error:
            self.log.raised[context.job.id, context.token] = error
            raise

    def _note(self, kind: Kind, id_: str, context: Context) -> None:
        self.log.note(Happened(kind, context.job.task, id_, context.attempt))

    async def _told(self, ended: Ended) -> None:
        """A hook, after the app's own."""
        self.log.note(Happened(cast(Kind, ended.state.value), ended.task, ended.id, ended.attempt))


def ended(path: Path, otherwise: str) -> None:
    """``UsageError``, with what follows *otherwise*, while somebody has a transaction open that writes to the file."""
    error = locked(path, LOCK_WAIT)
    if error is not None:
        raise UsageError(
            f"{otherwise} ({error}): a transaction is open on {path}, of the test's own or one that a task has left, "
            "and SQLite lets one write at a time; commit it or roll it back first"
        ) from error


def locked(path: Path, patience: float) -> sqlite3.OperationalError | None:
    """What keeps anybody from writing to the file for so many seconds; ``None`` when nothing does."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=patience)) as file:
        try:
            file.execute("BEGIN IMMEDIATE")
            file.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            return error
    return None


def _only(pool: Executor) -> Callable[[str], Executor]:
    def given(_: str) -> Executor:
        return pool

    return given


def _as_it_is(result: bytes | None) -> object:
    return result


@contextmanager
def _private_folder() -> Generator[Path]:
    memory = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK) else None
    with TemporaryDirectory(prefix="conveyor-", dir=memory) as name:
        yield Path(name)
