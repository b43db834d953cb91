"""Who keeps locks while they are held: a thread, so that an event loop that is blocked loses none of its tasks'."""

import contextlib
import logging
import math
import os
import select
import threading
from dataclasses import replace
from typing import Final, cast

from conveyor.client.lock import KeptLock, ticks
from conveyor.core.errors import ConveyorError, OutcomeUnknown
from conveyor.plan import Plan
from conveyor.store.contract import Store
from conveyor.store.locks import Ties

logger = logging.getLogger("conveyor")

AGAIN: Final = 0.2
"""Seconds at most until a renewal that failed is tried again, from when it was sent: less than a store's ``grace``."""
SHARE: Final = 0.3
"""Of the time of the shortest lock, what one call of the ties', or one answer of the store's, may take."""
LEAST: Final = 0.5
"""Seconds that the store gets for an answer, however short that time."""
ENDING: Final = 1.0
"""Seconds that ``close`` waits for the thread."""


class Keeper:
    """Renews the locks of one store, and ties them to this process; its thread ends when there are none."""

    def __init__(self, store: Store) -> None:
        """Starts nothing yet."""
        self.store = store
        self._gate = threading.RLock()
        self._spare = store.locks.spare
        self._held: list[KeptLock] = []
        self._new: list[KeptLock] = []
        self._gone: list[tuple[KeptLock | None, Plan[object] | None]] = []
        self._thread: threading.Thread | None = None
        self._wake = (-1, -1)
        self._most = math.inf
        """Seconds for an answer of the store's: after that there is time for another one over another connection."""

    def keep(self, lock: KeptLock) -> None:
        """Renew it from now on; its ``known`` tells when it is tied, or cannot be."""
        with self._gate:
            self._new.append(lock)
            self._rouse()

    def drop(self, lock: KeptLock | None, last: Plan[object] | None = None) -> None:
        """Renew it no more, and untie it; carry *last* out before that, if it can be."""
        with self._gate:
            self._gone.append((lock, last))
            self._rouse()

    def close(self) -> None:
        """End the thread, unless there is a lock to keep: then with the last of them."""
        with self._gate:
            self._spare, thread = 0.0, self._thread
            if thread is not None:
                self._rouse()
        if thread is not None and all(lock.given_back for lock in [*self._held, *self._new]):
            thread.join(ENDING)

    def _rouse(self) -> None:
        if self._thread is None:
            self._wake = os.pipe()
            os.set_blocking(self._wake[1], False)
            self._thread = threading.Thread(target=self._work, name="conveyor-locks", daemon=True)
            self._thread.start()
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake[1], b".")

    def _work(self) -> None:
        ties = self.store.locks.ties()
        idle_since = ticks()
        try:
            while True:
                self._change(ties)
                self._tend(ties)
                now = ticks()
                idle_since = now if self._held else idle_since
                if self._ended(idle_since + self._spare - now):
                    return
                self._wait(ties, max(0.0, self._due(ties, idle_since + self._spare) - now))
        finally:
            self._fail()
            ties.close()

    def _ended(self, left: float) -> bool:
        with self._gate:
            if left > 0 or self._held or self._new or self._gone:
                return False
            self._forget_thread()
            return True

    def _fail(self) -> None:
        """Nobody keeps what is there, if something has ended this thread; the next one gives it back."""
        with self._gate:
            if self._thread is threading.current_thread():
                self._held = [lock for lock in [*self._held, *self._new] if not lock.given_back]
                self._new = []
                for lock in self._held:
                    lock.lose("its keeper has ended")
                    lock.tell()
                self._forget_thread()

    def _forget_thread(self) -> None:
        self._thread = None
        for file in self._wake:
            os.close(file)

    def _due(self, ties: Ties, at_last: float) -> float:
        """When there is something to do: at once, where a tie has broken."""
        kept = [lock for lock in self._held if not lock.given_back]
        if self._held and not kept:
            return math.inf  # whoever drops them says so
        return min((0.0 if lock.tied and not ties.has(lock.name) else lock.due for lock in kept), default=at_last)

    def _wait(self, ties: Ties, seconds: float) -> None:
        files = [self._wake[0]] if ties.file is None else [self._wake[0], ties.file]
        poll = select.poll()
        for file in files:
            poll.register(file, select.POLLIN)
        ready = {file for file, _ in poll.poll(None if seconds == math.inf else 1_000 * seconds)}
        if self._wake[0] in ready:
            os.read(self._wake[0], 4_096)
        if ties.file in ready:
            for lock in self._held:
                ties.whole(lock.name)

    def _change(self, ties: Ties) -> None:
        with self._gate:
            new, gone = self._new, self._gone
            self._new, self._gone = [], []
            self._held += [lock for lock in new if not lock.given_back]
        for lock, last in gone:
            self._let_go(ties, lock, last)
        for lock in new:
            if lock.given_back:
                lock.tell()
            for former in [held for held in self._held if held.name == lock.name and held.token < lock.token]:
                former.lose("another thread of this process has taken it")
                self._let_go(ties, former, None)

    def _let_go(self, ties: Ties, lock: KeptLock | None, last: Plan[object] | None) -> None:
        if last is not None:
            with contextlib.suppress(ConveyorError):
                self.store.run(replace(last, most=self._most))
        if lock is not None and lock in self._held:
            self._held.remove(lock)
            ties.untie(lock.name)

    def _tend(self, ties: Ties) -> None:
        """Renew first, and tie then: to be without a tie is less than to be lost."""
        kept = [lock for lock in self._held if not lock.given_back]
        ties.patience = SHARE * min((lock.seconds for lock in kept), default=math.inf)
        self._most = max(LEAST, ties.patience)
        for lock in kept:
            if lock.due <= ticks():
                ties.whole(lock.name)
        for lock in kept:
            if lock.tied and not ties.has(lock.name):
                lock.tied, lock.due = False, ticks()  # before somebody sees that nothing ties it
        for lock in kept:
            if lock.due <= ticks() and not lock.lost and not lock.given_back:
                self._renew(lock)
            if lock.lost and not lock.given_back:
                logger.warning("the lock %r is lost", lock.name)
                self._let_go(ties, lock, cast(Plan[object], self.store.locks.release(lock.name, lock.token)))
        for lock in kept:
            if lock.loose and lock in self._held:
                self._tie(ties, lock)
            lock.tell()

    def _renew(self, lock: KeptLock) -> None:
        sent = ticks()
        try:
            plan = self.store.locks.renew(lock.name, lock.token, lock.ttl, tied=lock.tied)
            kept = self.store.run(replace(plan, most=self._most))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are renewed, and this one is tried again
            logger.warning("the lock %r could not be renewed: %s", lock.name, error)
            lock.due = max(ticks(), sent + min(lock.seconds / 10, AGAIN))
            return
        if not kept:
            lock.lose("somebody else has taken it")
            return
        lock.renewed(sent)
        lock.loose = not lock.tied

    def _tie(self, ties: Ties, lock: KeptLock) -> None:
        lock.loose = False
        if not ties.tie(lock.name, lock.seconds):
            return
        try:
            lock.tied = self.store.run(self.store.locks.tie(lock.name, lock.token))
        except OutcomeUnknown:
            lock.tied = True  # the store may say so: a tie that is not known of harms nobody, and none would
        except ConveyorError:
            lock.tied = False
        if not lock.tied:
            ties.untie(lock.name)
