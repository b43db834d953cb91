"""Starts runners, watches them, replaces them, and ends them."""

import asyncio
import contextlib
import faulthandler
import logging
import math
import os
import signal
import time
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Final

from conveyor.core.backoff import jittered
from conveyor.worker.duty import kept
from conveyor.worker.letters import Stop
from conveyor.worker.supervisor.child import Child
from conveyor.worker.supervisor.hearing import Hearing, OpenStore, surely
from conveyor.worker.supervisor.notify import Notifier
from conveyor.worker.supervisor.probes import Page, Probes
from conveyor.worker.supervisor.proc import adopt_orphans, reap
from conveyor.worker.supervisor.replacing import Replacing
from conveyor.worker.supervisor.scaling import Scaling
from conveyor.worker.supervisor.state import WorkerState, seen
from conveyor.worker.supervisor.tending import Tending
from conveyor.worker.supervisor.watch import Watchman

logger = logging.getLogger("conveyor.worker")

LAST: Final = 15.0
"""Seconds beyond the grace until a runner that does not end is killed: its last outcomes are to be written."""
HURRY: Final = 15.0
"""The same, once it was told to stop at once."""
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a runner that has died is replaced: the first time at once."""
PATIENCE: Final = 5
"""Runners in a row that a burst starts in vain before it gives up."""
QUIET: Final = 60.0
"""A runner that has worked for so long was no failure."""


class Supervisor:
    """See above. ``run`` works until it is told to stop, or, as a burst, until all runners have ended."""

    def __init__(self, tending: Tending, open_store: OpenStore, metrics: Page | None = None) -> None:
        """Starts nothing yet. The runners say where the store is: the app that knows it is the user's code."""
        self._tending = tending
        self.children: list[Child] = []
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._status = 0
        self._made = 0
        self._group = asyncio.TaskGroup()
        self._duties: set[asyncio.Task[None]] = set()
        self._keepers: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._replacing = Replacing(self.children, self._started, self._keep, self._stopping)
        self._hearing = Hearing(tending, open_store, self.children, self._beside)
        self.watchman = Watchman(self)
        self._begun = time.monotonic()
        self._said_ready = False
        self._notifier = Notifier()
        self._probes = Probes(self._seen, tending.http, metrics)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    @property
    def posts(self) -> int:
        """See ``Scaled``."""
        return len(self._keepers) - sum(not child.wanted for child in self.children)

    @property
    def changing(self) -> bool:
        """See ``Scaled``."""
        return self.stopping or self._replacing.busy

    async def add(self) -> Child:
        """See ``Scaled``."""
        child = await self._started()
        child.wanted = False  # not before it has shown that it can work
        self._keep(child)
        return child

    def stop(self) -> None:
        """Let running jobs finish within the grace period, and end; called again: at once."""
        if self.stopping:
            self._at_once.set()
        self._stopping.set()
        for child in self.children:
            child.say(Stop())
        self._notifier.say("STOPPING=1")

    def replace(self) -> None:
        """Replace the runners one by one, with the code as it is now."""
        self._replacing.ask()

    async def run(self) -> int:
        """Work; gives the exit status."""
        adopt_orphans()
        self._probes.open()
        try:
            with self._signals():
                children = [await self._started() for _ in range(self._tending.processes)]
                async with self._group:
                    self._beside(kept("watch", lambda: self.watchman.work(self._tending.look)))
                    self._beside(kept("replace", self._replacing.work))
                    self._beside(self._ended_in_time())
                    if self._tending.autoscale is not None:
                        scaling = Scaling(self, self._tending.autoscale, self._tending.processes, self._hearing.load)
                        self._beside(kept("autoscale", scaling.work))
                    for child in children:
                        self._keep(child)
                    while self._keepers:
                        await asyncio.wait(self._keepers)
                    for duty in list(self._duties):
                        duty.cancel()
        finally:
            self._probes.close()
            for child in self.children:
                child.kill()
            await self._hearing.aclose()
        return self._status

    def _beside(self, doing: Coroutine[object, object, None]) -> None:
        """Do it beside all else, until the end."""
        duty = self._group.create_task(doing)
        self._duties.add(duty)
        duty.add_done_callback(self._duties.discard)

    def _keep(self, child: Child) -> None:
        keeper = self._group.create_task(self._kept(child))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)

    async def _kept(self, child: Child) -> None:
        """Keep one runner, and its successors, for as long as any is wanted."""
        deaths = 0
        while await self._attend(child):
            deaths = 0 if time.monotonic() - child.begun > QUIET else deaths + 1
            if self._tending.burst and deaths > PATIENCE:
                self._status = 1
                return
            successor = await self._successor(deaths)
            if successor is None:
                return
            child = successor

    async def _successor(self, deaths: int) -> Child | None:
        """Another runner, after a pause; ``None`` when none is wanted any more. There may be no room for it."""
        while True:
            pause = jittered(PAUSES[min(deaths, len(PAUSES)) - 1]) if deaths else 0.0
            if pause:
                logger.warning("another runner is started in %.1f s", pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                    return None
            try:
                return await self._started()
            except OSError as error:
                logger.error("no runner can be started: %s", error)  # noqa: TRY400 - the machine's trouble, not ours
                deaths += 1

    async def _started(self) -> Child:
        """A new runner. Raises ``OSError`` when the machine has no room for it."""
        self._made += 1
        child = Child(str(self._made), self._tending.lease)
        try:
            await child.start(self._tending.command)
        except BaseException:
            child.close()
            raise
        self.children.append(child)
        if self.stopping:
            child.say(Stop())
        return child

    async def _attend(self, child: Child) -> bool:
        """Hear a runner until its end, and take back what it held; whether another one is wanted in its place."""
        listening = asyncio.create_task(self._hearing.listen(child))
        try:
            status = await child.ended()
        finally:
            listening.cancel()
        self.children.remove(child)
        child.over.set()
        if status < 0 or (child.runners and (status or not self.stopping)):
            logger.error("runner %s (pid %d) has ended: %s", child.name, child.pid, told(status))
        await surely(self._hearing.bury(child))
        child.close()
        return self._wanted(child, status)

    def _wanted(self, child: Child, status: int) -> bool:
        """One that never came to say hello would not the next time: the app cannot be imported, which it has said.

        Unless it was killed, which may have been for want of memory, and says nothing of the app.
        """
        if child.hello is None and status >= 0 and not self._hearing.known and not self.stopping:
            self._status = status if status > 0 else 1
            self.stop()
            return False
        if self._tending.burst and status == 0:
            return False
        return child.wanted and not self.stopping

    async def _ended_in_time(self) -> None:
        """Once told to stop, kill what does not end in time."""
        await self._stopping.wait()
        if self._tending.grace < math.inf:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._tending.grace + LAST):
                    await self._at_once.wait()
        else:
            await self._at_once.wait()
        if self._at_once.is_set():
            await asyncio.sleep(HURRY)
        for child in self.children:
            logger.error("runner %s does not end, and is killed; its jobs are taken back", child.name)
            child.kill()

    def looked(self) -> None:
        """The watchman has come by: nothing is stuck here."""
        reap(frozenset(child.pid for child in self.children))
        if not self._said_ready and self._seen().ready:
            self._said_ready = True
            self._notifier.say("READY=1")
        if self._notifier.period and self._seen().live:
            self._notifier.alive(time.monotonic())

    def _seen(self) -> WorkerState:
        """Of those that are to go on: not of one that has yet to show that it can work, or is about to end."""
        wanted = [child for child in self.children if child.wanted]
        return seen(wanted, begun=self._begun, tick=self.watchman.tick, stopping=self.stopping)

    @contextmanager
    def _signals(self) -> Generator[None]:
        heard = {
            signal.SIGTERM: self._told_to_stop,
            signal.SIGINT: self._told_to_stop,
            signal.SIGHUP: self._told_to_replace,
            signal.SIGUSR1: self._told_to_show,
        }
        for number, call in heard.items():
            self._loop.add_signal_handler(number, call, number)
        try:
            yield
        finally:
            for number in heard:
                self._loop.remove_signal_handler(number)

    def _told_to_stop(self, number: signal.Signals) -> None:
        self.stop()
        logger.info("%s: stopping; once more to stop at once", number.name)

    def _told_to_show(self, number: signal.Signals) -> None:
        """Print where everything stands: here, and in the runners, which print it themselves."""
        faulthandler.dump_traceback(all_threads=True)
        for child in self.children:
            if child.at_work.is_set():
                os.kill(child.pid, number)

    def _told_to_replace(self, number: signal.Signals) -> None:
        self.replace()
        logger.info("%s: the runners are replaced one by one", number.name)


def told(status: int) -> str:
    """An exit status, for people."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
        return f"killed by {name}" + (" (out of memory?)" if -status == signal.SIGKILL else "")
    return f"killed by signal {-status}"
