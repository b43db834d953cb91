"""One thread, one connection. A unit of work is whatever is waiting: all of it in one transaction."""

import contextlib
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

from conveyor.core.errors import ConveyorError, OutcomeUnknown, StoreUnavailable
from conveyor.drivers.sqlite import carry, translated
from conveyor.plan import Plan, run

T = TypeVar("T")

UNIT: Final = 64
"""At most so many plans share a transaction."""
TICKET_WAIT: Final = 0.2
_FIRST_PAUSE: Final = 0.0001
_LONGEST_PAUSE: Final = 0.002


class _Work(NamedTuple):
    plan: Plan[object]
    done: Future[object]


class Ticket:
    """A turn to write, between processes.

    SQLite's own wait is not fair: of two workers one got 600 jobs and the other 99,400. Whoever holds the lock of
    this file goes first; it is advice only, so after 200 ms one goes without.
    """

    def __init__(self, path: Path) -> None:
        """*path* is made when it is missing."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def __enter__(self) -> None:
        """Wait for the turn."""
        end = time.monotonic() + TICKET_WAIT
        pause = _FIRST_PAUSE
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def __exit__(self, *_: object) -> None:
        """Let the next one go."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Forget the file."""
        os.close(self._file)


class Lane:
    """Carries plans out, in order, in a thread of its own.

    Everything that waits when the thread looks shares one transaction: the group commit of concurrent callers,
    and nobody waits for company when there is none.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        *,
        ticket: Path | None = None,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        """*connect* runs in the lane's thread; *committed* is called after a commit that may wake a worker."""
        self._connect = connect
        self._ticket_path = ticket
        self._committed = committed
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self._gate = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._ticket: Ticket | None = None
        self._thread = threading.Thread(target=self._work, name=f"conveyor-sqlite-{name}", daemon=True)
        self._thread.start()

    def submit(self, plan: Plan[T]) -> Future[T]:
        """Have *plan* carried out; the future is set once it is committed."""
        done: Future[T] = Future()
        with self._gate:
            if self._closed:
                raise StoreUnavailable("this store was closed; nothing was written")
            self._waiting.put(_Work(cast(Plan[object], plan), cast(Future[object], done)))
        return done

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        with self._gate:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            works, last = self._more(first)
            self._unit([work for work in works if work.done.set_running_or_notify_cancel()])
            if last:
                break
        if self._connection is not None:
            self._connection.close()
        if self._ticket is not None:
            self._ticket.close()

    def _more(self, first: _Work) -> tuple[list[_Work], bool]:
        works = [first]
        while len(works) < UNIT:
            try:
                work = self._waiting.get_nowait()
            except queue.Empty:
                break
            if work is None:
                return works, True
            works.append(work)
        return works, False

    def _unit(self, works: Sequence[_Work]) -> None:
        try:
            with translated():
                connection = self._ready()
                if any(work.plan.writes for work in works):
                    results = self._written(connection, works)
                else:
                    results = [_attempted(connection, work) for work in works]
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers wait for it
            results = [error] * len(works)
        for work, result in zip(works, results, strict=True):
            if isinstance(result, BaseException):
                work.done.set_exception(result)
            else:
                work.done.set_result(result)

    def _ready(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
            if self._ticket_path is not None:
                self._ticket = Ticket(self._ticket_path)
        return self._connection

    def _tell(self) -> None:
        """The commit stands, whatever becomes of the news of it."""
        try:
            self._committed()
        except Exception:
            logging.getLogger("conveyor").exception("workers could not be woken; they will look by themselves")

    def _written(self, connection: sqlite3.Connection, works: Sequence[_Work]) -> list[object]:
        with self._ticket or contextlib.nullcontext():
            try:
                connection.execute("BEGIN IMMEDIATE")
                results = [_guarded(connection, work, alone=len(works) == 1) for work in works]
                _commit(connection)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        pairs = zip(works, results, strict=True)
        if any(work.plan.wakes and not isinstance(result, BaseException) for work, result in pairs):
            self._tell()
        return results


def _commit(connection: sqlite3.Connection) -> None:
    """After an error here nobody knows: the log may have reached the disk although its confirmation did not come."""
    try:
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise OutcomeUnknown(f"SQLite: {error}") from error


def _guarded(connection: sqlite3.Connection, work: _Work, *, alone: bool) -> object:
    """One plan's result or error: behind a savepoint, so that its failure does not take its neighbours along."""
    if alone:
        with translated():
            return run(work.plan, carry(connection))
    connection.execute("SAVEPOINT one")
    result = _attempted(connection, work)
    if isinstance(result, BaseException):
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return result


def _attempted(connection: sqlite3.Connection, work: _Work) -> object:
    try:
        with translated():
            return run(work.plan, carry(connection))
    except (ConveyorError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        return error
