"""What an app puts around its jobs: middleware, hooks, and what lives as long as a worker does."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TypeVar, cast

from conveyor.context import Context
from conveyor.core.errors import ConveyorError
from conveyor.core.text import checked_name
from conveyor.hooks import NO_HOOKS, Hook, HookName, HookRegistry, Hooks
from conveyor.task import Definition, default_name, is_async

F = TypeVar("F", bound=Callable[..., object])

AsyncWrap = Callable[[Context, Callable[[], Awaitable[object]]], Awaitable[object]]
"""Around ``async`` tasks: ``async def wrap(ctx, call): ... return await call()``."""
PlainWrap = Callable[[Context, Callable[[], object]], object]
"""Around plain tasks: ``def wrap(ctx, call): ... return call()``."""
Lifespan = Callable[[], AbstractAsyncContextManager[object] | AbstractContextManager[object]]


@dataclass
class Around:
    """All of it; one for each app."""

    lifespan: Lifespan | None = None
    async_wraps: list[AsyncWrap] = field(default_factory=list[AsyncWrap])
    plain_wraps: list[PlainWrap] = field(default_factory=list[PlainWrap])
    """Outermost first, as they were registered."""
    hooks: Hooks = NO_HOOKS
    registry: HookRegistry = field(default_factory=HookRegistry)

    def wrap(self, function: Callable[..., object]) -> None:
        """Put *function* around every task of its colour."""
        if not callable(function):
            raise TypeError(f"middleware takes a function (ctx, call), not {function!r}")
        if is_async(function):
            self.async_wraps.append(cast(AsyncWrap, function))
        else:
            self.plain_wraps.append(function)

    def told(self, **when: Hook) -> Hook:
        """Tell a hook of all tasks' ends of a kind: ``told(on_failure=hook)``; gives the hook back."""
        ((moment, hook),) = when.items()
        if not callable(hook):
            raise TypeError(f"{moment} takes a function, not {hook!r}")
        self.hooks = replace(self.hooks, **{moment: (*getattr(self.hooks, moment), hook)})
        return hook

    def called(self, context: Context, call: Callable[[], object]) -> object:
        """Run a plain task's *call* inside the plain middleware."""
        for wrap in reversed(self.plain_wraps):
            call = _plain(wrap, context, call)
        return call()

    async def awaited(self, context: Context, call: Callable[[], Awaitable[object]]) -> object:
        """Await an ``async`` task's *call* inside the ``async`` middleware."""
        for wrap in reversed(self.async_wraps):
            call = _async(wrap, context, call)
        return await call()

    def hooks_of(self, definition: Definition) -> Hooks:
        """Who is told of the ends of a task's attempts, names looked up. ``ConveyorError`` for an unknown one."""
        every = definition.hooks.joined(self.hooks)
        find = self.registry.find
        return Hooks(*(tuple(map(find, hooks)) for hooks in _each(every))) if every else NO_HOOKS

    async def open(self, stack: AsyncExitStack) -> object:
        """Enter the lifespan into *stack*; gives ``ctx.state``."""
        if self.lifespan is None:
            return SimpleNamespace()
        entered = self.lifespan()
        if isinstance(entered, AbstractAsyncContextManager):
            state: object = await stack.enter_async_context(entered)
        elif isinstance(entered, AbstractContextManager):
            state = stack.enter_context(entered)
        else:
            raise ConveyorError(
                f"lifespan gave {type(entered).__name__}, which is no context manager; decorate the function with "
                "contextlib.asynccontextmanager"
            )
        return SimpleNamespace() if state is None else state


class Surrounded:
    """What an app has of it: by these its users say what goes around its jobs."""

    def __init__(self, around: Around) -> None:
        """*around* takes it all."""
        self._around = around

    def middleware(self, wrap: F) -> F:
        """Put *wrap* around every task: ``async def wrap(ctx, call)`` around async tasks, ``def`` around plain ones.

        It returns what ``call()`` returns, or something else, or raises. The first one registered is the outermost.
        """
        self._around.wrap(wrap)
        return wrap

    def hook(self, function: Hook | None = None, /, *, name: str | None = None) -> Callable[[Hook], Hook] | Hook:
        """Register a hook by name (default ``module.qualname``), so that a task's option can name it.

        As ``@app.hook``, or ``@app.hook(name="audit")``.
        """

        def registered(hook: Hook) -> Hook:
            called = checked_name("name", name) if name is not None else default_name(hook)
            self._around.registry.register(called, hook)
            return hook

        return registered if function is None else registered(function)

    def on_success(self, hook: Hook) -> Hook:
        """Tell *hook* of every job of this app that succeeds; it takes an ``Ended``, and may be async.

        As all hooks: in a worker, once the end is written, and at most once.
        """
        return self._around.told(on_success=hook)

    def on_failure(self, hook: Hook) -> Hook:
        """Tell *hook* of every job that fails for good, or is put into quarantine."""
        return self._around.told(on_failure=hook)

    def on_retry(self, hook: Hook) -> Hook:
        """Tell *hook* of every attempt that fails and is followed by another."""
        return self._around.told(on_retry=hook)

    def on_finish(self, hook: Hook) -> Hook:
        """Tell *hook* of every job that an attempt has ended: it succeeded, failed, was cancelled or quarantined.

        Not of one that was cancelled, expired or was deleted while it waited.
        """
        return self._around.told(on_finish=hook)


def _plain(wrap: PlainWrap, context: Context, call: Callable[[], object]) -> Callable[[], object]:
    return lambda: wrap(context, call)


def _async(wrap: AsyncWrap, context: Context, call: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    return lambda: wrap(context, call)


def _each(hooks: Hooks) -> Sequence[tuple[HookName, ...]]:
    return (hooks.on_success, hooks.on_failure, hooks.on_retry, hooks.on_finish)
