"""One enqueued call, as a test reads it."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo
from conveyor.task import Definition

HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Enqueued:
    """One call in the store."""

    info: JobInfo
    """Its job, as it stood when it was looked at: ``info.queue``, ``info.state``, ``info.tags`` ..."""
    arguments: Mapping[str, object]
    """By parameter; those that were not passed have their defaults."""
    text: str
    """The call as one would write it: ``shop.welcome(42, plan='pro')``."""

    def __str__(self) -> str:
        """For messages."""
        return f"{self.text}, in queue {self.info.queue!r}, {_standing(self.info)}"


def read_call(info: JobInfo, definition: Definition | None) -> Enqueued:
    """The call of a job; without its arguments when the task is unknown, or has other parameters by now."""
    if definition is not None:
        with contextlib.suppress(TypeError, ValueError):
            args, kwargs = definition.codec.decode(info.payload)
            return Enqueued(info, arguments_of(definition, args, kwargs), written(info.task, args, kwargs, info))
    return Enqueued(info, {}, f"{info.task}({info.payload.decode('utf-8', 'replace')})")


def arguments_of(definition: Definition, args: Sequence[object], kwargs: Mapping[str, object]) -> Mapping[str, object]:
    """Arguments by parameter, with defaults. ``TypeError`` when the function does not take them."""
    signature = definition.codec.signature()
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"{definition.name}{signature}: {error}; args and kwargs are the whole call, arguments={{...}} a part of it"
        ) from None
    bound.apply_defaults()
    return bound.arguments


def written(task: str, args: Sequence[object], kwargs: Mapping[str, object], info: JobInfo | None = None) -> str:
    """A call as one would write it. What a task keeps out of sight stays so."""
    hidden = () if info is None else info.extras.redact
    parts = [HIDDEN if at in hidden else repr(value) for at, value in enumerate(args)]
    parts += [f"{name}={HIDDEN if name in hidden else repr(value)}" for name, value in kwargs.items()]
    return f"{task}({', '.join(parts)})"


def _standing(info: JobInfo) -> str:
    if info.state is State.SCHEDULED:
        return f"scheduled for {info.run_after - info.enqueued_at} after it was enqueued"
    return info.state.value
