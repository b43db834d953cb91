"""The processes of one scenario: workers as anybody starts them, and what is done to them."""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from conveyor.cli.chaos import tree
from conveyor.cli.chaos.history import History
from conveyor.core.errors import ConveyorError

SETTLING: Final = 30.0
"""Seconds that a process gets to do what is waited for."""
LOOK: Final = 0.02
SELDOM: Final = 0.2
"""Seconds between two looks at what takes long, and is much to look at: those of jobs, at the whole table."""
NOTICE: Final = 0.1
"""Seconds between two looks for processes that have begun to write."""
LAST: Final = 1_500
"""Characters of what a process said that are shown when it has failed."""


class Process:
    """A process of our own, in a session of its own: what is typed at us does not reach it."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], log: Path, before: Sequence[str] = ()
    ) -> None:
        """Starts ``python -m`` *words*, by what stands *before*; what it says goes to *log*."""
        self._log = log
        command = [*before, sys.executable, "-m", *words]
        with log.open("ab") as out:
            self._popen = subprocess.Popen(  # noqa: S603 - ourselves
                command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
            )
        self.pid = self._popen.pid

    @property
    def said(self) -> str:
        """All that it, and what it has started, said."""
        return self._log.read_text("utf-8", "replace")

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def ends(self, patience: float = SETTLING) -> int | None:
        """Wait for its end; gives its exit status, or ``None`` when it does not come."""
        try:
            return self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if self._popen.stdin is not None and not self.lives:
                self._popen.stdin.close()

    def leave(self) -> None:
        """Close its standard input, and wait for it."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        if self.ends() is None:
            self._popen.kill()
            self._popen.wait()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._popen.terminate()


class Worker(Process):
    """A worker: a process, or a tree of them."""

    def __init__(
        self,
        number: int,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        before: Sequence[str] = (),
    ) -> None:
        """*number* and *folder* mark it, and all that it starts: other runs have workers too."""
        self._mark = f"{folder}/{number}"
        marked = {**environment, tree.WORKER: self._mark}
        super().__init__(["conveyor", "worker", *words], marked, folder / f"worker-{number}.log", before)

    @property
    def members(self) -> dict[int, tree.Member]:
        """Its processes."""
        return tree.family(tree.WORKER, self._mark)

    def parts(self) -> dict[str, list[int]]:
        """What can be hit: the whole tree, and where there is one, each kind of process alone."""
        members = self.members
        parts = {"whole": list(members)}
        for name, level in (("supervisor", 0), ("runner", 1), ("cell", 2)):
            if (there := [pid for pid in members if tree.depth(pid, members) == level]) and len(members) > 1:
                parts[name] = there
        return parts


class Watch:
    """Writes down the death of whoever has written a history, the moment it happens."""

    def __init__(self, history: History) -> None:
        """Begins at once, in a thread."""
        self._history = history
        self._gone: dict[int, float] = {}
        """And when, in seconds since the machine was started: in a long run another process gets the same number."""
        self._lock = threading.Lock()
        self._open: dict[int, int] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="conveyor-chaos-watch", daemon=True)
        self._thread.start()

    def gone(self, pids: Iterable[int]) -> None:
        """These have just been killed."""
        for pid in pids:
            with self._lock:
                self._gone[pid] = time.clock_gettime(time.CLOCK_BOOTTIME)
            self._history.write("gone", pid=pid)

    def stop(self) -> None:
        """End; as often as one likes."""
        self._end.set()
        self._thread.join()
        while self._open:
            os.close(self._open.popitem()[1])

    def _dead(self) -> set[int]:
        """Those of the dead whose numbers nobody else has got since."""
        with self._lock:
            for pid in [pid for pid in tree.present() & self._gone.keys() if tree.began(pid) > self._gone[pid]]:
                del self._gone[pid]
            return set(self._gone)

    def _work(self) -> None:
        poll = select.poll()
        while not self._end.is_set():
            for pid in self._history.writers() - self._open.keys() - self._dead() - {os.getpid()}:
                try:
                    self._open[pid] = os.pidfd_open(pid)
                except ProcessLookupError:
                    self.gone([pid])
                else:
                    poll.register(self._open[pid], select.POLLIN)
            found = {file for file, _ in poll.poll(NOTICE * 1000)}
            for pid in [pid for pid, file in self._open.items() if file in found]:
                self.gone([pid])
                poll.unregister(self._open[pid])
                os.close(self._open.pop(pid))


def until(condition: Callable[[], bool], patience: float, what: Callable[[], str]) -> None:
    """Wait for *condition*; ``ConveyorError`` when it does not come about, and *what* comes instead."""
    if not within(condition, patience):
        raise ConveyorError(f"{what()}; {patience:.0f} s were not enough, and the scenario says nothing")


def within(condition: Callable[[], bool], patience: float, look: float = LOOK) -> bool:
    """Whether *condition* comes about in time; looks each *look* seconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(look)
    return True
