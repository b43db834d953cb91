"""The doorbell between processes that share a database file: a FIFO for each worker, rung after each commit.

``PRAGMA data_version`` stands in where a ring gets lost (a writer that knows nothing of us, a full pipe).
"""

import asyncio
import contextlib
import errno
import math
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from conveyor.plan import Ring
from conveyor.store.listener import HearsAll
from conveyor.store.sight import Sight

BELL: Final = ".bell"
SHORTEST_LOOK: Final = 0.01


def ring(folder: Path, why: Ring) -> None:
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
            os.write(bell, why.value)
        os.close(bell)


class SqliteListener(HearsAll):
    """Hears the bell of one runner; see ``store.listener.Listener``."""

    def __init__(self, folder: Path | None, runner: bytes, version: Callable[[], Awaitable[int]]) -> None:
        """*folder* is ``None`` for a store in memory, whose processes are one; *version* asks ``data_version``."""
        self._path = None if folder is None else folder / f"{runner.hex()}{BELL}"
        self.sight = Sight()
        self._version = version
        self._seen: int | None = None
        self._heard: Callable[[Ring], object] | None = None
        self._joined = -math.inf
        """When jobs were last known to be in somebody's open transaction."""

    @property
    def hears(self) -> bool:
        """Never: a look at ``data_version`` costs 3 us, so the worker looks often anyway."""
        return False

    @property
    def next_look(self) -> float:
        """See ``store.listener.Listener.next_look``.

        A commit of the user's rings no bell. So after a job has joined their transaction the worker looks often, and
        ever less often: what is committed after a while is seen within a tenth of that while.
        """
        return max((time.monotonic() - self._joined) / 10, SHORTEST_LOOK)

    def rung(self, why: Ring) -> None:
        """This very process has committed something."""
        if self._heard is not None:
            with contextlib.suppress(RuntimeError):  # its event loop has ended
                self._heard(why)

    async def listen(self, heard: Callable[[Ring], None]) -> None:
        """See ``store.listener.Listener.listen``."""
        loop = asyncio.get_running_loop()
        self._heard = lambda why: loop.call_soon_threadsafe(heard, why)
        if self._path is None:
            try:
                await asyncio.Event().wait()
            finally:
                self._heard = None
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unnamed = self._path.with_suffix(".new")
        os.mkfifo(unnamed)
        bell = os.open(unnamed, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        unnamed.rename(self._path)  # nobody ever sees it without its reader
        try:
            loop.add_reader(bell, self._read, bell, heard)
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(bell)
            os.close(bell)
            self._path.unlink(missing_ok=True)

    def _read(self, bell: int, heard: Callable[[Ring], None]) -> None:
        """However often it was rung for one thing, it is one ring."""
        why: set[int] = set()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(bell, 4096):
                why.update(data)
        if Ring.SOON.value[0] in why or Ring.OUTBOX.value[0] in why:
            self._joined = time.monotonic()
        for ring_ in Ring:
            if ring_.value[0] in why:
                heard(ring_)

    async def idle(self, seconds: float) -> bool:  # noqa: ARG002 - the protocol's signature
        """Bells are always rung. But a writer that does not ring may have come since the last look."""
        return await self.changed()

    async def changed(self) -> bool:
        """Whether another connection has written since the last look."""
        version = await self._version()
        before, self._seen = self._seen, version
        return version != before
