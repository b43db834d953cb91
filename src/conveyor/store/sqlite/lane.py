"""One thread, one connection. A unit of work is whatever is waiting: all of it in one transaction."""

import contextlib
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, cast

from conveyor.core.errors import ConveyorError, OutcomeUnknown, StoreUnavailable
from conveyor.drivers.sqlite import carry, translated
from conveyor.plan import Plan, Ring, run
from conveyor.store.sqlite.forking import Link
from conveyor.store.sqlite.holder import LOOK, Caller, Holder
from conveyor.store.sqlite.pending import Pending

T = TypeVar("T")

UNIT: Final = 64
"""At most so many plans share a transaction."""
TICKET_WAIT: Final = 0.2
CLOSED: Final = "this store was closed; nothing was written"
_FIRST_PAUSE: Final = 0.0001
_LONGEST_PAUSE: Final = 0.002


NOBODY: Final = Caller()


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    plan: Plan[object]
    done: Pending[object]
    caller: Caller


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
        committed: Callable[[Ring], None] = lambda _: None,
        holder: Holder | None = None,
        lasts: bool = False,
    ) -> None:
        """*connect* runs in the lane's thread; *committed* is called after a commit that workers should hear of.

        *holder* waits for the write lock, where others may have it. *lasts*: see ``Link``.
        """
        self._connect = connect
        self._link = Link(self._connected, lasts=lasts)
        self._ticket_path = ticket
        self._committed = committed
        self._holder = holder
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self._gate = threading.RLock()
        self._ticket: Ticket | None = None
        self._thread = threading.Thread(target=self._work, name=f"conveyor-sqlite-{name}", daemon=True)
        self._thread.start()

    @property
    def thread(self) -> int | None:
        """The lane's own thread."""
        return self._thread.ident

    def submit(
        self, plan: Plan[T], caller: Caller = NOBODY, tell: Callable[[T | BaseException], None] | None = None
    ) -> Pending[T]:
        """Have *plan* carried out; the answer is there, and *tell* hears it, once it is committed.

        A signal handler may come in anywhere, and submit or close itself: the gate keeps out other threads only.
        """
        done: Pending[T] = Pending(tell)
        with self._gate:
            if self._is_closed():
                raise StoreUnavailable(CLOSED)
            self._waiting.put(_Work(cast(Plan[object], plan), cast(Pending[object], done), caller))
            if self._is_closed() and not done.done():  # closed in between, with all that was waiting by then
                raise StoreUnavailable(CLOSED)
        return done

    def _is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        with self._gate:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            works, last = self._more(first)
            self._unit([work for work in works if work.done.wanted])
            if last:
                break
        self._link.close()
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
            with translated(), self._link.used() as connection:
                if any(work.plan.writes for work in works):
                    results = self._written(connection, works)
                else:
                    results = [_attempted(connection, work) for work in works]
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers wait for it
            results = [error] * len(works)
        for work, result in zip(works, results, strict=True):
            work.done.answer(result)

    def _connected(self) -> sqlite3.Connection:
        connection = self._connect()
        if self._holder is not None:
            connection.execute(f"PRAGMA busy_timeout = {LOOK}")
        if self._ticket_path is not None and self._ticket is None:
            self._ticket = Ticket(self._ticket_path)
        return connection

    def _tell(self, why: Ring) -> None:
        """The commit stands, whatever becomes of the news of it."""
        try:
            self._committed(why)
        except Exception:
            logging.getLogger("conveyor").exception("workers could not be woken; they will look by themselves")

    def _written(self, connection: sqlite3.Connection, works: Sequence[_Work]) -> list[object]:
        with self._ticket or contextlib.nullcontext():
            try:
                refused = self._begin(connection, works)
                results = [
                    refused.get(place) or _guarded(connection, work, alone=len(works) == 1)
                    for place, work in enumerate(works)
                ]
                _commit(connection)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        pairs = zip(works, results, strict=True)
        rings = {work.plan.rings for work, result in pairs if not isinstance(result, BaseException)}
        for why in Ring:
            if why in rings:
                self._tell(why)
        return results

    def _begin(self, connection: sqlite3.Connection, works: Sequence[_Work]) -> Mapping[int, ConveyorError]:
        """Begin to write. Gives the errors of those, by their place, who would have to wait for themselves."""
        if self._holder is not None:
            return self._holder.take(connection, [work.caller for work in works])
        connection.execute("BEGIN IMMEDIATE")
        return {}


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
