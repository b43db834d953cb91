"""Hears what runners say: where the store is, which leases they want, and which they need no more."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from conveyor.core.model import Held, Outcome, read_attempts
from conveyor.core.scaling import Load
from conveyor.store.contract import Store
from conveyor.worker.letters import Given, Hello, Hold, LetGo, Letter, Look, Lost, Refused, Rescued
from conveyor.worker.supervisor.care import Care
from conveyor.worker.supervisor.child import Child
from conveyor.worker.supervisor.proc import stopped
from conveyor.worker.supervisor.tending import Tending

logger = logging.getLogger("conveyor.worker")

UNTOLD: Final = 1_000
"""Ends of jobs that wait for a runner whose hooks are to hear them."""

OpenStore = Callable[[str, str | None], Store]
Start = Callable[[Coroutine[object, object, None]], object]


class Hearing:
    """What all runners have said, and what was done about it at the store."""

    def __init__(self, tending: Tending, open_store: OpenStore, children: list[Child], start: Start) -> None:
        """*children* are those that live; *start* begins what goes on beside."""
        self._tending = tending
        self._open_store = open_store
        self._children = children
        self._start = start
        self._care: dict[str, Care] = {}
        self._untold: deque[Rescued] = deque(maxlen=UNTOLD)
        self._loop = asyncio.get_running_loop()

    @property
    def known(self) -> bool:
        """Whether any runner has ever said where the store is."""
        return bool(self._care)

    async def listen(self, child: Child) -> None:
        """Hear one runner, for as long as it speaks."""
        try:
            await child.letters(lambda letter: self._hear(child, letter))
        except Exception:
            logger.exception("what runner %s says cannot be understood; it is killed", child.name)
            child.kill()

    async def bury(self, child: Child) -> None:
        """A runner is dead, and its cells with it: others may have its jobs at once."""
        child.kill_cells()
        care = self._care_of(child)
        if child.runners and care is not None:
            for runner in tuple(child.runners):
                await care.let_go(runner, clean=False)
            await care.rescue_now()

    async def load(self, child: Child, target: timedelta) -> Sequence[Load]:
        """How busy the queues are of the store that *child* works for."""
        care = self._care_of(child)
        leaving = {runner.hex() for child in self._children if not child.wanted for runner in child.runners}
        return await care.load(target, leaving) if care else ()

    async def aclose(self) -> None:
        """Let go of all leases and stores."""
        for care in self._care.values():
            await care.aclose()

    def _hear(self, child: Child, letter: Letter) -> None:
        match letter:
            case Hello(url, listen_url):
                if url not in self._care:
                    self._care[url] = care = self._new_care(self._open_store(url, listen_url))
                    self._start(care.work())
                child.hello = letter
            case Hold():
                self._start(surely(self._hold(child, letter)))
            case LetGo():
                self._start(surely(self._let_go(child, letter)))
            case Look():
                watching = self._care_of(child)
                if watching is not None:
                    watching.scheduler.wake()
            case _:
                logger.error("a runner has no business to say %s", type(letter).__name__)

    async def _hold(self, child: Child, wish: Hold) -> None:
        answer: Given | Refused = Refused(wish.runner, "the supervisor has failed at it", again=True)
        witness: int | None = None
        care = self._care_of(child)
        try:
            if care is not None:
                answer, witness = await care.hold(wish, child.board)
        finally:
            if not isinstance(answer, Given):
                child.say(answer)
        if care is None:
            return
        if child.over.is_set():  # it died meanwhile
            await care.let_go(wish.runner, clean=False)
            await care.rescue_now()
            return
        if isinstance(answer, Given):
            child.runners.add(wish.runner)
            child.queues = wish.info.queues
            if not child.at_work.is_set():
                await care.rescue_now()  # so that a burst does not end while the dead hold what is due
            child.say(answer, witness)
            child.at_work.set()
            self._tell_all()

    async def _let_go(self, child: Child, wish: LetGo) -> None:
        care = self._care_of(child)
        if care is not None:
            child.runners.discard(wish.runner)
            await care.let_go(wish.runner, clean=wish.clean)
            child.say(Given(wish.runner))
            if not wish.clean:
                await care.rescue_now()

    def _care_of(self, child: Child) -> Care | None:
        return self._care.get(child.hello.url) if child.hello else None

    def _new_care(self, store: Store) -> Care:
        def lost(runner: bytes) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._lost, runner)

        def able(runner: bytes) -> bool:
            return not any(runner in child.runners and stopped(child.pid) for child in list(self._children))

        return Care(store, self._tending, lost=lost, able=able, tell=self._tell)

    def _lost(self, runner: bytes) -> None:
        for child in self._children:
            if runner in child.runners:
                child.runners.discard(runner)
                child.say(Lost(runner))

    def _tell(self, job: Held, outcome: Outcome) -> None:
        record = msgspec.json.encode(read_attempts(outcome.record)[-1:]) if outcome.record else None
        self._untold.append(Rescued(job._replace(attempts=None), outcome._replace(record=record)))
        self._tell_all()

    def _tell_all(self) -> None:
        """Hooks are the user's code, which runs in runners; the youngest is no worse than another."""
        child = next((child for child in reversed(self._children) if child.ready), None)
        while child is not None and self._untold:
            child.say(self._untold.popleft())


async def surely(doing: Coroutine[object, object, None]) -> None:
    """Whatever goes wrong there must not end the supervisor."""
    try:
        await doing
    except Exception:
        logger.exception("the supervisor failed at something, and goes on")
