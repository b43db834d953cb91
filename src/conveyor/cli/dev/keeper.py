"""Keeps a worker running: starts it, restarts it when the code has changed, and ends it."""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from conveyor.cli.dev.child import BROKEN, LAST
from conveyor.cli.dev.hearing import Signals
from conveyor.cli.dev.telling import tell
from conveyor.cli.dev.tree import Look, Tree, forget, settled

TICK: Final = 0.25
"""Seconds between looks at the files; more where looking takes long, so that it costs a tenth of a core at most."""
SHARE: Final = 10
QUIET: Final = 0.2
"""Seconds without a change after which a change is over."""
HURRY: Final = 3.0
"""Seconds that a worker gets which was told to stop at once: far more than it takes to release its jobs."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
INTERRUPTED: Final = 130


class Worker:
    """The worker's process. It has a process group of its own, so that Ctrl+C reaches it through us, and once."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Starts it."""
        read, self._hold = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-P", "-m", "conveyor.cli.dev", str(read), json.dumps(vars(options))],
                stdin=subprocess.DEVNULL,
                pass_fds=[read],
                process_group=0,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},  # a print() is seen when it is made
            )
        finally:
            os.close(read)
        self._grace: float = options.grace
        self.begun = time.monotonic()

    @property
    def status(self) -> int | None:
        """The exit status; ``None`` while it runs."""
        return self._process.poll()

    def stop(self, heard: Signals) -> None:
        """Let it finish or release its jobs, and wait for its end; a second signal to us hurries it, a third kills."""
        if self.status is None:
            self._process.terminate()
        hurried = False
        end = time.monotonic() + self._grace + LAST
        while self.status is None:
            if heard.count > 1 and not hurried:
                hurried = True
                self._process.terminate()
                end = time.monotonic() + HURRY
            if heard.count > 2 or time.monotonic() > end:  # noqa: PLR2004 - the third
                tell("the worker does not stop, and is killed; its jobs will be rescued")
                self.kill()
            heard.pause(end - time.monotonic())

    def kill(self) -> None:
        """End it now, and what its jobs have started: that would run on beside the same jobs' next attempts."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter on macOS, for what has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        os.close(self._hold)


class Keeper:
    """See above."""

    def __init__(self, tree: Tree, options: argparse.Namespace) -> None:
        """*options* are the worker's."""
        self._tree = tree
        self._options = options
        self._heard = Signals()
        self._tick = TICK

    def run(self) -> int:
        """Until a signal; gives the exit status."""
        with self._heard:
            files = len(self._tree.look())
            many = "1 file" if files == 1 else f"{files:,} files"
            tell(f"watches {many} below {', '.join(self._tree.folders)}; Ctrl+C to stop")
            pause = FIRST_PAUSE
            while not self._heard.count:
                pause = self._round(pause)
        tell("stopped")
        return INTERRUPTED if self._heard.count > 1 else 0

    def _round(self, pause: float) -> float:
        """One worker, from its start to the moment for the next; gives the pause after one that dies young."""
        seen = self._look()  # before the start: what changes from now on is not what it runs
        worker = Worker(self._options)
        try:
            files = self._changes(seen, lambda: worker.status is not None, math.inf)
            died = not files and not self._heard.count
            worker.stop(self._heard)
            status = worker.status or 0
        finally:
            worker.close()
        if died:
            if time.monotonic() - worker.begun > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            tell(_ended(status, pause))
            files = self._changes(seen, lambda: False, math.inf if status == BROKEN else pause)
        forget(files)
        return FIRST_PAUSE if files else min(pause * 2, LONGEST_PAUSE)

    def _changes(self, seen: Look, ended: Callable[[], bool], seconds: float) -> list[str]:
        """The files that differ from *seen*; none when a signal came, *ended* holds, or time is up."""
        end = time.monotonic() + seconds
        while not self._heard.count and not ended() and time.monotonic() < end:
            self._heard.pause(min(self._tick, end - time.monotonic()))
            files = settled(seen, self._look, lambda: self._heard.pause(QUIET))
            if files and not self._heard.count:
                tell(f"{_named(files)}; restarts")
                return files
        return []

    def _look(self) -> Look:
        begun = time.monotonic()
        found = self._tree.look()
        self._tick = max(TICK, SHARE * (time.monotonic() - begun))
        return found


def _named(files: list[str]) -> str:
    first = os.path.relpath(files[0], Path.cwd())
    return f"{first} changed" if len(files) == 1 else f"{first} and {len(files) - 1:,} more changed"


def _ended(status: int, pause: float) -> str:
    if status == BROKEN:
        return "waits for a change"
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"the worker {how}; again in {pause:g} s, or after a change"
