"""redis-py, blocking and async: how one call of a script goes over a connection.

The pools' own connections are used, and not a client's commands: a client sends a command again when it lost the
answer, and says nothing of it.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from typing import Final, Protocol, cast

from redis import exceptions

from conveyor.core.errors import OutcomeUnknown, StoreClosed, StoreRefused, StoreUnavailable
from conveyor.plan import Answer, Statement

AWAY: Final = ("READONLY", "MASTERDOWN", "NOREPLICAS", "LOADING", "TRYAGAIN", "CLUSTERDOWN", "OOM", "BUSY", "MISCONF")
"""How a server's refusals begin that pass, or are somebody's to mend: nothing was done."""
CLOSED: Final = "CLOSED "
"""How our own scripts' refusals begin, where a store is closed to be moved."""

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


def _arguments(statement: Statement, prefix: str) -> tuple[Argument, ...]:
    return (1, prefix, *cast(tuple[Argument, ...], statement.params["arguments"]))


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
        if str(error).startswith(CLOSED):
            raise StoreClosed(str(error).removeprefix(CLOSED)) from error
        kind = StoreUnavailable if passes(error) else StoreRefused
        raise kind(f"Redis: {error}") from error


def said(error: Exception) -> str:
    """What an error says, or what it is."""
    return str(error) or type(error).__name__


def passes(error: exceptions.ResponseError) -> bool:
    """Whether what the server refused may be asked of it again later, as it is."""
    return isinstance(error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError) or str(error).startswith(AWAY)
