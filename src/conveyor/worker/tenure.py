"""In whose name a runner works: an identity and its lease, and anew after the lease was lost."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

from conveyor.core.model import RunnerInfo
from conveyor.worker.claim import Identity
from conveyor.worker.duty import kept
from conveyor.worker.heartbeat import Tether


class Tenure:
    """One at a time; random at each start, so that nobody is taken for who had the name before."""

    def __init__(self, tether: Tether, info: RunnerInfo, lost: Callable[[Identity], None]) -> None:
        """Holds nothing yet; *lost* is called in the event loop when the lease of an identity is lost."""
        self._tether = tether
        self._info = info
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._renewing: asyncio.Task[None] | None = None
        self.board = tether.board
        self.identity = self._fresh()

    @property
    def unsafe(self) -> bool:
        """Whether the last renewal is too old to rely on, though nobody has said that the lease is lost."""
        return self.identity.registered and self.safe < 0

    @property
    def safe(self) -> float:
        """Seconds for which the last renewal can be relied on."""
        return self.board.safe_until - time.monotonic()

    async def hold(self) -> None:
        """Take a lease for the present identity. Raises what keeps it from being taken."""
        identity = self.identity

        def lost() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and so have all attempts
                self._loop.call_soon_threadsafe(self._lost, identity)

        await asyncio.to_thread(self._tether.hold, identity.runner, self._info, lost)
        identity.registered = True

    def again(self, then: Callable[[], None] | None) -> None:
        """Take another identity, and a lease for it; *then* is called once it is there.

        Without *then* none is taken: who is about to end needs none, and would wait for a store that does not answer.
        """
        old, self.identity = self.identity, self._fresh()

        async def begin() -> None:
            await self._let_go(old, clean=False)
            if then is not None:
                await self.hold()
                then()

        self._renewing = asyncio.create_task(kept("new lease", begin))

    async def settled(self) -> None:
        """All has ended: wait until no lease is being taken any more; one that is not there by now will not be."""
        self.board.loop_deadline = 0.0  # nobody sweeps any more, and it is no reason to be killed
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def end(self, *, clean: bool) -> None:
        """End the lease; unless *clean*, others will look for what is held in its name."""
        await self._let_go(self.identity, clean=clean)

    async def _let_go(self, identity: Identity, *, clean: bool) -> None:
        if identity.registered:
            await asyncio.to_thread(self._tether.let_go, identity.runner, clean=clean)

    def _fresh(self) -> Identity:
        return Identity(os.urandom(16), self.board, registered=False)
