"""How a function is made a task: ``@app.task`` and ``@conveyor.task`` take the same options, checked in one place."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Concatenate, Final, Literal, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

import msgspec

from conveyor.context import Context
from conveyor.core.backoff import DEFAULT_BACKOFF, Backoff
from conveyor.core.extras import encoded
from conveyor.core.options import Duration, Lasting, Options, flag
from conveyor.core.policy import checked_policy
from conveyor.hooks import HookName, Hooks, hook_list
from conveyor.task import CoroutineTask, Definition, FunctionTask, Isolation, Sender, Task, define

P = ParamSpec("P")
R = TypeVar("R")


class TaskOptions(Lasting, total=False):
    """The options of a task, besides ``takes_context``; what they mean is with ``TaskMaker``."""

    name: str | None
    backoff: Backoff | Callable[[int], Duration]
    retry_on: type[BaseException] | Sequence[type[BaseException]] | Callable[[BaseException], bool] | None
    isolation: Isolation | None
    transactional: bool
    redact: Sequence[str]
    on_success: HookName | Sequence[HookName]
    on_failure: HookName | Sequence[HookName]
    on_retry: HookName | Sequence[HookName]
    on_finish: HookName | Sequence[HookName]


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


class TaskMaker:
    """``@app.task`` or ``@app.task(queue="mail", max_attempts=3)``: makes a function a task.

    *name* (default ``module.qualname``) is what jobs carry in the store, and must stay when code moves.
    *takes_context* fills the first parameter with a ``Context``.

    When and where: *queue* (``"default"``); *priority* from -100 to 100, higher first (0); *expires*, how long after
    it came due a job may still start (for ever).

    Failures: *max_attempts* (5); *backoff* between them, a ``Backoff`` or a function from the number of the failed
    attempt to seconds (5 s, 15 s, 45 s ...); *retry_on*, the exceptions worth another attempt, or a function that
    says so (all); *timeout* in seconds or as ``timedelta`` per attempt (one hour; ``None`` for no limit); *memory*,
    bytes or text as ``"512MB"``, that its process may hold (no limit).

    *isolation*: ``"process"`` for a process that runs one job at a time and can be stopped (plain functions, unless
    said otherwise), ``"thread"`` for a thread of the worker, which cannot, ``"loop"`` for its event loop (async ones).

    What stays: *store_result* (yes); *keep*, how long the ended job stays (30 days; ``None`` for ever); *tags*;
    *redact*, names of parameters whose values are kept out of stored errors and lists.

    *unique*: ``True`` for one unfinished job for each set of arguments, a key, or a ``Unique``. *transactional*: the
    worker opens a transaction around the function, and commits its writes, the jobs that it enqueues and its
    completion together. *on_success*, *on_failure*, *on_retry*, *on_finish*: hooks, or names of registered ones.

    Raises ``ConveyorError`` when the name is taken, or the function cannot have one by itself, and ``PayloadError``
    or ``TypeError`` for an option that breaks its rule.
    """

    def __init__(self, sender: Callable[[], Sender], add: Callable[[Task[..., object]], None]) -> None:
        """*sender* is what the tasks send through, *add* takes each."""
        self._sender = sender
        self._add = add

    @overload
    def __call__(self, function: Callable[P, Coroutine[object, object, R]], /) -> CoroutineTask[P, R]: ...  # type: ignore[overload-overlap]  # async def is the narrower case, and comes first
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...
    @overload
    def __call__(self, *, takes_context: Literal[False] = False, **options: Unpack[TaskOptions]) -> Decorator: ...
    @overload
    def __call__(self, *, takes_context: Literal[True], **options: Unpack[TaskOptions]) -> ContextDecorator: ...
    def __call__(  # type: ignore[misc]  # mypy does not see through Unpack here; pyright does
        self,
        function: Callable[..., object] | None = None,
        /,
        *,
        takes_context: bool = False,
        **options: Unpack[TaskOptions],
    ) -> object:
        """See the class."""
        declared = Declaration(takes_context=takes_context, **options)

        def made(function: Callable[..., object]) -> Task[..., object]:
            task = declared.task(function, self._sender())
            self._add(task)
            return task

        return made if function is None else made(function)


class Declaration:
    """The options of one task, checked."""

    def __init__(self, *, takes_context: bool, **options: Unpack[TaskOptions]) -> None:
        """Raises for what breaks a rule."""
        known = TaskOptions.__annotations__.keys() | Lasting.__annotations__.keys()
        if unknown := options.keys() - known:
            hint = "run_after, meta and within are for using()"
            raise TypeError(f"a task has no option {', '.join(sorted(unknown))}; {hint}")
        self._name = options.get("name")
        self._takes_context = flag("takes_context", takes_context)
        self._policy = checked_policy(options.get("backoff", DEFAULT_BACKOFF), options.get("retry_on"))
        self._isolation: Isolation | None = options.get("isolation")
        self._transactional = flag("transactional", options.get("transactional", False))
        self._redact = _names(options.get("redact", ()))
        self._hooks = Hooks(*(hook_list(when, cast(HookName | None, options.get(when))) for when in _WHEN))
        lasting = {name: value for name, value in options.items() if name in Lasting.__annotations__}
        self._options = Options().changed(**cast(Lasting, lasting))

    def task(self, function: Callable[..., object], sender: Sender) -> Task[..., object]:
        """*function* as a task that sends through *sender*."""
        plain = define(function, self._name, self._isolation, takes_context=self._takes_context)
        definition = replace(plain, policy=self._policy, transactional=self._transactional, hooks=self._hooks)
        kind = CoroutineTask if definition.coroutine else FunctionTask
        return cast(Task[..., object], kind(definition, self._with_redacted(definition), sender))

    def _with_redacted(self, definition: Definition) -> Options:
        if not self._redact:
            return self._options
        places = definition.codec.places(self._redact)
        extras = msgspec.structs.replace(self._options.extras, redact=places)
        return replace(self._options, extras=extras, stored_extras=encoded(extras))


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        raise TypeError(f"redact must be a list of parameter names, as redact=['password'], not {value!r}")
    names = tuple(cast(Sequence[object], value))
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"redact must be a list of parameter names, not {value!r}")
    return cast(tuple[str, ...], names)


_WHEN: Final = ("on_success", "on_failure", "on_retry", "on_finish")
