"""Looks at the runners, each second, and acts on what it sees."""

import asyncio
import logging
import time
from typing import Final, Protocol

from conveyor.worker.letters import Stop
from conveyor.worker.supervisor.child import Child
from conveyor.worker.supervisor.look import Sign, judged
from conveyor.worker.supervisor.stacks import ask, blocker

logger = logging.getLogger("conveyor.worker")

AGAIN: Final = 60.0
"""Seconds until a loop that is still blocked is told of again."""


PATIENCE: Final = 15.0
"""Seconds that one gets to end which is to be replaced."""


class Watched(Protocol):
    """Whose runners they are."""

    children: list[Child]

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        ...

    def looked(self) -> None:
        """The watchman has come by."""
        ...


class Watchman:
    """The duty."""

    def __init__(self, watched: Watched) -> None:
        """Has seen nothing yet."""
        self._watched = watched
        self.tick = time.monotonic()
        """When it last came by: whether the supervisor itself goes on."""

    async def work(self, pause: float) -> None:
        """Look each *pause* seconds. A machine that was asleep has made everything late: then look once more first."""
        while True:
            await asyncio.sleep(pause)
            late = time.monotonic() - self.tick > 10 * pause
            self.tick = time.monotonic()
            self._watched.looked()
            for child in [] if late else list(self._watched.children):
                if child.at_work.is_set():
                    await self._look(child)

    async def _look(self, child: Child) -> None:
        child.warden.look()  # its runner does so as well, unless something blocks that
        sign = judged(child.facts())
        if sign is Sign.DEAD:
            logger.error("runner %s stands still and its lease runs out: it is killed", child.name)
            child.kill()
        elif child.retired:
            self._see_it_end(child)
        elif self._watched.stopping or (not child.wanted and sign is not Sign.OVERDUE):
            return  # its duties end one after the other, the sign of life as well
        elif sign is Sign.WEDGED:
            logger.error("runner %s claims nothing though its event loop turns: it is replaced", child.name)
            self._retire(child)
        elif sign in {Sign.BLOCKED, Sign.OVERDUE}:
            await self._tell(child)
        elif sign is Sign.WELL:
            child.told = 0.0
        if sign is Sign.OVERDUE:
            logger.error("what blocks runner %s is over its deadline: the runner is killed", child.name)
            child.kill()

    def _see_it_end(self, child: Child) -> None:
        if time.monotonic() - child.retired > PATIENCE:
            logger.error("runner %s does not end, and is killed", child.name)
            child.kill()

    async def _tell(self, child: Child) -> None:
        """Say who blocks the event loop, and where."""
        now = time.monotonic()
        if child.told and now - child.told < AGAIN:
            return
        child.told = now
        frames = await ask(child.pid, child.stack)
        task = blocker(frames, child.places)
        seconds = time.monotonic() - child.board.loop_tick
        logger.error(
            "the event loop of runner %s has been blocked for %.1f s by %s; its lease is kept. Use `await`, or "
            "make the task a plain function, which runs in a process of its own\n%s",
            child.name,
            seconds,
            f"task {task}" if task else "code of no task",
            "\n".join(frames) or "  (it does not say where)",
        )

    def _retire(self, child: Child) -> None:
        """Ask it to end; who does not is killed in time."""
        child.retired = child.retired or time.monotonic()
        child.say(Stop())
        child.say(Stop())
