"""redis-py, blocking and async: how one call of a script goes over a connection.

The pools' own connections are used, and not a client's commands: a client sends a command again when it lost the
answer, and says nothing of it.
"""

import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from typing import Final, Protocol, cast

from redis import exceptions

from conveyor.core.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from conveyor.plan import Answer, Statement

AWAY: Final = re.compile(
    r"(?:^|-)(READONLY|MASTERDOWN|NOREPLICAS|LOADING|TRYAGAIN|CLUSTERDOWN|OOM|BUSY|MISCONF)\b|read only replica"
)
"""Refusals that pass, or are somebody's to mend: nothing was done. Of a script they stand behind its own words."""

Argument = bytes | str | int


class Connection(Protocol):
    """What redis-py's connections have."""

    def send_command(self, *arguments: Argument) -> None:
        """Send it."""
        ...

    def read_response(self) -> object:
        """Wait for the answer."""
        ...


class AsyncConnection(Protocol):
    """The same for async code."""

    def send_command(self, *arguments: Argument) -> Awaitable[None]:
        """Send it."""
        ...

    def read_response(self) -> Awaitable[object]:
        """Wait for the answer."""
        ...


def carry(connection: Connection, prefix: str) -> Callable[[Statement], Answer]:
    """Carries script calls over a blocking *connection*, to the keys behind *prefix*."""

    def execute(statement: Statement) -> Answer:
        arguments = _arguments(statement, prefix)
        connection.send_command("EVALSHA", _sha(statement.text), *arguments)
        try:
            return _answer(connection.read_response())
        except exceptions.NoScriptError:
            connection.send_command("EVAL", statement.text, *arguments)
            return _answer(connection.read_response())

    return execute


def acarry(connection: AsyncConnection, prefix: str) -> Callable[[Statement], Awaitable[Answer]]:
    """Carries script calls over an async *connection*."""

    async def execute(statement: Statement) -> Answer:
        arguments = _arguments(statement, prefix)
        await connection.send_command("EVALSHA", _sha(statement.text), *arguments)
        try:
            return _answer(await connection.read_response())
        except exceptions.NoScriptError:
            await connection.send_command("EVAL", statement.text, *arguments)
            return _answer(await connection.read_response())

    return execute


@cache
def _sha(text: str) -> str:
    """By which name the server knows a script that it has seen."""
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


def heard(connection: Connection, replicas: int, seconds: float) -> None:
    """Wait until so many replicas have heard of what was written over *connection*.

    Raises ``OutcomeUnknown`` when they have not: it is written, and a failover may lose it.
    """
    connection.send_command("WAIT", replicas, _milliseconds(seconds))
    _enough(connection.read_response(), replicas)


async def aheard(connection: AsyncConnection, replicas: int, seconds: float) -> None:
    """The same for async code."""
    await connection.send_command("WAIT", replicas, _milliseconds(seconds))
    _enough(await connection.read_response(), replicas)


def _milliseconds(seconds: float) -> int:
    """What the server gets, so that it answers before we hang up."""
    return max(round(800 * seconds), 1)


def _enough(found: object, replicas: int) -> None:
    if cast(int, found) < replicas:
        raise OutcomeUnknown(f"Redis: written, but only {found} of {replicas} replicas have heard of it")


def _arguments(statement: Statement, prefix: str) -> tuple[Argument, ...]:
    shard = f"{{{prefix}:{statement.params.get('shard', 0)}}}"  # whose braces keep all its keys on one node
    return (1, shard, *cast(tuple[Argument, ...], statement.params["arguments"]))


def _answer(reply: object) -> Answer:
    return Answer([(reply,)], 0)


@contextmanager
def translated(*, writes: bool) -> Generator[None]:
    """Errors of redis-py as ours. After a lost connection nobody knows what became of a write."""
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        raise StoreRefused(f"Redis: {error}") from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError, TimeoutError) as error:
        if writes and not isinstance(error, exceptions.BusyLoadingError):
            raise OutcomeUnknown(f"Redis: the connection was lost: {said(error)}") from error
        raise StoreUnavailable(f"Redis cannot be reached: {said(error)}") from error
    except exceptions.ResponseError as error:
        kind = StoreUnavailable if passes(error) else StoreRefused
        raise kind(f"Redis: {error}") from error


def said(error: Exception) -> str:
    """What an error says, or what it is."""
    return str(error) or type(error).__name__


def passes(error: exceptions.ResponseError) -> bool:
    """Whether what the server refused may be asked of it again later, as it is."""
    return isinstance(error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError) or bool(AWAY.search(str(error)))
