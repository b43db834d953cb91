"""``Task``: a function that can be enqueued. It knows a ``Sender``, never an app."""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType
from typing import Final, Generic, Literal, ParamSpec, Protocol, TypeVar, Unpack, cast, get_args

from conveyor.core.codec import Codec
from conveyor.core.errors import ConveyorError, UsageError
from conveyor.core.options import Changes, Options
from conveyor.core.policy import DEFAULT_POLICY, Policy
from conveyor.core.text import checked_name, is_a, told
from conveyor.hooks import NO_HOOKS, Hooks
from conveyor.job import Job

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Isolation = Literal["loop", "thread", "process"]

INHERIT: Final = object()
"""Join the transaction of the block that the call stands in, if it stands in one."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a worker needs to run a task, and a client to enqueue it."""

    name: str
    function: Callable[..., object]
    codec: Codec
    isolation: Isolation
    """Where it runs: in the event loop, in a thread, or in a process that runs one job at a time."""
    takes_context: bool
    policy: Policy = DEFAULT_POLICY
    transactional: bool = False
    """Whether the worker opens a transaction around the function, and completes the job in it."""
    hooks: Hooks = NO_HOOKS
    coroutine: bool = False
    """Whether a call of it is to be awaited."""


@dataclass(frozen=True, slots=True)
class Call(Generic[R_co]):
    """A task with its arguments and options, ready to be enqueued; ``task.bind(...)`` makes it."""

    definition: Definition
    options: Options
    payload: bytes
    within: object = INHERIT
    """The connection whose transaction it joins; ``None`` for none, whatever block it is in."""


class Sender(Protocol):
    """Who takes calls to the store."""

    def send(self, call: Call[R]) -> Job[R]:
        """Enqueue one call."""
        ...

    async def asend(self, call: Call[R]) -> Job[R]:
        """Enqueue one call from async code."""
        ...


class Enqueueable(Generic[P, R_co]):
    """A task with options chosen: what ``using()`` returns, and the base of a task itself."""

    __slots__ = ("_sender", "_within", "definition", "options")

    def __init__(self, definition: Definition, options: Options, sender: Sender, within: object = INHERIT) -> None:
        """Made by ``@app.task`` and ``using()``."""
        self.definition = definition
        self.options = options
        self._sender = sender
        self._within = within

    @property
    def sender(self) -> Sender:
        """Who takes its calls to the store."""
        return self._sender

    def using(self, **changes: Unpack[Changes]) -> "Enqueueable[P, R_co]":
        """The same task with other options for one job: ``task.using(priority=9).enqueue(5)``.

        ``queue``; ``priority`` from -100 to 100, higher first; ``run_after`` (an aware ``datetime``, or seconds or
        a ``timedelta`` from now); ``max_attempts``; ``backoff``; ``timeout`` (seconds or ``timedelta`` per attempt,
        ``None`` for no limit); ``memory`` (bytes, or text as ``"512MB"``); ``expires`` (how long after it came due it
        may still start); ``keep`` (how long the finished job stays, ``None`` for ever); ``unique`` (``True``, a key, or
        a ``Unique``); ``store_result``; ``tags``; ``meta`` (a dict of JSON values); ``within`` (a connection whose open
        transaction it joins, ``None`` to stay out of the block's). Raises ``PayloadError`` or ``TypeError`` when a
        value breaks its rule.
        """
        within = changes.pop("within", self._within)
        return Enqueueable(self.definition, self.options.changed(**changes), self._sender, within)

    def bind(self, /, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """This call, for ``app.enqueue_many``. Raises as ``enqueue`` does, here and now."""
        return Call(self.definition, self.options, self.definition.codec.encode(args, kwargs), self._within)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """Store this call. Once that is committed, here or with the block that this stands in, the job will run.

        Raises ``TypeError`` for arguments that the function does not take, ``PayloadError`` for values that
        cannot be stored, ``DuplicateJob`` when another job holds its unique key and that was to be an error,
        ``NotInTransaction`` or ``WrongStore`` for a connection that cannot take it, ``StoreUnavailable`` when nothing
        was written, and ``OutcomeUnknown`` when the connection was lost and the store could not be asked any more.
        """
        return self._sender.send(self.bind(*args, **kwargs))

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """``enqueue`` for async code; concurrent callers share one insert."""
        return await self._sender.asend(self.bind(*args, **kwargs))


class Task(Enqueueable[P, R_co]):
    """A function that can be enqueued; *R_co* is what it returns (what its coroutine returns, when async)."""

    __slots__ = ("__weakref__",)

    @property
    def name(self) -> str:
        """The name that its jobs carry in the store."""
        return self.definition.name

    def __repr__(self) -> str:
        """For logs and the prompt."""
        return f"<Task {self.name}>"


class FunctionTask(Task[P, R_co]):
    """A task of a plain function."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Just run the function, here and now."""
        return cast(R_co, self.definition.function(*args, **kwargs))


class CoroutineTask(Task[P, R_co]):
    """A task of an ``async def`` function."""

    __slots__ = ()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R_co]:
        """Just make the function's coroutine."""
        return cast(Coroutine[object, object, R_co], self.definition.function(*args, **kwargs))


def define(
    function: Callable[..., object], name: str | None, isolation: Isolation | None = None, *, takes_context: bool
) -> Definition:
    """What *function* is as a task. ``ConveyorError`` when no worker could run it, or it has no name by itself."""
    if is_a(function, Enqueueable):
        raise ConveyorError(
            f"{told(function)} is a task already; to have its function as another task, give that: "
            "app.task(name=...)(the_task.definition.function)"
        )
    called = checked_name("name", default_name(function) if name is None else name)
    if _yields(function):
        raise ConveyorError(
            f"{called} is a generator function, and a worker would run nothing of it: it does not loop over what it "
            "gets; do the work in a function that returns, a list for instance"
        )
    codec = Codec(function, called, skip_first=takes_context)
    coroutine = is_async(function)
    return Definition(called, function, codec, isolation_of(isolation, coroutine), takes_context, coroutine=coroutine)


def isolation_of(wanted: Isolation | None, coroutine: bool) -> Isolation:  # noqa: FBT001 - a fact, not a switch
    """Where a function is to run; ``UsageError`` for where it cannot."""
    if wanted is None:
        return "loop" if coroutine else "process"
    if wanted not in get_args(Isolation):
        raise UsageError(f"isolation must be 'process', 'thread' or 'loop', not {told(wanted)}")
    if wanted == ("thread" if coroutine else "loop"):
        only = "an async function" if coroutine else "a plain function"
        other = "'loop' or 'process'" if coroutine else "'process' or 'thread'"
        raise UsageError(f"isolation={wanted!r} is not for {only}; choose {other}")
    return wanted


def is_async(function: Callable[..., object]) -> bool:
    """Also of an object whose ``__call__`` is a coroutine function."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _yields(function: Callable[..., object]) -> bool:
    """Whether a call of it runs nothing, but makes a generator; also of an object, as above."""
    return any(
        inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)
        for called in (function, type(function).__call__)
    )


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
