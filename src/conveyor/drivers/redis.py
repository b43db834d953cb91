"""redis-py, blocking and async: how one call of a script goes over a connection.

The pools' own connections are used, and not a client's commands: a client sends a command again when it lost the
answer, and says nothing of it. What is sent is packed here: redis-py does that in Python for its async connections,
which costs a microsecond for each of the thousand arguments that a call may have.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from typing import Any, Final, Protocol, cast

import hiredis
from redis import exceptions

from conveyor.core.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from conveyor.plan import Answer, Statement

AWAY: Final = ("READONLY", "MASTERDOWN", "NOREPLICAS", "LOADING", "TRYAGAIN", "CLUSTERDOWN", "OOM", "BUSY", "MISCONF")
"""How a server's refusals begin that pass, or are somebody's to mend: nothing was done."""


_HIREDIS: Final[Any] = hiredis
"""What types it has are wrong here."""
Argument = bytes | str | int


class Connection(Protocol):
    """What redis-py's connections have."""

    def send_packed_command(self, command: Sequence[bytes]) -> None:
        """Send it."""
        ...

    def read_response(self) -> object:
        """Wait for the answer."""
        ...


class AsyncConnection(Protocol):
    """The same for async code."""

    def send_packed_command(self, command: Sequence[bytes]) -> Awaitable[None]:
        """Send it."""
        ...

    def read_response(self) -> Awaitable[object]:
        """Wait for the answer."""
        ...


def carry(connection: Connection, prefix: str) -> Callable[[Statement], Answer]:
    """Carries script calls over a blocking *connection*, to the keys behind *prefix*."""

    def execute(statement: Statement) -> Answer:
        arguments = _arguments(statement, prefix)
        connection.send_packed_command(packed("EVALSHA", _sha(statement.text), *arguments))
        try:
            return _answer(connection.read_response())
        except exceptions.NoScriptError:
            connection.send_packed_command(packed("EVAL", statement.text, *arguments))
            return _answer(connection.read_response())

    return execute


def acarry(connection: AsyncConnection, prefix: str) -> Callable[[Statement], Awaitable[Answer]]:
    """Carries script calls over an async *connection*."""

    async def execute(statement: Statement) -> Answer:
        arguments = _arguments(statement, prefix)
        await connection.send_packed_command(packed("EVALSHA", _sha(statement.text), *arguments))
        try:
            return _answer(await connection.read_response())
        except exceptions.NoScriptError:
            await connection.send_packed_command(packed("EVAL", statement.text, *arguments))
            return _answer(await connection.read_response())

    return execute


def packed(*arguments: Argument) -> Sequence[bytes]:
    """A command as it goes over the wire, in one piece."""
    return [_HIREDIS.pack_command(arguments)]


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
        kind = StoreUnavailable if passes(error) else StoreRefused
        raise kind(f"Redis: {error}") from error


def said(error: Exception) -> str:
    """What an error says, or what it is."""
    return str(error) or type(error).__name__


def passes(error: exceptions.ResponseError) -> bool:
    """Whether what the server refused may be asked of it again later, as it is."""
    return isinstance(error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError) or str(error).startswith(AWAY)
