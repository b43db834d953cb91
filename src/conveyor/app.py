"""``Conveyor``: the composition root, and the only file that knows every part."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from conveyor.around import Around, Surrounded
from conveyor.client.desk import StoreDesk
from conveyor.client.jobs import Jobs
from conveyor.client.migrations import Migrations
from conveyor.client.queues import Queues
from conveyor.client.sending import Client
from conveyor.core.addresses import addresses, on_redis, outbox_address
from conveyor.core.clock import SystemClock
from conveyor.core.errors import UsageError
from conveyor.core.opening import opening
from conveyor.declare import TaskMaker
from conveyor.drivers.within import entered
from conveyor.job import Job
from conveyor.registry import Registry
from conveyor.store.contract import LOCK_TIMEOUT, Store
from conveyor.store.openers import open_store
from conveyor.task import Call, Task

if TYPE_CHECKING:  # a process that only enqueues does not pay for the worker's modules
    from conveyor.client.locks import Locks
    from conveyor.client.schedules import ScheduleMaker, Schedules
    from conveyor.core.deploy import MisfitSchedule
    from conveyor.core.health import Finding
    from conveyor.store.rounds import Rounds
    from conveyor.worker.cell.process import Cell
    from conveyor.worker.heartbeat import Tether
    from conveyor.worker.inline import Inline
    from conveyor.worker.runner import Runner, Settings
    from conveyor.worker.serve import LoopFactory
    from conveyor.worker.surround import Rig, Surround

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])

importing: Final[ContextVar[str]] = ContextVar("conveyor_importing", default="")
"""The module that a command imports just now, for the app that is in it."""
Lifespan = Callable[["Conveyor"], AbstractAsyncContextManager[object] | AbstractContextManager[object]]


class Later:
    """What few programs need of an app: it is imported when it is first asked for."""

    def __init__(self, store: Callable[[], Store], desk: StoreDesk, tasks: Callable[[], Collection[str]]) -> None:
        """Made by the app; *tasks* gives the names of its tasks."""
        self.__store, self.__desk, self.__tasks = store, desk, tasks

    @cached_property
    def schedules(self) -> "Schedules":
        """Rules that make jobs: making, changing, pausing and looking at them."""
        from conveyor.client.schedules import Schedules

        return Schedules(self.__store, self.__desk, self.__tasks)

    @cached_property
    def schedule(self) -> "ScheduleMaker":
        """``@app.schedule`` runs a task at the ticks of a rule; see ``ScheduleMaker``."""
        from conveyor.client.schedules import ScheduleMaker

        return ScheduleMaker(self.schedules)

    @cached_property
    def locks(self) -> "Locks":
        """Locks of which one process at a time has the one of a name."""
        from conveyor.client.locks import Locks

        return Locks(self.__store)

    def _lasting(self, queue: str | None) -> "Rounds[Sequence[MisfitSchedule]]":
        from conveyor.client.lasting import lasting

        return lasting(self.__store(), self.schedules.declared, self.__tasks(), self.__desk.codec, queue)


class Conveyor(Later, Surrounded):
    """An app: its tasks, and the store that keeps their jobs.

    *url* is ``sqlite:///jobs.db`` (four slashes for a path from the root; ``?synchronous=NORMAL`` trades the last
    commits at a power cut for speed), ``sqlite:///:memory:``, ``postgresql://...`` or ``redis://...``. Without it, the
    environment's ``CONVEYOR_URL``, else ``sqlite:///conveyor.db``. Nothing is opened before it is needed.

    *listen_url*, else ``CONVEYOR_LISTEN_URL``, is for workers and locks behind a pooler: the server's own address.
    *outbox*, else ``CONVEYOR_OUTBOX_URL``, is for a store on Redis: the PostgreSQL or SQLite database of your own
    tables, in whose transactions jobs are then kept (``within``), and from which workers forward them.
    *include* names modules whose ``@conveyor.task`` tasks become the app's; they are imported at first use.
    *lifespan* takes the app and gives a context manager, plain or async, that a worker enters once, before its first
    job; what it gives is each job's ``ctx.state``.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        listen_url: str | None = None,
        outbox: str | None = None,
        include: Sequence[str] = (),
        lifespan: Lifespan | None = None,
    ) -> None:
        """Raises ``UsageError`` for a URL of no known kind."""
        self.url, self.listen_url = addresses(url, listen_url)
        self.outbox_url = outbox_address(self.url, outbox)
        self._registry = Registry(include, lambda: self._client)
        Surrounded.__init__(self, Around(lifespan=None if lifespan is None else partial(lifespan, self)))
        self._opened: Store | None = None
        self._outbox: Store | None = None
        self._rig: Rig | None = None
        self._desk = StoreDesk(
            lambda: self.store, self._registry.definition, lambda: _unattended(self._rig), lambda: self.outbox
        )
        self._client = Client(lambda: self.store, self._desk, self._inline, lambda: self.outbox)
        self.jobs = Jobs(lambda: self.store, self._desk, self._lasting)
        """Looking at jobs, cancelling, retrying and deleting them."""
        self.queues = Queues(lambda: self.store)
        """How full queues are; pausing and resuming them."""
        Later.__init__(self, lambda: self.store, self._desk, self._registry.names)
        self.migrations = Migrations(lambda: self.store, lambda: self.outbox)  # what ``migrate`` would do
        self.task = TaskMaker(lambda: self._client, self._registry.add)
        """``@app.task`` makes a function a task; see ``TaskMaker``."""

    def __repr__(self) -> str:
        """For logs and the prompt; the URL may hold a password."""
        return f"<Conveyor on {urlsplit(self.url).scheme}>"

    @property
    def store(self) -> Store:
        """The store, opened at first use. Raises ``UsageError`` when its library is not installed."""
        if self._rig is not None:
            return self._rig.store
        return self._opened or self._open()

    def _open(self) -> Store:
        with opening():
            store = self._opened or open_store(self.url, SystemClock(), self.listen_url)
            if self._opened is None:
                self._opened = store
            return self._opened

    @property
    def outbox(self) -> Store | None:
        """The outbox, opened at first use, if the app has one; a test with a ``Harness`` has none."""
        if self.outbox_url is None or self._rig is not None:
            return None
        with opening():
            self._outbox = self._outbox or open_store(self.outbox_url, SystemClock(), self.listen_url)
            return self._outbox

    def in_outbox(self) -> int | None:
        """How many jobs wait in the outbox, where the app has one; exact up to 10,000, and 10,001 stands for more."""
        outbox = self.outbox
        return None if outbox is None else outbox.run(outbox.outbox(self.store.intake.name).waiting())[0]

    @property
    def tasks(self) -> Mapping[str, Task[..., object]]:
        """All tasks by name, those of included modules too, which are imported for that."""
        return self._registry.tasks

    def adopt(self, *tasks: Task[..., object]) -> None:
        """Make tasks of ``@conveyor.task`` this app's. ``ConveyorError`` when a name is taken, or one has an app."""
        for task in tasks:
            self._registry.adopt(task)

    @contextmanager
    def within(self, connection: object) -> Generator[None]:
        """Enqueue inside the block as part of *connection*'s open transaction: rolled back means never enqueued.

        A connection of sqlite3, psycopg, asyncpg or aiosqlite, a session or connection of SQLAlchemy's, or Django's,
        to the very database that this app's store is in, or its outbox. Jobs are not to be seen before the transaction
        commits. For a store on Redis without an outbox, a session of SQLAlchemy's, or Django's connection, to any
        database: the jobs are sent after the commit, which raises ``NotSent`` when that fails.

        Enqueueing raises ``NotInTransaction`` when none is open, and ``WrongStore`` for another database; ``TypeError``
        comes at once for what is no connection.
        """
        block = self._client.lent(connection)
        self._client.prepare(block)
        with entered(block):
            yield

    def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Enqueue bound calls, ``task.bind(...)``, in their order; each 10,000 are stored together or not at all.

        Raises as ``enqueue`` does; the calls of one app may be of different tasks.
        """
        return self._client.send_many(calls)

    async def aenqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """``enqueue_many`` for async code."""
        return await self._client.asend_many(calls)

    def doctor(self, *, deep: bool = False) -> "Sequence[Finding]":
        """What there is to say of the store, its outbox, queues, schedules and workers, and what to do.

        *deep* reads the whole database besides, where it is a file, and looks whether it is sound. It raises nothing
        when the store cannot be reached: that is a finding.
        """
        from conveyor.client.doctor import Code, examined, of_outbox

        own = Code(set(self.tasks), self.schedules.declared) if self.tasks else None
        return [*examined(lambda: self.store, own, deep=deep), *of_outbox(lambda: self.store, lambda: self.outbox)]

    async def adoctor(self, *, deep: bool = False) -> "Sequence[Finding]":
        """``doctor`` for async code, in a thread of its own."""
        return await asyncio.to_thread(self.doctor, deep=deep)

    def migrate(self, *, lock_timeout: float = LOCK_TIMEOUT) -> list[str]:
        """Bring the tables of the store, and of the outbox, to this version; the names of the migrations applied.

        A table in use is waited for *lock_timeout* seconds at a time, several times; then: ``StoreUnavailable``.
        """
        return self.migrations.apply(lock_timeout)

    def run_worker(
        self,
        queues: Mapping[str, int] | None = None,
        *,
        burst: bool = False,
        grace: float = 30.0,
        lease: float = 20.0,
        beat: float = 5.0,
    ) -> int:
        """Work in this process until SIGTERM or SIGINT; gives the exit status. Without a supervisor.

        *queues* maps names to slots (default: 10 for each queue that the tasks name); *burst* ends when nothing is
        due; *grace*, in seconds, is what running jobs get after a signal; a second signal ends them at once. A
        worker that is silent for *lease* seconds is dead; it reports each *beat*. Plain functions run in threads.
        """
        from conveyor.worker.runner import Settings

        if module := importing.get():
            raise UsageError(f"{module} runs a worker when it is imported; put that under `if __name__ == '__main__':`")
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise UsageError("run_worker() runs its own event loop; in this one: await app.worker(Settings(...)).run()")
        return self.serve(Settings(queues or self.default_queues(), burst=burst, grace=grace, lease=lease, beat=beat))

    def serve(self, settings: "Settings", tether: "Tether | None" = None) -> int:
        """``run_worker``, whose lease hangs on *tether*: the runners of ``conveyor worker`` are such."""
        from conveyor.worker.serve import serve

        return serve(self._registry.known(), self._surround(), settings, _loop_factory(), tether)

    def worker(self, settings: "Settings") -> "Runner":
        """A worker for the running event loop: ``await app.worker(...).run()``, and ``stop()`` to end it."""
        from conveyor.worker.runner import Runner

        return Runner(self._registry.known(), self._surround(), settings)

    def run_cell(self, cell: "Cell") -> None:
        """Run what a worker hands over."""
        cell.work(self._registry.known(), self._surround())

    def default_queues(self, slots: int = 10) -> dict[str, int]:
        """*slots* for ``default`` and for each queue that a task names."""
        return dict.fromkeys(sorted({"default", *(task.options.queue for task in self.tasks.values())}), slots)

    def run_async(self, coroutine: Coroutine[object, object, R]) -> R:
        """Run *coroutine* as ``asyncio.run`` does, on the event loop that workers use: uvloop's where present."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(coroutine)

    def use(self, url: str) -> None:
        """Use another store than the one that the app was made with; on Redis, with the same outbox.

        ``UsageError`` once the first is in use.
        """
        if self._opened is not None:
            raise UsageError("the app has used its store already; choose another before that")
        self.url, self.listen_url = addresses(url, None)
        self.outbox_url = outbox_address(self.url, self.outbox_url if on_redis(self.url) else None)

    @contextmanager
    def rigged(self, rig: "Rig") -> "Generator[Callable[[], Surround]]":
        """For ``conveyor.testing``: *rig* stands in for parts of the app; gives who makes what an attempt needs."""
        before, self._rig = self._rig, rig
        try:
            yield self._surround
        finally:
            self._rig = before

    def close(self) -> None:
        """Close the connections that blocking calls opened. Optional: a process may just end."""
        self.locks.close()
        for store in (self._opened, self._outbox):
            if store is not None:
                store.close()

    async def aclose(self) -> None:
        """Close the connections that this event loop opened. Optional likewise."""
        for store in (self._opened, self._outbox):
            if store is not None:
                await store.aclose()

    def _surround(self) -> "Surround":
        from conveyor.worker.surround import Surround

        usual = Surround(self.store, self._desk, self._around, declared=self.schedules.declared)
        usual.outbox = self.outbox
        return usual if self._rig is None else self._rig.surround(usual)

    def _inline(self) -> "Inline | None":
        """Who runs calls at once, where the environment asks for that, or a test."""
        wanted = self._rig is not None and self._rig.at_once
        if not wanted and os.environ.get("CONVEYOR_INLINE", "0") in {"", "0"}:
            return None
        from conveyor.worker.inline import Inline

        return Inline(self._surround)


def _unattended(rig: "Rig | None") -> str:
    """Why nobody will ever run a job, in a test; empty where somebody may."""
    return "" if rig is None else rig.unattended()


def _loop_factory() -> "LoopFactory | None":
    """Uvloop's event loops where it is installed: they halve the cost of a job that does little."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
