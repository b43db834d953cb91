"""redis-py, blocking and async: how one call of a script goes over a connection.

The pools' own connections are used, and not a client's commands: a client sends a command again when it lost the
answer, and says nothing of it. What is sent is packed here: redis-py does that in Python for its async connections,
which costs a microsecond for each of the thousand arguments that a call may have.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from typing import Any, Final, Protocol, cast

import hiredis
from redis import exceptions

from conveyor.core.errors import ConveyorError, OutcomeUnknown, StoreClosed, StoreRefused, StoreUnavailable
from conveyor.plan import Answer, Statement

AWAY: Final = re.compile(
    r"(?:^|-)(READONLY|MASTERDOWN|NOREPLICAS|LOADING|TRYAGAIN|CLUSTERDOWN|OOM|BUSY|MISCONF)\b|read only replica"
)
"""Refusals that pass, or are somebody's to mend: nothing was done. Of a script they stand behind its own words."""
CLOSED: Final = "CLOSED "
"""How our own scripts' refusals begin, where a store is closed to be moved."""

MOVED: Final = re.compile(r"(?:^|-)(MOVED|ASK|TRYAGAIN|CLUSTERDOWN)\b|non local key|[Ss]lot .* not served|^Hash slot")
"""Refusals of a Cluster's node that is not, or not just now, the one to ask."""
FOREIGN: Final = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ResponseError, OSError, TimeoutError)
"""Errors of redis-py's, and of the connection, that are told as ours."""
_HIREDIS: Final[Any] = hiredis
"""What types it has are wrong here."""
Argument = bytes | str | int


class Moving(StoreUnavailable):
    """A shard is at another node by now, or on its way there: nothing was done, and it is worth to try again soon."""


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


class Carried:
    """How far a plan has come. The plan is carried out in its block, and each call in one of ``call``.

    Both are entered for each call of the user's: ``contextmanager`` costs four times as much.
    """

    __slots__ = ("_calls", "_forget", "_one", "_where", "shards", "writes")

    def __init__(self, forget: Callable[[], None], *, writes: bool, where: Callable[[int], str] = lambda _: "") -> None:
        """Nothing is carried out yet. *forget*: what is known of where shards are is out of date.

        *where* says of a shard what errors are to begin with.
        """
        self._forget = forget
        self._where = where
        self._calls = 0
        self._one = _Call(self)
        self.writes = writes
        self.shards: set[int] = set()
        """To which it went."""

    def __enter__(self) -> None:
        """The plan begins."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Behind a first call that was answered nobody can say that nothing was written."""
        if error is None:
            return
        told = error
        if isinstance(error, FOREIGN):
            told = ours(error, writes=self.writes)
            told.__cause__ = error
        if self.writes and self._calls and isinstance(told, StoreUnavailable):
            raise OutcomeUnknown(f"a part was written: {told}") from told
        if told is not error:
            raise told

    def call(self, shard: int) -> "_Call":
        """The block of one call."""
        self.shards.add(shard)
        self._one.shard = shard
        return self._one

    def answered(self) -> None:
        """One more call was."""
        self._calls += 1

    def failed(self, shard: int, error: ConveyorError) -> None:
        """One was not: have *error* say where. That a store is closed is the whole store's to say."""
        if isinstance(error, StoreClosed):
            return
        error.args = (f"{self._where(shard)}{error}",)
        if isinstance(error, StoreUnavailable):
            self._forget()


class _Call:
    """The block of one call. A plan has one at a time."""

    __slots__ = ("_carried", "shard")

    def __init__(self, carried: Carried) -> None:
        self._carried = carried
        self.shard = 0

    def __enter__(self) -> None:
        """It begins."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Its errors are ours, and say where."""
        if error is None:
            self._carried.answered()
        elif isinstance(error, FOREIGN):
            told = ours(error, writes=self._carried.writes)
            self._carried.failed(self.shard, told)
            raise told from error
        elif isinstance(error, ConveyorError):
            self._carried.failed(self.shard, error)


def carry(to: Callable[[int], Connection], tags: Sequence[str], carried: Carried) -> Callable[[Statement], Answer]:
    """Carries script calls over blocking connections: *to* gives that of a shard, whose keys bear its tag."""

    def execute(statement: Statement) -> Answer:
        shard, arguments = _addressed(statement, tags)
        with carried.call(shard):
            connection = to(shard)
            connection.send_packed_command(packed("EVALSHA", _sha(statement.text), *arguments))
            try:
                return _answer(connection.read_response())
            except exceptions.NoScriptError:
                connection.send_packed_command(packed("EVAL", statement.text, *arguments))
                return _answer(connection.read_response())

    return execute


def acarry(
    to: Callable[[int], Awaitable[AsyncConnection]], tags: Sequence[str], carried: Carried, seconds: float
) -> Callable[[Statement], Awaitable[Answer]]:
    """Carries script calls over async connections; each round trip has *seconds*."""

    async def execute(statement: Statement) -> Answer:
        shard, arguments = _addressed(statement, tags)
        with carried.call(shard):
            connection = await to(shard)
            async with asyncio.timeout(seconds):
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


def heard(connection: Connection, replicas: int, seconds: float) -> None:
    """Wait until so many replicas have heard of what was written over *connection*.

    Raises ``OutcomeUnknown`` when they have not: it is written, and a failover may lose it.
    """
    connection.send_packed_command(packed("WAIT", replicas, _milliseconds(seconds)))
    _enough(connection.read_response(), replicas)


async def aheard(connection: AsyncConnection, replicas: int, seconds: float) -> None:
    """The same for async code."""
    async with asyncio.timeout(seconds):
        await connection.send_packed_command(packed("WAIT", replicas, _milliseconds(seconds)))
        _enough(await connection.read_response(), replicas)


def _milliseconds(seconds: float) -> int:
    """What the server gets, so that it answers before we hang up."""
    return max(round(800 * seconds), 1)


def _enough(found: object, replicas: int) -> None:
    if cast(int, found) < replicas:
        raise OutcomeUnknown(f"Redis: written, but only {found} of {replicas} replicas have heard of it")


def _addressed(statement: Statement, tags: Sequence[str]) -> tuple[int, tuple[Argument, ...]]:
    shard = cast(int, statement.params.get("shard", 0))
    return shard, (1, tags[shard], *cast(tuple[Argument, ...], statement.params["arguments"]))


def _answer(reply: object) -> Answer:
    return Answer([(reply,)], 0)


@contextmanager
def translated(*, writes: bool) -> Generator[None]:
    """Errors of redis-py as ours."""
    try:
        yield
    except FOREIGN as error:
        raise ours(error, writes=writes) from error


def ours(error: BaseException, *, writes: bool) -> ConveyorError:
    """An error of redis-py's as ours. After a lost connection nobody knows what became of a write."""
    match error:
        case exceptions.ClusterDownError():
            return Moving(f"Redis: a primary of the Cluster is missing: {error}")
        case exceptions.MovedError() | exceptions.AskError() | exceptions.TryAgainError():
            return Moving(f"Redis: a shard is being moved: {type(error).__name__} {error}")
        case exceptions.AuthenticationError() | exceptions.NoPermissionError():
            return StoreRefused(f"Redis: {error}")
        case exceptions.ResponseError():
            return _refused(error)
        case _ if writes and not isinstance(error, exceptions.BusyLoadingError):
            return OutcomeUnknown(f"Redis: the connection was lost: {said(error)}")
        case _:
            return StoreUnavailable(f"Redis cannot be reached: {said(error)}")


def _refused(error: exceptions.ResponseError) -> ConveyorError:
    if str(error).startswith(CLOSED):
        return StoreClosed(str(error).removeprefix(CLOSED))
    kind = Moving if MOVED.search(str(error)) else StoreUnavailable if passes(error) else StoreRefused
    return kind(f"Redis: {error}")


def said(error: BaseException) -> str:
    """What an error says, or what it is."""
    return str(error) or type(error).__name__


def passes(error: exceptions.ResponseError) -> bool:
    """Whether what the server refused may be asked of it again later, as it is."""
    return isinstance(error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError) or bool(AWAY.search(str(error)))
