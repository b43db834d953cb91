"""Connections of psycopg's whose round trips end in time, whatever the server does, or whatever sits in between.

Keep-alives and the kernel's own timeouts notice a dead host, and not a proxy that answers for it, nor a server that
accepts and never answers. psycopg drives each round trip, COMMIT included, as a generator that is resumed at least
each tenth of a second: there the clock is looked at.
"""

import asyncio
import contextlib
import math
import select
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection, capabilities
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

T = TypeVar("T")

DEADLINE: Final = 9.5
"""Seconds that one round trip of ours may take. A little more than what it may wait for a lock (``LOCK_WAIT``), so that
the server says no before we hang up; and with the time to hang up, no more than ten."""
UNDOING: Final = 2.0
"""Seconds that a rollback may take: without an answer we hang up, and the server takes it all back as well."""
CANCELLING: Final = 0.5
"""Seconds to get the server to stop what nobody waits for any more: it may hold, or wait for, locks."""


class Overdue(psycopg.OperationalError):
    """No answer came in time. The connection is of no use any more, and nobody knows what became of what was sent."""


class _Timed:
    """The time that round trips have: for ever, until ``allow`` says otherwise."""

    allowed = math.inf
    """Seconds without a sign of life from the server."""
    end = math.inf
    """When the time of the round trip under way is over, on the monotonic clock."""
    lingers = False
    """Whether it stays open when its time is over: of no use any more, but the server is not told so."""
    hangs_up = False
    """Whether nobody waits for its answer any more."""

    def allow(self, seconds: float) -> None:
        """Let each round trip from now on last for *seconds*; longer only while something arrives, or is sent."""
        self.allowed = seconds

    def begin(self) -> None:
        """A round trip begins."""
        self.end, self.hangs_up = time.monotonic() + self.allowed, False

    def hang_up(self) -> None:
        """Give the round trip under way a last moment."""
        self.end, self.hangs_up = min(self.end, time.monotonic() + 2 * CANCELLING), True


class Wire(_Timed, Connection[TupleRow]):
    """A blocking connection of ours."""

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """See psycopg; all round trips go through here."""
        self.begin()
        try:
            return super().wait(_timed(self, gen), *args, **kwargs)
        except Overdue:
            if not self.lingers:
                with contextlib.suppress(psycopg.Error):
                    self.cancel_safe()
                self.pgconn.finish()
            raise

    def cancel_safe(self, *, timeout: float = CANCELLING) -> None:
        """See psycopg, which calls this too, when its caller is interrupted, and then waits for what comes of it."""
        self.hang_up()
        if capabilities.has_cancel_safe():  # what older libraries have instead may last for minutes
            super().cancel_safe(timeout=min(timeout, CANCELLING))


class AsyncWire(_Timed, AsyncConnection[TupleRow]):
    """The same for async code."""

    async def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """See ``Wire.wait``."""
        self.begin()
        try:
            return await super().wait(_timed(self, gen), *args, **kwargs)
        except Overdue:
            try:
                with contextlib.suppress(psycopg.Error):
                    await self.cancel_safe()
            finally:  # the caller may be cancelled just now
                self.pgconn.finish()
            raise

    async def cancel_safe(self, *, timeout: float = CANCELLING) -> None:  # noqa: ASYNC109 - psycopg's signature
        """See ``Wire.cancel_safe``."""
        self.hang_up()
        if capabilities.has_cancel_safe():
            await super().cancel_safe(timeout=min(timeout, CANCELLING))


async def unasked(connection: AsyncWire, seconds: float) -> None:
    """Wait until the server says something, for at most *seconds*. psycopg would look ten times in each of them."""
    loop, said = asyncio.get_running_loop(), asyncio.Event()
    socket = connection.pgconn.socket
    loop.add_reader(socket, said.set)
    try:
        async with asyncio.timeout(seconds):
            await said.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(socket)


@contextmanager
def limited(connection: object, seconds: float) -> Generator[None]:
    """Each round trip inside has *seconds*, if the connection is of ours; those after have no limit."""
    if not isinstance(connection, _Timed):
        yield
        return
    connection.allow(seconds)
    try:
        yield
    finally:
        connection.allow(math.inf)


def usable(connection: Wire | AsyncWire) -> bool:
    """Whether an idle connection has heard nothing since: what it would hear is the server taking its leave."""
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return False
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return not poll.poll(0)


def _timed(wire: _Timed, gen: PQGen[T]) -> PQGen[T]:
    """*gen*, until its time is over. An answer that has come by then counts, however late it is read."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            wanted = gen.send(ready)
            now = time.monotonic()
            if ready and not wire.hangs_up:
                wire.end = now + wire.allowed
            elif now > wire.end:
                raise Overdue(f"no answer within {wire.allowed:.1f} s")
    except StopIteration as end:
        value: T = end.value
        return value
