"""A value that has yet to run, where a result was meant: its job must not end as succeeded with nothing done."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Final, cast

from conveyor.core.errors import PayloadError
from conveyor.core.values import kind_of
from conveyor.task import Definition, is_async

_PLAIN: Final = frozenset(map(id, (type(None), bool, int, float, str, bytes, list, tuple, dict)))
"""By identity: a class may have a metaclass by which it has no hash."""
LATER: Final = (Coroutine, Generator, AsyncGenerator, asyncio.Future)


def refuse_unrun(who: str, value: object, definition: Definition | None = None) -> None:
    """Raise ``PayloadError`` when *value* is a coroutine, a generator or a future: *who* had to await it, or to loop.

    A coroutine or generator is closed: nobody will run it, and Python would warn of that later, far from here. A future
    is left alone: others may wait for it.
    """
    if id(type(value)) in _PLAIN or not _later(type(value)):
        return
    refusal = PayloadError(f"result: {who} {kind_of(value)}, and not what comes of it: {_remedy(value, definition)}")
    try:
        if issubclass(type(value), Coroutine | Generator):
            cast(Coroutine[object, object, object], value).close()
    except BaseException as trouble:
        raise refusal from trouble
    raise refusal


def _later(kind: type) -> bool:
    try:
        return issubclass(kind, LATER)
    except BaseException:  # noqa: BLE001 - its metaclass may raise anything; whether it can be stored, its encoding finds
        return False


def _remedy(value: object, definition: Definition | None) -> str:
    if issubclass(type(value), Generator | AsyncGenerator):
        return "loop over it in the task, or return a list of what it gives"
    function = None if definition is None else definition.function
    if function is None or is_async(function):
        return "await it"
    inner = inspect.unwrap(function)
    if is_async(inner):
        name = getattr(inner, "__qualname__", "function")
        return f"a plain function wraps {name}, which is async; make the wrapper `async def`, and await {name} in it"
    return "make the task's function, or the decorator around it, `async def`, and await it there"
