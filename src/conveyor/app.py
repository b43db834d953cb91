"""``Conveyor``: the composition root, and the only file that knows every part."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    cast,
    overload,
)
from urllib.parse import urlsplit

from conveyor.client import Client, Jobs
from conveyor.context import Context
from conveyor.core.backoff import DEFAULT_BACKOFF, Backoff
from conveyor.core.clock import SystemClock
from conveyor.core.errors import ConveyorError, UsageError
from conveyor.core.opening import opening
from conveyor.core.options import Lasting, Options
from conveyor.job import Job
from conveyor.store.contract import Store
from conveyor.task import Call, CoroutineTask, Definition, FunctionTask, Task, define

if TYPE_CHECKING:  # a process that only enqueues does not pay for the worker's modules
    from conveyor.worker.runner import Runner, Settings
    from conveyor.worker.serve import LoopFactory

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_URL = "sqlite:///conveyor.db"


class TaskOptions(Lasting, total=False):
    """The options of ``@app.task``, besides ``takes_context``."""

    name: str | None
    backoff: Backoff


class Decorator(Protocol):
    """What ``@app.task(...)`` gives."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[object, object, R]], /) -> CoroutineTask[P, R]: ...  # type: ignore[overload-overlap]  # async def is the narrower case, and comes first
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...


class ContextDecorator(Protocol):
    """What ``@app.task(takes_context=True)`` gives: the function's first parameter is the worker's to fill."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # async def is the narrower case, and comes first
        self, function: Callable[Concatenate[Context, P], Coroutine[object, object, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> FunctionTask[P, R]: ...


class Conveyor:
    """An app: its tasks, and the store that keeps their jobs.

    *url* is ``sqlite:///jobs.db`` (four slashes for a path from the root; ``?synchronous=NORMAL`` trades the last
    commits at a power cut for speed), ``sqlite:///:memory:`` or ``postgresql://...``. Without it, the environment's
    ``CONVEYOR_URL``, else ``sqlite:///conveyor.db``. Nothing is opened before it is needed.
    """

    def __init__(self, url: str | None = None) -> None:
        """Raises ``UsageError`` for a URL of no known kind."""
        self.url = url or os.environ.get("CONVEYOR_URL") or DEFAULT_URL
        _check_kind(self.url)
        self._tasks: dict[str, tuple[Definition, Backoff]] = {}
        self._queues: set[str] = set()
        self._opened: Store | None = None
        self._client = Client(lambda: self.store, self._definition)
        self.jobs = Jobs(lambda: self.store, self._client)

    def __repr__(self) -> str:
        """For logs and the prompt; the URL may hold a password."""
        return f"<Conveyor on {urlsplit(self.url).scheme}, {len(self._tasks)} tasks>"

    @property
    def store(self) -> Store:
        """The store, opened at first use. Raises ``UsageError`` when its library is not installed."""
        return self._opened or self._open()

    def _open(self) -> Store:
        with opening():
            if self._opened is None:
                self._opened = _open(self.url)
            return self._opened

    @property
    def tasks(self) -> Mapping[str, tuple[Definition, Backoff]]:
        """The registered tasks by name, and how each backs off."""
        return MappingProxyType(self._tasks)

    @overload
    def task(self, function: Callable[P, Coroutine[object, object, R]], /) -> CoroutineTask[P, R]: ...  # type: ignore[overload-overlap]  # async def is the narrower case, and comes first
    @overload
    def task(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...
    @overload
    def task(self, *, takes_context: Literal[False] = False, **options: Unpack[TaskOptions]) -> Decorator: ...
    @overload
    def task(self, *, takes_context: Literal[True], **options: Unpack[TaskOptions]) -> ContextDecorator: ...
    def task(  # type: ignore[misc]  # mypy does not see through Unpack here; pyright does
        self,
        function: Callable[..., object] | None = None,
        /,
        *,
        takes_context: bool = False,
        **options: Unpack[TaskOptions],
    ) -> object:
        """Make a function a task, as ``@app.task`` or ``@app.task(queue="mail", max_attempts=3)``.

        *name* (default ``module.qualname``) is what jobs carry in the store, and must stay when code moves.
        *queue* (``"default"``); *priority* from -100 to 100, higher first (0); *max_attempts* (5); *timeout* in
        seconds or as ``timedelta`` per attempt (one hour; ``None`` for no limit); *backoff* between attempts
        (5 s, 15 s, 45 s ...); *takes_context* fills the first parameter with a ``Context``.

        Raises ``ConveyorError`` when the name is taken, or the function cannot have one by itself, and
        ``PayloadError`` or ``TypeError`` for an option that breaks its rule.
        """
        name = options.pop("name", None)
        backoff = options.pop("backoff", DEFAULT_BACKOFF)
        if unknown := options.keys() - Lasting.__annotations__.keys():
            raise TypeError(f"a task has no option {', '.join(sorted(unknown))}; run_after is for using()")
        chosen = Options().changed(**cast(Lasting, options))
        if not isinstance(backoff, Backoff):
            raise TypeError(f"backoff must be a Backoff, such as Backoff.fixed(10), not {backoff!r}")

        def register(function: Callable[..., object]) -> Task[..., object]:
            definition = define(function, name, takes_context=takes_context)
            self._register(definition, backoff, chosen.queue)
            kind = CoroutineTask if definition.isolation == "loop" else FunctionTask
            return cast(Task[..., object], kind(definition, chosen, self._client))

        return register if function is None else register(function)

    def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Enqueue bound calls, ``task.bind(...)``, in their order; each 10,000 are stored together or not at all.

        Raises as ``enqueue`` does; the calls of one app may be of different tasks.
        """
        return self._client.send_many(calls)

    async def aenqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """``enqueue_many`` for async code."""
        return await self._client.asend_many(calls)

    def migrate(self) -> list[str]:
        """Bring the store's tables to this version; the names of the migrations applied."""
        return self.store.migrate()

    def run_worker(
        self,
        queues: Mapping[str, int] | None = None,
        *,
        burst: bool = False,
        grace: float = 30.0,
        lease: float = 20.0,
        beat: float = 5.0,
    ) -> int:
        """Work in this process until SIGTERM or SIGINT; gives the exit status. What ``conveyor worker`` does.

        *queues* maps names to slots (default: 10 for each queue that the tasks name); *burst* ends when nothing is
        due; *grace*, in seconds, is what running jobs get after a signal; a second signal ends them at once. A
        worker that is silent for *lease* seconds is taken for dead; it reports each *beat*.
        """
        from conveyor.worker.runner import Settings
        from conveyor.worker.serve import serve

        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise UsageError("run_worker() runs its own event loop; in this one: await app.worker(Settings(...)).run()")
        settings = Settings(queues or self.default_queues(), burst=burst, grace=grace, lease=lease, beat=beat)
        return serve(self.store, self.tasks, self._client, settings, _loop_factory())

    def worker(self, settings: "Settings") -> "Runner":
        """A worker for the running event loop: ``await app.worker(...).run()``, and ``stop()`` to end it."""
        from conveyor.worker.runner import Runner

        return Runner(self.store, self.tasks, self._client, settings)

    def default_queues(self, slots: int = 10) -> dict[str, int]:
        """*slots* for ``default`` and for each queue that a task names."""
        names = {"default", *self._queues}
        return dict.fromkeys(sorted(names), slots)

    def run_async(self, coroutine: Coroutine[object, object, R]) -> R:
        """Run *coroutine* as ``asyncio.run`` does, on the event loop that workers use: uvloop's where present."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(coroutine)

    def use(self, url: str) -> None:
        """Another store than the one that the app was made with. ``UsageError`` once the first is in use."""
        if self._opened is not None:
            raise UsageError("the app has used its store already; choose another before that")
        _check_kind(url)
        self.url = url

    def close(self) -> None:
        """Close the connections that blocking calls opened. Optional: a process may just end."""
        if self._opened is not None:
            self._opened.close()

    async def aclose(self) -> None:
        """Close the connections that this event loop opened. Optional likewise."""
        if self._opened is not None:
            await self._opened.aclose()

    def _definition(self, name: str) -> Definition | None:
        found = self._tasks.get(name)
        return found[0] if found else None

    def _register(self, definition: Definition, backoff: Backoff, queue: str) -> None:
        if definition.name in self._tasks:
            raise ConveyorError(
                f"a task named {definition.name!r} is registered already; give one of the two another name="
            )
        self._tasks[definition.name] = (definition, backoff)
        self._queues.add(queue)


def _check_kind(url: str) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise UsageError(f"the store's URL cannot be read ({error}); write postgresql://user@host/database") from None
    if scheme not in {"sqlite", "postgresql", "postgres"}:
        raise UsageError(
            f"the store's URL begins with {scheme or 'nothing'}://, and must begin with sqlite:/// or postgresql://"
        )


def _loop_factory() -> "LoopFactory | None":
    """Uvloop's event loops where it is installed: they halve the cost of a job that does little."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _open(url: str) -> Store:
    if urlsplit(url).scheme == "sqlite":
        from conveyor.store.sqlite.opened import SqliteStore

        return SqliteStore(url, SystemClock())
    try:
        from conveyor.store.postgres.opened import PostgresStore
    except ImportError as error:
        raise UsageError(
            f"PostgreSQL needs psycopg ({error}); install Conveyor with its extra: 'conveyor[postgres]'"
        ) from error
    return PostgresStore(url)
