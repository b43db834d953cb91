"""Who holds the write lock of a file, and whether the one who waits for it is the one who holds it.

SQLite does not tell. Linux does: the lock is a byte of the file beside it that ends in ``-shm``, and ``/proc/locks``
names the process. Where that cannot be read nobody is suspected, and a wait ends by its time.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.core.stalled import all_stalled
from conveyor.drivers.lent import lock_code

LOOK: Final = 100
"""Milliseconds after which to look who it is that one waits for."""
LOCKS: Final = Path("/proc/locks")
_WRITE: Final = ("120", "120")
"""The first and last byte of the write lock, in SQLite's file format."""


class Caller(NamedTuple):
    """Who wants something written."""

    thread: int | None = None
    """The thread that does nothing else until it is written."""
    busy: bool = False
    """Whether a transaction of their own on this file is known to be open meanwhile."""
    loop: asyncio.AbstractEventLoop | None = None
    """The event loop whose task awaits it, in that thread: others of its tasks may go on."""


class Holder:
    """The write lock of one file, seen from this process."""

    def __init__(self, file: Path, patience: float) -> None:
        """*file* is the database, *patience* in seconds."""
        self._file = file
        self._patience = patience
        self._waiting: set[int] = set()
        self.lockless: frozenset[int | None] = frozenset()
        """Threads of ours, of which none can have it while somebody waits here."""

    def take(self, connection: sqlite3.Connection, callers: Sequence[Caller]) -> Mapping[int, UsageError]:
        """Begin a transaction for *callers*; gives the errors of those, by their place, who wait for themselves.

        Raises when there is nobody left, or when it takes too long. *connection* is to wait for ``LOOK`` at a time.
        """
        end = time.monotonic() + self._patience
        refused: Mapping[int, UsageError] = {}
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not lock_code(error):
                    raise
                refused = {place: refusal for place, caller in enumerate(callers) if (refusal := self.refusal(caller))}
                if len(refused) == len(callers):
                    raise refused[0] from error
                if time.monotonic() > end:
                    raise self.timeout() from error
            else:
                return refused

    @contextmanager
    def waits(self) -> Generator[int]:
        """Around a call that holds up its thread until a writer has answered; gives the thread.

        The call of a signal handler may lie inside of another one, whose thread waits on when the handler is done.
        """
        thread = threading.get_ident()
        outermost = thread not in self._waiting
        self._waiting.add(thread)
        try:
            yield thread
        finally:
            if outermost:
                self._waiting.discard(thread)

    def process(self) -> int | None:
        """The process that holds the lock; ``None`` if there is none, or that cannot be told."""
        try:
            number = str(self._file.with_name(f"{self._file.name}-shm").stat().st_ino)
            lines = LOCKS.read_text("ascii", "replace").splitlines()
        except OSError:
            return None
        for line in lines:  # as `1: POSIX  ADVISORY  WRITE 26400 fe:00:2170945 120 120`
            words = line.split()
            if words[1:4:2] == ["POSIX", "WRITE"] and (*words[6:],) == _WRITE and words[5].endswith(f":{number}"):
                return int(words[4])
        return None

    def refusal(self, caller: Caller) -> UsageError | None:
        """The error of a caller who waits for a transaction of their own.

        That is so if they are known to have one open, or if nobody else is there who could hold it: every other
        thread of this process waits likewise, and every other task of an event loop.
        """
        alone = caller.thread is not None and self._all_wait(caller)
        if not (caller.busy or alone) or self.process() != os.getpid():
            return None
        return UsageError(
            f"a transaction of your own is writing in {self._file}, SQLite lets one write at a time, and so this call "
            "would wait for it for ever; enqueue in that transaction (`with app.within(connection):`), or end it first"
        )

    def timeout(self) -> StoreUnavailable:
        """The error of a wait that was too long."""
        process = self.process()
        if process == os.getpid():
            who = (
                "another connection of this very process; if it is a transaction of your own, enqueue in it (`with "
                "app.within(connection):`), or end it first"
            )
        else:
            who = "somebody else" if process is None else f"process {process}"
        return StoreUnavailable(
            f"SQLite: database is locked: {self._file} has been written for {self._patience:.0f} s by {who}; nothing "
            "was done"
        )

    def _all_wait(self, caller: Caller) -> bool:
        if caller.loop is not None and not all_stalled(caller.loop):
            return False
        known = self._waiting | self.lockless | {caller.thread}
        return all(thread.ident in known for thread in threading.enumerate())
