"""``Task``: a function that can be enqueued. It knows a ``Sender``, never an app."""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType
from typing import Generic, Literal, ParamSpec, Protocol, TypeVar, Unpack, cast

from conveyor.core.codec import Codec
from conveyor.core.errors import ConveyorError
from conveyor.core.options import Changes, Options, checked_name
from conveyor.job import Job

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a worker needs to run a task, and a client to enqueue it."""

    name: str
    function: Callable[..., object]
    codec: Codec
    isolation: Literal["loop", "thread"]
    takes_context: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """A task with its arguments and options, ready to be enqueued; ``task.bind(...)`` makes it."""

    definition: Definition
    options: Options
    payload: bytes


class Sender(Protocol):
    """Who takes calls to the store."""

    def send(self, call: Call[R]) -> Job[R]:
        """Enqueue one call."""
        ...

    async def asend(self, call: Call[R]) -> Job[R]:
        """Enqueue one call from async code."""
        ...


class Enqueueable(Generic[P, R]):
    """A task with options chosen: what ``using()`` returns, and the base of a task itself."""

    __slots__ = ("_sender", "definition", "options")

    def __init__(self, definition: Definition, options: Options, sender: Sender) -> None:
        """Made by ``@app.task`` and ``using()``."""
        self.definition = definition
        self.options = options
        self._sender = sender

    def using(self, **changes: Unpack[Changes]) -> "Enqueueable[P, R]":
        """The same task with other options for one job: ``task.using(priority=9).enqueue(5)``.

        ``queue``; ``priority`` from -100 to 100, higher first; ``run_after`` (an aware ``datetime``, or seconds or
        a ``timedelta`` from now); ``max_attempts``; ``timeout`` (seconds or ``timedelta`` per attempt, ``None``
        for no limit). Raises ``PayloadError`` when a value breaks its rule.
        """
        return Enqueueable(self.definition, self.options.changed(**changes), self._sender)

    def bind(self, /, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """This call, for ``app.enqueue_many``. Raises as ``enqueue`` does, here and now."""
        return Call(self.definition, self.options, self.definition.codec.encode(args, kwargs))

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store this call; once it returns, the job will run.

        Raises ``TypeError`` for arguments that the function does not take, ``PayloadError`` for values that
        cannot be stored, ``StoreUnavailable`` when nothing was written, and ``OutcomeUnknown`` when the
        connection was lost and the store could not be asked any more.
        """
        return self._sender.send(self.bind(*args, **kwargs))

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """``enqueue`` for async code; concurrent callers share one insert."""
        return await self._sender.asend(self.bind(*args, **kwargs))


class Task(Enqueueable[P, R]):
    """A function that can be enqueued; *R* is what it returns (what its coroutine returns, when async)."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name that its jobs carry in the store."""
        return self.definition.name

    def __repr__(self) -> str:
        """For logs and the prompt."""
        return f"<Task {self.name}>"


class FunctionTask(Task[P, R]):
    """A task of a plain function."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Just run the function, here and now."""
        return cast(R, self.definition.function(*args, **kwargs))


class CoroutineTask(Task[P, R]):
    """A task of an ``async def`` function."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R]:
        """Just make the function's coroutine."""
        return cast(Coroutine[object, object, R], self.definition.function(*args, **kwargs))


def define(function: Callable[..., object], name: str | None, *, takes_context: bool) -> Definition:
    """What *function* is as a task. Raises ``ConveyorError`` when it cannot have a name by itself."""
    called = checked_name("name", name) if name is not None else default_name(function)
    codec = Codec(function, called, skip_first=takes_context)
    isolation: Literal["loop", "thread"] = "loop" if _is_async(function) else "thread"
    return Definition(called, function, codec, isolation, takes_context)


def _is_async(function: Callable[..., object]) -> bool:
    """Also of an object whose ``__call__`` is a coroutine function."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def default_name(function: Callable[..., object]) -> str:
    """``module.qualname``, with the module's import name for ``__main__``.

    ``python app.py`` and ``conveyor worker --app app`` must agree on the name.
    """
    if not isinstance(function, FunctionType):
        raise ConveyorError(f"{function!r} is not a plain function; give the task a name: @app.task(name=...)")
    qualname = function.__qualname__
    if "<" in qualname:
        raise ConveyorError(
            f"{qualname} is a lambda or a nested function, which another process cannot find by its name; "
            "define it at the module's top, or give it a name: @app.task(name=...)"
        )
    module = function.__module__
    if module in {"__main__", "__mp_main__"}:  # the second in a child that multiprocessing spawned
        module = _main_name(function.__globals__)
    return f"{module}.{qualname}"


def _main_name(names: Mapping[str, object]) -> str:
    """From the module's own *names*, not from ``sys.modules``: under a profiler that holds the profiler."""
    spec = names.get("__spec__")
    if isinstance(spec, ModuleSpec):  # python -m package.module
        return spec.name
    file = names.get("__file__")
    return Path(file).stem if isinstance(file, str) else "__main__"
