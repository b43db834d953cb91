"""The doorbell between processes that share a database file: a FIFO for each worker, rung after each commit.

``PRAGMA data_version`` stands in where a ring gets lost (a writer that knows nothing of us, a full pipe).
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

BELL: Final = ".bell"


def ring(folder: Path) -> None:
    """Ring all bells in *folder*, and take down those whose worker is dead."""
    try:
        names = [entry.path for entry in os.scandir(folder) if entry.name.endswith(BELL)]
    except FileNotFoundError:
        return
    for name in names:
        try:
            bell = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nobody has it open, and a living worker always has
                Path(name).unlink(missing_ok=True)
            continue
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # it is rung already; or its worker just died
            os.write(bell, b"!")
        os.close(bell)


class SqliteListener:
    """Hears the bell of one runner; see ``store.contract.Listener``."""

    def __init__(self, folder: Path | None, runner: bytes, version: Callable[[], Awaitable[int]]) -> None:
        """*folder* is ``None`` for a store in memory, whose processes are one; *version* asks ``data_version``."""
        self._path = None if folder is None else folder / f"{runner.hex()}{BELL}"
        self._version = version
        self._seen: int | None = None
        self._ring: Callable[[], object] | None = None

    @property
    def hears(self) -> bool:
        """Never: a look at ``data_version`` costs 3 us, so the worker looks often anyway."""
        return False

    def rung(self) -> None:
        """This very process has committed something."""
        if self._ring is not None:
            with contextlib.suppress(RuntimeError):  # its event loop has ended
                self._ring()

    async def listen(self, ring: Callable[[], None]) -> None:
        """See ``store.contract.Listener.listen``."""
        loop = asyncio.get_running_loop()
        self._ring = partial(loop.call_soon_threadsafe, ring)
        if self._path is None:
            try:
                await asyncio.Event().wait()
            finally:
                self._ring = None
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unnamed = self._path.with_suffix(".new")
        os.mkfifo(unnamed)
        bell = os.open(unnamed, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        unnamed.rename(self._path)  # nobody ever sees it without its reader
        try:
            loop.add_reader(bell, _heard, bell, ring)
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(bell)
            os.close(bell)
            self._path.unlink(missing_ok=True)

    async def idle(self, seconds: float) -> bool:  # noqa: ARG002 - the protocol's signature
        """Bells are always rung. But a writer that does not ring may have come since the last look."""
        return await self.changed()

    async def changed(self) -> bool:
        """Whether another connection has written since the last look."""
        version = await self._version()
        before, self._seen = self._seen, version
        return version != before


def _heard(bell: int, ring: Callable[[], None]) -> None:
    """However often it was rung, it is one ring."""
    with contextlib.suppress(BlockingIOError):
        while os.read(bell, 4096):
            pass
    ring()
