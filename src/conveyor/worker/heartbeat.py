"""Keeps runners' leases, from a thread of its own: a task that blocks the event loop must not lose them."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from conveyor.core.model import Held, Outcome, RunnerInfo
from conveyor.store.leases import Leases
from conveyor.worker.board import Board
from conveyor.worker.execute import Known

logger = logging.getLogger("conveyor.worker")

AGAIN: Final = 0.2
"""Of a beat, the pause after a renewal that failed: another connection may do, and there is time for some more."""
PATIENCE: Final = 5.0
"""Seconds that the last renewal gets to return."""


class Hears(Protocol):
    """Who is told, in its event loop, what a supervisor says: a runner."""

    def stop(self) -> None:
        """End; once more: at once."""
        ...

    def leave(self) -> None:
        """End once all that runs has ended."""
        ...

    def orphan(self) -> None:
        """Nobody keeps the lease any more: end before it does."""
        ...

    def tell(self, job: Held, outcome: Outcome) -> None:
        """A dead runner's job was taken back, which hooks are to hear."""
        ...


class Tether(Protocol):
    """What a runner's lease hangs on: a heartbeat of its own, or its supervisor's."""

    @property
    def board(self) -> Board:
        """Where the runner leaves what others must know of it."""
        ...

    @property
    def supervised(self) -> bool:
        """Whether somebody else does the rescue and the upkeep."""
        ...

    def begin(self, hears: Hears, known: Known) -> None:
        """Begin to listen; *known* are the tasks that will run here."""
        ...

    def hold(self, runner: bytes, info: RunnerInfo, lost: Callable[[], None]) -> None:
        """Take a lease, and keep it. Raises what keeps it from being taken; blocks for the store.

        *lost* is called once, from another thread, if it is lost.
        """
        ...

    def let_go(self, runner: bytes, *, clean: bool) -> None:
        """End the lease; unless *clean*, others will look for what is held in its name. Blocks for the store."""
        ...

    def look(self) -> None:
        """Schedules have changed, which is whose business they are."""
        ...

    def close(self) -> None:
        """Nothing is held any more."""
        ...


class Heartbeat:
    """The beat of all leases that this process keeps: one statement for all of them."""

    def __init__(
        self,
        leases: Leases,
        beat: float,
        lost: Callable[[bytes], None],
        able: Callable[[bytes], bool] = lambda _: True,
    ) -> None:
        """Renewed each *beat* seconds; *lost* is called from the thread, once for each lease.

        A runner that is not *able* to work just now is not renewed.
        """
        self._leases = leases
        self._beat = beat
        self._lost = lost
        self._able = able
        self._kept: dict[bytes, Board] = {}
        self._turn = threading.Lock()
        """One at a time: there is one connection."""
        self._names = threading.Lock()
        self._end = threading.Event()
        self._owed: dict[bytes, bool] = {}
        """Leases that could not be ended, and whether cleanly."""
        self.answered = True
        """Whether the store has answered when it was asked last."""
        self._thread = threading.Thread(target=self._work, name="conveyor-heartbeat", daemon=True)

    def start(self, runner: bytes, info: RunnerInfo, board: Board) -> None:
        """Take a lease, and begin to keep it. Raises what keeps it from being taken."""
        asked = time.monotonic()
        with self._turn:
            self._leases.register(runner, info)
        board.renewed = asked
        self.answered = True
        with self._names:
            self._kept = {**self._kept, runner: board}
        if not self._thread.ident:
            self._thread.start()

    def witness(self, runner: bytes) -> int | None:
        """See ``Leases.witness``."""
        return self._leases.witness(runner)

    def stop(self, runner: bytes, *, clean: bool) -> None:
        """End a lease."""
        self._dropped(runner)
        if not self._ended(runner, clean=clean):
            logger.warning("the lease cannot be ended now: it is with the next beat that is answered, or runs out")
            with self._names:
                self._owed = {**self._owed, runner: clean}

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        if self._turn.acquire(blocking=False):  # or it hangs, and ends with the process
            self._leases.close()
            self._turn.release()
            if self._thread.ident:
                self._thread.join(PATIENCE)

    def _work(self) -> None:
        pause = self._beat
        while not self._end.wait(pause):
            pause = self._beat if self._renewed(self._kept) else self._beat * AGAIN

    def _renewed(self, kept: Mapping[bytes, Board]) -> bool:
        """Renew all; whether the store has answered."""
        asked = time.monotonic()
        wanted = [runner for runner in kept if self._able(runner)]
        held: frozenset[bytes] | None = None
        try:
            with self._turn:
                if self._end.is_set():
                    return True
                held = self._asked(wanted)
        except Exception as error:  # noqa: BLE001 - a full disk as well: a beat that ends unheard loses the leases
            logger.warning("the lease cannot be renewed: %s", error)
        for runner in held or ():
            kept[runner].renewed = asked
        for runner, board in kept.items():
            gone = held is not None and runner in wanted and runner not in held
            if (gone or time.monotonic() > board.safe_until) and self._dropped(runner):
                self._lost(runner)
        self._pay()
        return held is not None

    def _asked(self, wanted: Sequence[bytes]) -> frozenset[bytes]:
        """Those of *wanted* that are held. Whoever has the next turn knows whether there was an answer."""
        if not wanted:
            return frozenset()
        try:
            held = self._leases.renew(wanted)
        except BaseException:
            self.answered = False
            raise
        self.answered = True
        return held

    def _ended(self, runner: bytes, *, clean: bool) -> bool:
        """End a lease; whether that could be done. A store that does not answer is not even asked."""
        if not self.answered or not self._turn.acquire(timeout=PATIENCE):
            return False
        try:
            if self.answered:  # also after the beat that was waited for
                self._leases.retire(runner, clean=clean)
                return True
        except Exception as error:  # noqa: BLE001 - the beat calls this too, and must not end of it
            logger.warning("the lease could not be ended: %s", error)
        finally:
            self._turn.release()
        return False

    def _pay(self) -> None:
        """End what could not be ended: others wait for that, to take back what is held in its name."""
        for runner, clean in self._owed.items():
            if self._ended(runner, clean=clean):
                with self._names:
                    self._owed = {owed: how for owed, how in self._owed.items() if owed != runner}

    def _dropped(self, runner: bytes) -> bool:
        """Keep it no longer; whether it was kept."""
        with self._names:
            before = self._kept
            self._kept = {kept: board for kept, board in before.items() if kept != runner}
            return len(self._kept) < len(before)


class Alone:
    """The tether of a runner without a supervisor: it keeps its own lease."""

    def __init__(self, leases: Leases, seconds: float, beat: float) -> None:
        """A lease of *seconds*, renewed each *beat*."""
        self.supervised = False
        self.board = Board.create(seconds)
        self._lost: dict[bytes, Callable[[], None]] = {}
        self._heartbeat = Heartbeat(leases, beat, self._lapsed)

    def begin(self, hears: Hears, known: Known) -> None:
        """Nobody will say anything."""

    def hold(self, runner: bytes, info: RunnerInfo, lost: Callable[[], None]) -> None:
        """See ``Tether``."""
        self._lost[runner] = lost
        self._heartbeat.start(runner, info, self.board)

    def let_go(self, runner: bytes, *, clean: bool) -> None:
        """See ``Tether``."""
        self._heartbeat.stop(runner, clean=clean)

    def look(self) -> None:
        """See ``Tether``: its own."""

    def close(self) -> None:
        """See ``Tether``."""
        self._heartbeat.close()

    def _lapsed(self, runner: bytes) -> None:
        self._lost.pop(runner)()
