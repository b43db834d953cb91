"""A runner's lease on SQLite: a side file, not a row.

A row could not be renewed while somebody holds the database's only write lock, and a user's transaction of 25 s
must not expire anybody's lease. The file holds an exclusive ``flock``, which the kernel releases the moment its
process dies, and a beat, which tells a stopped process from a working one.
"""

import fcntl
import os
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from conveyor.core.model import RunnerInfo

_BEAT: Final = struct.Struct("!dd")
"""Seconds of the machine's monotonic clock at the last beat, and how long it holds."""
SUFFIX: Final = ".lease"


class Lives(Protocol):
    """Who is alive, as the SQL function ``conveyor_alive`` asks."""

    def alive(self, runner: bytes | None) -> bool:
        """Whether *runner* has a lease now."""
        ...

    def take(self, runner: bytes, seconds: float) -> None:
        """Give *runner* a lease of *seconds*."""
        ...

    def renew(self, runner: bytes) -> bool:
        """Renew it; ``False`` when it has been lost, for good."""
        ...

    def end(self, runner: bytes) -> None:
        """End it."""
        ...

    def witness(self, runner: bytes) -> int | None:
        """See ``store.contract.Leases``."""
        ...


class MemoryLeases:
    """The leases of a ``:memory:`` store, which has one process."""

    def __init__(self) -> None:
        """Nobody is alive yet."""
        self._ends: dict[bytes, tuple[float, float]] = {}

    def alive(self, runner: bytes | None) -> bool:
        """See ``Lives.alive``."""
        return time.monotonic() < sum(self._ends.get(runner or b"", (0.0, 0.0)))

    def take(self, runner: bytes, seconds: float) -> None:
        """See ``Lives.take``."""
        self._ends[runner] = (time.monotonic(), seconds)

    def renew(self, runner: bytes) -> bool:
        """See ``Lives.renew``."""
        if not self.alive(runner):
            return False
        self._ends[runner] = (time.monotonic(), self._ends[runner][1])
        return True

    def end(self, runner: bytes) -> None:
        """See ``Lives.end``."""
        self._ends.pop(runner, None)

    def witness(self, runner: bytes) -> None:
        """See ``Lives.witness``: there is one process."""


class FileLeases:
    """The leases of a database file: one side file for each runner, in *folder*."""

    def __init__(self, folder: Path) -> None:
        """*folder* is made when the first lease is taken."""
        self._folder = folder
        self._own: dict[bytes, tuple[int, float]] = {}

    def alive(self, runner: bytes | None) -> bool:
        """See ``Lives.alive``: somebody locks the file, and its beat is fresh."""
        if runner is None:
            return False
        own = self._own.get(runner)
        if own is not None:
            return _fresh(own[0])
        try:
            file = os.open(self._path(runner), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return _locked(file) and _fresh(file)
        finally:
            os.close(file)

    def take(self, runner: bytes, seconds: float) -> None:
        """See ``Lives.take``.

        The file gets its name only once it is locked and has its first beat: nobody ever sees it dead before.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        path = self._path(runner)
        unnamed = path.with_suffix(".new")
        file = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._own[runner] = (file, seconds)
        _beat(file, seconds)
        unnamed.rename(path)

    def renew(self, runner: bytes) -> bool:
        """See ``Lives.renew``."""
        own = self._own.get(runner)
        if own is None or not _fresh(own[0]):
            return False
        _beat(*own)
        return True

    def end(self, runner: bytes) -> None:
        """See ``Lives.end``."""
        own = self._own.pop(runner, None)
        self._path(runner).unlink(missing_ok=True)
        if own is not None:
            os.close(own[0])

    def witness(self, runner: bytes) -> int | None:
        """See ``Lives.witness``: the lock belongs to the open file, of which a process may give another one a share."""
        own = self._own.get(runner)
        return None if own is None else own[0]

    def _path(self, runner: bytes) -> Path:
        return self._folder / f"{runner.hex()}{SUFFIX}"

    def _sweep(self) -> None:
        """Remove the files of the dead. Their jobs are found without: a runner with no file has no lease."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if not self.alive(bytes.fromhex(path.stem)):
                path.unlink(missing_ok=True)


class SqliteLeases:
    """See ``store.contract.Leases``."""

    def __init__(
        self,
        lives: Lives,
        seconds: float,
        *,
        enrol: Callable[[bytes, RunnerInfo], None],
        forget: Callable[[bytes], None],
    ) -> None:
        """*enrol* makes a runner known to the database, *forget* takes it out again."""
        self._lives, self._seconds = lives, seconds
        self._enrol, self._forget = enrol, forget

    def register(self, runner: bytes, info: RunnerInfo) -> None:
        """Give the lease, then make it known: never the other way round, or one would be found dead at birth."""
        self._lives.take(runner, self._seconds)
        self._enrol(runner, info)

    def renew(self, runners: Sequence[bytes]) -> frozenset[bytes]:
        """See ``Leases``."""
        return frozenset(runner for runner in runners if self._lives.renew(runner))

    def retire(self, runner: bytes, *, clean: bool) -> None:
        """See ``Leases``."""
        self._lives.end(runner)
        if clean:
            self._forget(runner)

    def witness(self, runner: bytes) -> int | None:
        """See ``Leases``."""
        return self._lives.witness(runner)

    def close(self) -> None:
        """Nothing: there is no connection."""


def _beat(file: int, seconds: float) -> None:
    os.pwrite(file, _BEAT.pack(time.monotonic(), seconds), 0)


def _fresh(file: int) -> bool:
    data = os.pread(file, _BEAT.size, 0)
    return len(data) == _BEAT.size and time.monotonic() < sum(_BEAT.unpack(data))


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
