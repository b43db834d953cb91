"""Keeps the runner's lease, from a thread of its own: a task that blocks the event loop must not lose it."""

import logging
import threading
import time
from collections.abc import Callable

from conveyor.core.errors import ConveyorError
from conveyor.store.contract import Lease

logger = logging.getLogger("conveyor.worker")

SAFE = 2 / 3
"""A lease that is older than this share of its length is not relied on any more."""
AGAIN = 0.2
"""Of a beat, the pause after a renewal that failed: another connection may do, and there is time for some more."""
PATIENCE = 5.0
"""Seconds that the last renewal gets to return."""


class Heartbeat:
    """One lease's beat; made anew when the lease is lost."""

    def __init__(self, lease: Lease, seconds: float, beat: float, lost: Callable[[], None]) -> None:
        """A lease of *seconds*, renewed each *beat*; *lost* is called from the thread, once."""
        self._lease = lease
        self._seconds = seconds
        self._beat = beat
        self._lost = lost
        self._end = threading.Event()
        self._last = time.monotonic()
        self._renews = False
        self._thread = threading.Thread(target=self._work, name="conveyor-heartbeat", daemon=True)

    @property
    def lapsed(self) -> bool:
        """Whether the last renewal is too old to rely on, though nobody has said that the lease is lost."""
        return self._thread.is_alive() and not self._safe()

    def start(self) -> None:
        """Take the lease, and begin. Raises what keeps the lease from being taken."""
        self._last = time.monotonic()
        self._lease.register()
        self._renews = True
        self._thread.start()

    def stop(self, *, clean: bool) -> None:
        """End the lease; unless *clean*, others will look for what is held in its name. Blocks for the store."""
        self._end.set()
        if self._thread.is_alive() and self._renews:
            self._thread.join(PATIENCE)
        if self._thread.is_alive() or not self._renews:
            logger.warning("the lease cannot be ended while it cannot be renewed, so it will run out")
            return
        try:
            self._lease.retire(clean=clean)
        except ConveyorError as error:
            logger.warning("the lease could not be ended, so it will run out: %s", error)

    def _work(self) -> None:
        pause = self._beat
        while not self._end.wait(pause):
            before = self._last
            if not self._renewed():
                self._lost()
                return
            pause = self._beat if self._last > before else self._beat * AGAIN

    def _renewed(self) -> bool:
        """Whether the lease still holds, as far as one can know."""
        asked = time.monotonic()
        try:
            held = self._lease.renew()
        except Exception as error:  # noqa: BLE001 - a full disk as well: a beat that ends unheard loses the lease
            logger.warning("the lease cannot be renewed: %s", error)
            self._renews = False
            return self._safe()
        self._renews = True
        if held:
            self._last = asked
        return held

    def _safe(self) -> bool:
        return time.monotonic() - self._last < self._seconds * SAFE
