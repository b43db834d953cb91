"""Locks on PostgreSQL: a held one is tied to a session of its holder's, by an advisory lock of the server's.

Through a pooler there are no ties, for its sessions are nobody's own: there a lock of the dead runs out.
"""

import contextlib
import math
import os
import time
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
"""Seconds that the server gets to answer the one who makes ties; the renewals wait meanwhile."""
CONNECTING: Final = 2
"""Seconds to connect in: the least that libpq knows. The renewals wait meanwhile."""
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
    """

    def __init__(self, text: str) -> None:
        """Connects to nothing yet."""
        self._text = text
        self._connection: Wire | None = None
        self._socket: _Socket | None = None
        self._names: set[str] = set()
        self._longest = 0.0
        self._pooled = False
        self._not_before = 0.0

    @property
    def file(self) -> int | None:
        """See ``Ties``: whoever ends a session says so."""
        return None if self._socket is None else self._socket.file

    def tie(self, name: str, seconds: float) -> bool:
        """See ``Ties``."""
        if self._pooled or time.monotonic() < self._not_before:
            return False
        try:
            connection = self._keeping(seconds)
            if connection is not None:
                self._ask(connection, "lock_seize", lock=name)
                self._names.add(name)
        except psycopg.errors.LockNotAvailable:
            return False
        except (psycopg.Error, ConveyorError):
            self.close()
            self._not_before = time.monotonic() + APART
            return False
        return connection is not None

    def whole(self, name: str) -> bool:
        """See ``Ties``. The server hears from us too, and so knows that its session is in use."""
        if self._connection is None or name not in self._names:
            return False
        try:
            self._connection.execute("SELECT")
        except psycopg.Error:
            self.close()
            return False
        return True

    def untie(self, name: str) -> None:
        """See ``Ties``."""
        if self._connection is not None and name in self._names:
            self._names.discard(name)
            try:
                self._ask(self._connection, "lock_let_go", lock=name)
            except psycopg.Error:
                self.close()

    def close(self) -> None:
        """See ``Ties``."""
        connection, self._connection, self._longest = self._connection, None, 0.0
        self._names.clear()
        if self._socket is not None:
            _sockets.discard(self._socket)
            self._socket = None
        if connection is not None:
            connection.close()

    def _keeping(self, seconds: float) -> Wire | None:
        """The session, which the server keeps for *seconds* at least after it has heard from us."""
        if self._connection is None:
            self._connection = connect(conninfo.make_conninfo(self._text, connect_timeout=CONNECTING))
            self._connection.allow(PATIENCE)
            file = self._connection.pgconn.socket
            self._socket = _Socket(file, os.fstat(file).st_ino)
            _sockets.add(self._socket)
        if seconds > self._longest:
            idle = math.ceil(seconds)
            asked = {
                "pid": self._connection.info.backend_pid,
                "seconds": str(idle),
                "silence": str(1_000 * (idle + DROP)),
            }
            ((direct, _),) = self._ask(self._connection, "lock_session", **asked).rows
            if not direct:
                self.close()
                self._pooled = True
                return None
            self._longest = seconds
        return self._connection

    @staticmethod
    def _ask(connection: Wire, name: str, **params: object) -> Answer:
        return carry(connection)(Statement(sql(PostgresDialect.folder, name), params))


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
