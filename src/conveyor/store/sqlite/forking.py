"""SQLite and ``fork``: none of our connections is open while this process makes another one.

What SQLite knows of its locks on a file it keeps in the process, and believes it. A child has a copy: it waits for ever
for the write lock that another thread of its parent held at that moment, and reads under a lock that the kernel never
gave it. When the parent has ended, nobody is left who holds the lock that says "the log is in use"; the next process to
open the file then begins a new one under the child's feet. SQLite's own advice is to have no connection open:
https://www.sqlite.org/howtocorrupt.html, section 2.6.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

PATIENCE: Final = 15.0
"""Seconds that a fork waits for one connection: longer than a writer waits for the lock. Then it goes on without."""


class Link:
    """A connection of one thread, made when it is needed; closed for a fork, between two uses."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, lasts: bool) -> None:
        """*lasts*: what it connects to is gone with it, so it stays. Another thread will close what *connect* gives."""
        self._connect, self._lasts = connect, lasts
        self._connection: sqlite3.Connection | None = None
        self._used = threading.Lock()
        with unforked():
            _links.add(self)

    @contextmanager
    def used(self) -> Generator[sqlite3.Connection]:
        """The connection; a fork waits."""
        with self._used:
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection

    def close(self) -> None:
        """Close it, if it is open; it is made anew when it is used again."""
        with self._used:
            self._shut()

    def rest(self) -> bool:
        """Close it, and keep everybody from it; whether that could be done."""
        if self._lasts or not self._used.acquire(timeout=PATIENCE):
            return False
        self._shut()
        return True

    def resume(self) -> None:
        """It may be used again."""
        self._used.release()

    def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_gate = threading.RLock()
_links: weakref.WeakSet[Link] = weakref.WeakSet()
_resting: list[Link] = []


@contextmanager
def unforked() -> Generator[None]:
    """Around a connection that is closed again at once: no fork comes in between."""
    with _gate:
        yield


def _before() -> None:
    _gate.acquire()  # until there are two: a link that is made meanwhile connects after that
    _resting.extend(link for link in list(_links) if link.rest())


def _in_parent() -> None:
    while _resting:
        _resting.pop().resume()
    _gate.release()


def _in_child() -> None:
    global _gate, _links
    _resting.clear()
    _gate, _links = threading.RLock(), weakref.WeakSet[Link]()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
