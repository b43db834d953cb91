"""Locks on SQLite: a held one is tied to its holder's process by a ``flock``, which the kernel ends with it.

The file bears the hash of the lock's name, and is there while the lock is held. SQLite's own file says who has it.
"""

import fcntl
import os
import time
from hashlib import sha256
from pathlib import Path
from typing import Final

from conveyor.core.clock import Clock
from conveyor.store.locks import NoTies, SqlLocks, Ties
from conveyor.store.sqlite.forking import unforked
from conveyor.store.sqlite.plans import SqliteDialect
from conveyor.store.sqlite.uptime import boot, uptime

SUFFIX: Final = ".lock"
PATIENCE: Final = 0.2
"""Seconds to wait for the file of a lock whose last holder is just letting go of it."""
LOOK: Final = 0.002


class SqliteLocks(SqliteDialect, SqlLocks):
    """See ``store.locks.Locks``."""

    def __init__(self, clock: Clock, folder: Path | None) -> None:
        """*folder* is the side folder; a store in memory has none, and ends with its process."""
        super().__init__(clock)
        self._folder = folder

    def params(self, **params: object) -> dict[str, object]:
        """See ``SqlBase.params``. When a lock runs out goes by a clock that nobody sets, where there is one."""
        return super().params(boot=boot(), uptime=uptime(), **params)

    def ties(self) -> Ties:
        """See ``Locks``."""
        return NoTies() if self._folder is None else FileTies(self._folder)

    def untied(self, name: str) -> bool:
        """The SQL function ``conveyor_untied``: whether no process is tied to the lock.

        To find out is to hold it for a moment. No fork comes in between: a lane is at work, and that waits for it.
        """
        if self._folder is None:
            return False
        try:
            file = os.open(_path(self._folder, name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            return _seized(file)
        finally:
            os.close(file)


class FileTies:
    """See ``store.locks.Ties``: one open file for each lock, in *folder*. None breaks while its process lives."""

    patience = PATIENCE

    @property
    def file(self) -> None:
        """See ``Ties``."""
        return

    def __init__(self, folder: Path) -> None:
        """*folder* is there."""
        self._folder = folder
        self._files: dict[str, int] = {}

    def tie(self, name: str, seconds: float) -> bool:  # noqa: ARG002 - as Ties has it
        """See ``Ties``."""
        end = time.monotonic() + min(self.patience, PATIENCE)
        try:
            while (file := self._opened(name)) is None:
                if time.monotonic() > end:
                    return False
                time.sleep(LOOK)
        except OSError:  # a full disk, or somebody else's file
            return False
        self._files[name] = file
        return True

    def has(self, name: str) -> bool:
        """See ``Ties``."""
        return name in self._files

    def whole(self, name: str) -> bool:
        """See ``Ties``."""
        return name in self._files

    def untie(self, name: str) -> None:
        """See ``Ties``. The file goes before its lock does: who has opened it meanwhile finds out that it is gone."""
        file = self._files.pop(name, None)
        if file is not None:
            _path(self._folder, name).unlink(missing_ok=True)
            with unforked():
                _open.discard(file)
                os.close(file)

    def close(self) -> None:
        """See ``Ties``."""
        for name in list(self._files):
            self.untie(name)

    def _opened(self, name: str) -> int | None:
        """The file, locked, and the one that bears the name."""
        path = _path(self._folder, name)
        with unforked():
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            if _seized(file) and _same(file, path):
                _open.add(file)
                return file
            os.close(file)
            return None


_open: Final[set[int]] = set()


def _path(folder: Path, name: str) -> Path:
    return folder / f"{sha256(name.encode()).hexdigest()[:32]}{SUFFIX}"


def _seized(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _in_child() -> None:
    """A child has its parent's locks as well, and would keep them when that is dead."""
    while _open:
        os.close(_open.pop())


os.register_at_fork(after_in_child=_in_child)
