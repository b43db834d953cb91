"""Which jobs of a cell are to be broken off: its listener hears of that while its main thread goes on and on."""

import threading

from conveyor.worker.attempt import Attempt
from conveyor.worker.cell.frames import Interrupt


class Orders:
    """One lock, for an order may come just when its job begins: it must find the job, or be found by it."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._lock = threading.Lock()
        self._current: tuple[int, Attempt] | None = None
        self._waiting: dict[int, Interrupt] = {}
        self._ended = 0

    def begin(self, seq: int, attempt: Attempt) -> Interrupt | None:
        """*attempt* runs from now on; gives what was ordered before."""
        with self._lock:
            self._current = (seq, attempt)
            return self._waiting.pop(seq, None)

    def end(self, seq: int) -> None:
        """It has ended."""
        with self._lock:
            self._current, self._ended = None, seq

    def heard(self, order: Interrupt) -> Attempt | None:
        """The attempt to break off, if it runs.

        One that has not begun learns of it when it does, one that has ended never.
        """
        with self._lock:
            if self._current is not None and self._current[0] == order.seq:
                return self._current[1]
            waiting = {seq: other for seq, other in self._waiting.items() if seq > self._ended}
            self._waiting = {**waiting, order.seq: order}
            return None
