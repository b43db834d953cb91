"""What is told of an attempt's end, once it is written: for audits, metrics, and the user's own records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from conveyor.core.errors import ConveyorError
from conveyor.core.failure import Failure
from conveyor.core.lifecycle import State


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one attempt, as a hook is told of it."""

    id: str
    """The job's id."""
    task: str
    """The task's name."""
    queue: str
    state: State
    """Where the job stands now: final, or waiting for its next attempt."""
    attempt: int
    """The number of the attempt that has ended, from 1."""
    max_attempts: int
    run_time: timedelta
    """How long it ran."""
    error: Failure | None
    """What the attempt failed of; without secrets, as it is stored."""
    reason: str | None
    """Why the job was cancelled."""
    result: bytes | None
    """What the function returned, as JSON; ``None`` for ``None``, and when results are not stored."""
    tags: tuple[str, ...]
    meta: Mapping[str, object]
    """What ``using(meta=...)`` gave the job."""


Hook = Callable[[Ended], object]
"""Plain or ``async``; what it returns is dropped, what it raises is logged."""
HookName = Hook | str
"""A function, or the name of a registered one."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who is told of what."""

    on_success: tuple[HookName, ...] = ()
    on_failure: tuple[HookName, ...] = ()
    """The job has failed for good, or was put into quarantine."""
    on_retry: tuple[HookName, ...] = ()
    """The attempt failed, and another one follows."""
    on_finish: tuple[HookName, ...] = ()
    """The attempt has ended the job: it succeeded, failed, was cancelled or quarantined."""

    def __bool__(self) -> bool:
        """Whether anybody is told of anything."""
        return bool(self.on_success or self.on_failure or self.on_retry or self.on_finish)

    def joined(self, other: "Hooks") -> "Hooks":
        """These, then the *other* ones."""
        return Hooks(
            self.on_success + other.on_success,
            self.on_failure + other.on_failure,
            self.on_retry + other.on_retry,
            self.on_finish + other.on_finish,
        )

    def for_state(self, state: State) -> tuple[HookName, ...]:
        """Who is told that an attempt ended so."""
        match state:
            case State.SUCCEEDED:
                return self.on_success + self.on_finish
            case State.FAILED | State.QUARANTINED:
                return self.on_failure + self.on_finish
            case State.CANCELLED:
                return self.on_finish
            case State.RETRYABLE:
                return self.on_retry
            case _:
                return ()


NO_HOOKS: Final = Hooks()


def hook_list(what: str, value: HookName | Sequence[HookName] | None) -> tuple[HookName, ...]:
    """One hook or several, as an option gives them; ``TypeError`` for what cannot be called or looked up."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    given = () if value is None else tuple(cast(Sequence[object], value)) if several else (cast(object, value),)
    for hook in given:
        if not isinstance(hook, str) and not callable(hook):
            raise TypeError(f"{what} must be a function, or the name of a registered hook, not {hook!r}")
    return cast(tuple[HookName, ...], given)


class HookRegistry:
    """The hooks that may be named. A name in an option is looked up here, and nothing is ever imported for it."""

    def __init__(self) -> None:
        """Knows none yet."""
        self._hooks: dict[str, Hook] = {}

    def register(self, name: str, hook: Hook) -> None:
        """*hook* may be called *name*. ``ConveyorError`` when another is called so."""
        if self._hooks.get(name, hook) is not hook:
            raise ConveyorError(f"a hook named {name!r} is registered already; give one of the two another name")
        self._hooks[name] = hook

    def find(self, hook: HookName) -> Hook:
        """The function. ``ConveyorError`` for a name that nobody has registered."""
        if not isinstance(hook, str):
            return hook
        try:
            return self._hooks[hook]
        except KeyError:
            known = ", ".join(sorted(self._hooks)) or "none"
            raise ConveyorError(
                f"no hook is registered as {hook!r}; register it with @app.hook. Known: {known}"
            ) from None
