"""Locks on PostgreSQL: a held one is tied to a session of its holder's, by an advisory lock of the server's.

Through a pooler there are no ties, for its sessions are nobody's own: there a lock of the dead runs out.
"""

import contextlib
import math
import os
import threading
import time
from concurrent.futures import Future, wait
from typing import ClassVar, Final, NamedTuple

import psycopg
from psycopg import conninfo

from conveyor.core.errors import ConveyorError
from conveyor.drivers.postgres import carry
from conveyor.drivers.postgres_wire import Wire
from conveyor.plan import Answer, Statement
from conveyor.store.locks import SqlLocks, Ties
from conveyor.store.postgres.links import SPARE, connect
from conveyor.store.postgres.plans import LOCK_WAIT, PostgresDialect
from conveyor.store.sqlfiles import sql

PATIENCE: Final = 3.0
"""Seconds that the server gets to answer the one who makes ties, where the locks have so much."""
LEAST: Final = 0.05
"""Seconds that it gets for one answer in any case."""
CONNECTING: Final = 5
"""Seconds to connect in."""
APART: Final = 10.0
"""Seconds until another try, where no tie could be made."""
DROP: Final = 6
"""Seconds after which the server ends a silent session, once it has begun to ask."""


class PostgresLocks(PostgresDialect, SqlLocks):
    """See ``store.locks.Locks``."""

    grace: ClassVar[float] = 0.3
    spare: ClassVar[float] = SPARE

    def __init__(self, text: str) -> None:
        """*text* leads to the server itself where anything does; connects to nothing yet."""
        self._text = text

    def params(self, **params: object) -> dict[str, object]:
        """See ``SqlBase.params``."""
        return params | {"patience": str(LOCK_WAIT)}

    def ties(self) -> Ties:
        """See ``Locks``."""
        return SessionTies(self._text)


class SessionTies:
    """See ``store.locks.Ties``: one session for all locks of the process.

    The server ends it when the process dies, for then its kernel hangs up. When the machine is gone or cut off nobody
    hangs up, and the holder may live: so the server is told to keep a silent session until all its locks have run out.
    Nor do we hang up on a server that does not answer, while a lock may be taken for that of somebody who has died.
    """

    patience = PATIENCE

    def __init__(self, text: str) -> None:
        """Connects to nothing yet."""
        self._text = conninfo.make_conninfo(text, connect_timeout=CONNECTING)
        self._coming: Future[_Session] | None = None
        self._session: _Session | None = None
        self._left: _Session | None = None
        """One that is no good, and whose locks have not all been renewed since."""
        self._pooled = False
        self._not_before = 0.0

    @property
    def file(self) -> int | None:
        """See ``Ties``: whoever ends a session says so."""
        return None if self._session is None else self._session.socket.file

    def tie(self, name: str, seconds: float) -> bool:
        """See ``Ties``."""
        end = time.monotonic() + min(self.patience, PATIENCE)
        self._forget(name)
        if self._pooled or self._left is not None or time.monotonic() < self._not_before:
            return False
        try:
            session = self._keeping(seconds, end)
            if session is not None:
                session.ask(end, "lock_seize", lock=name)
                session.names.add(name)
        except psycopg.errors.LockNotAvailable:
            return False
        except (psycopg.Error, ConveyorError):
            self._leave()
            self._not_before = time.monotonic() + APART
            return False
        return session is not None

    def has(self, name: str) -> bool:
        """See ``Ties``."""
        return self._session is not None and name in self._session.names

    def whole(self, name: str) -> bool:
        """See ``Ties``. The server hears from us too, and so knows that its session is in use."""
        if self._session is None or not self.has(name):
            return False
        try:
            self._session.ping(min(self.patience, PATIENCE))
        except psycopg.Error:
            self._leave()
            return False
        return True

    def untie(self, name: str) -> None:
        """See ``Ties``."""
        self._forget(name)
        if self._session is not None and self.has(name):
            self._session.names.discard(name)
            try:
                self._session.ask(time.monotonic() + min(self.patience, PATIENCE), "lock_let_go", lock=name)
            except psycopg.Error:
                self._leave()

    def close(self) -> None:
        """See ``Ties``."""
        for session in (self._session, self._left):
            if session is not None:
                session.close()
        self._session = self._left = None
        if self._coming is not None:
            self._coming.add_done_callback(_unwanted)
            self._coming = None

    def _leave(self) -> None:
        """The session is no good any more."""
        if self._session is not None:
            self._session, self._left = None, self._session
            self._forget("")

    def _forget(self, name: str) -> None:
        """Nobody can take the lock *name* any more for one of a session that was left: close that after the last."""
        if self._left is not None:
            self._left.names.discard(name)
            if not self._left.names:
                self._left.close()
                self._left = None

    def _keeping(self, seconds: float, end: float) -> "_Session | None":
        """The session, which the server keeps for *seconds* at least after it has heard from us."""
        if self._session is None:
            self._session = self._connected(end)
        if self._session is None:
            return None
        if seconds > self._session.longest and not self._session.last(seconds, end):
            self._pooled = True
            self.close()
        return self._session

    def _connected(self, end: float) -> "_Session | None":
        """A new one; ``None`` while it is being made, in a thread of its own: a name may be looked up for long."""
        if self._coming is None:
            self._coming = _connecting(self._text)
            wait([self._coming], max(0.0, end - time.monotonic()))
        if not self._coming.done():
            return None
        coming, self._coming = self._coming, None
        return coming.result()


class _Session:
    """A session, and the locks that are tied to it."""

    def __init__(self, connection: Wire) -> None:
        file = connection.pgconn.socket
        self.names: Final[set[str]] = set()
        self.longest = 0.0
        """Seconds for which the server keeps it after it has heard from us."""
        self.socket: Final = _Socket(file, os.fstat(file).st_ino)
        _sockets.add(self.socket)
        self._connection = connection
        self._connection.lingers = True

    def last(self, seconds: float, end: float) -> bool:
        """Have the server keep it for *seconds*. ``False``: it is a pooler's, and not ours."""
        idle = math.ceil(seconds)
        asked = {
            "pid": self._connection.info.backend_pid,
            "seconds": str(idle),
            "silence": str(1_000 * (idle + DROP)),
        }
        ((direct, _),) = self.ask(end, "lock_session", **asked).rows
        self.longest = seconds
        return bool(direct)

    def ask(self, end: float, name: str, **params: object) -> Answer:
        """Carry out the statement of the file *name*, until *end*."""
        self._connection.allow(max(LEAST, end - time.monotonic()))
        return carry(self._connection)(Statement(sql(PostgresDialect.folder, name), params))

    def ping(self, seconds: float) -> None:
        """Have the server answer within *seconds*."""
        self._connection.allow(seconds)
        self._connection.execute("SELECT")

    def close(self) -> None:
        """End it: the server ends what is tied to it."""
        _sockets.discard(self.socket)
        self._connection.close()


def _connecting(text: str) -> Future[_Session]:
    made: Future[_Session] = Future()

    def connects() -> None:
        try:
            made.set_result(_Session(connect(text)))
        except Exception as error:  # noqa: BLE001 - whoever wants the session gets it
            made.set_exception(error)

    threading.Thread(target=connects, name="conveyor-locks-connect", daemon=True).start()
    return made


def _unwanted(made: Future[_Session]) -> None:
    if made.exception() is None:
        made.result().close()


class _Socket(NamedTuple):
    """A session's open file, and which one it is: the number may have become another's, when the session was lost."""

    file: int
    inode: int


_sockets: Final[set[_Socket]] = set()


def _in_child() -> None:
    """A child would keep its parent's session alive. Nothing is said to the server: the session is the parent's."""
    while _sockets:
        socket = _sockets.pop()
        with contextlib.suppress(OSError):
            if os.fstat(socket.file).st_ino == socket.inode:
                os.close(socket.file)


os.register_at_fork(after_in_child=_in_child)
