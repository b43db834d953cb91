"""The worker of one process: it starts the duties, and winds them down."""

import asyncio
import logging
import math
import os
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import GIVEN_BACK
from conveyor.core.model import Claimed, Held, Outcome, RunnerInfo
from conveyor.core.options import number_in
from conveyor.core.text import checked_name
from conveyor.core.version import __version__
from conveyor.plan import Ring
from conveyor.store.answers import Settled
from conveyor.worker.attempt import Attempt, Interruption
from conveyor.worker.board import Board
from conveyor.worker.cell.crew import Crew
from conveyor.worker.cell.settings import CellSettings
from conveyor.worker.claim import Claimer, Identity
from conveyor.worker.duty import every, first_of, kept, logged
from conveyor.worker.execute import Executor, Known
from conveyor.worker.finish import FLUSH, LAST_WORD, Parting, finished
from conveyor.worker.fit import check_fit
from conveyor.worker.heartbeat import Alone, Tether
from conveyor.worker.progress import Reporter
from conveyor.worker.relay import drained, relaying
from conveyor.worker.rescue import Rescuer
from conveyor.worker.schedules import Ticking
from conveyor.worker.settle import Settler
from conveyor.worker.slots import Slots
from conveyor.worker.surround import Surround
from conveyor.worker.tell import Teller
from conveyor.worker.tenure import Tenure
from conveyor.worker.upkeep import Upkeep
from conveyor.worker.watch import Watch

logger = logging.getLogger("conveyor.worker")

EXIT_THREAD = 75
"""The exit status when the process must end to end a thread: one that overran its timeout, or lost its lease."""
MOST_SLOTS = 10_000
"""Of one queue in one worker."""
LEAVE = 2.0
"""Seconds that idle cells get to leave their lifespan."""
UNWIND = 5.0
"""Seconds that cancelled tasks get to clean up."""
THREAD_PAUSE = 3_000_000
"""Microseconds that a job waits that was released while it ran on: by then its process is gone."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a worker behaves. All times in seconds."""

    queues: Mapping[str, int]
    """Queue name to slots."""
    burst: bool = False
    """End when nothing is due any more."""
    grace: float = 30.0
    """How long running jobs may go on after the worker was asked to stop."""
    lease: float = 20.0
    """After how long a silence others take it for dead."""
    beat: float = 5.0
    """How often it reports; at most half of the lease."""
    sweep: float = 0.5
    """How often deadlines are looked at."""
    rescue: float = 5.0
    """How often dead runners are looked for."""
    upkeep: float = 60.0
    """How often expired jobs are ended, and old ones deleted."""
    report: float = 0.5
    """How often progress is written."""
    cells: CellSettings | None = None
    """The processes that plain functions run in; without them they run in threads."""

    def __post_init__(self) -> None:
        """Refuse what cannot work: no slots would wait for ever, a beat beyond its lease would lose it each time."""
        if not self.queues:
            raise UsageError("a worker needs at least one queue")
        for name, slots in self.queues.items():
            checked_name("queue", name)
            number_in(f"slots of {name}", slots, range(1, MOST_SLOTS + 1))
        if not (0 < self.beat <= self.lease / 2 and self.lease < math.inf and 0 <= self.grace < math.inf):
            raise UsageError(
                f"lease={self.lease}, beat={self.beat}, grace={self.grace}: a beat must be above 0 and at most half "
                "of the lease, and grace not negative"
            )


class Runner:
    """One worker. ``run`` works until ``stop`` is called, or, as a burst, until nothing is due."""

    def __init__(self, known: Known, surround: Surround, settings: Settings, tether: Tether | None = None) -> None:
        """*known* are the tasks that it may claim; *tether* holds its lease, if it is not to do that itself.

        Must be made in the event loop that runs it.
        """
        self._known, self._surround = known, surround
        self._store = store = surround.store
        self._settings = settings
        self._slots = Slots(settings.queues)
        self._tether = tether or Alone(store.leases(settings.lease), settings.lease, settings.beat)
        surround.board = self._tether.board
        self._info = _info(settings, known, os.getppid() if self._tether.supervised else 0)
        self._tenure = Tenure(self._tether, self._info, self._lease_lost)
        self._teller = Teller(known, surround.around, surround.pool)
        self._reporter = Reporter(store, lambda: list(self._executor.attempts.values()))
        self._settler = Settler(store, self._settled, self._reporter.flush)
        self._crew = _crew(settings, self._tether.board)
        self._executor = Executor(
            known,
            self._slots,
            surround,
            judged=self._judged,
            written=self._written,
            ended=self._reporter.ended,
            freed=lambda: self._claimer.freed(),  # noqa: PLW0108 - it is made below
            crew=self._crew,
        )
        self._watch = Watch(store, self._executor, lambda: self._tenure.identity.runner)
        self._listener = store.listener(self._tenure.identity.runner)
        self._claimer = Claimer(
            store,
            self._listener,
            self._slots,
            self._executor,
            self._settler,
            self._info.tasks,
            lambda: self._tenure.identity,
            burst=settings.burst,
        )
        self._loop = asyncio.get_running_loop()
        self._stopping, self._pressed, self._at_once = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._parting = Parting(lambda: self._tenure.safe, settings.lease / 10)
        self._doomed, self._ran = list[Attempt](), 0
        self._ticking = Ticking(store, self._tether, surround.declared, known)

    def stop(self) -> None:
        """Claim nothing more, let running jobs finish within the grace period, and end; called again: at once."""
        if self._pressed.is_set():
            self._at_once.set()
        self._pressed.set()
        self._stopping.set()

    def leave(self) -> None:
        """Claim nothing more, and end once running jobs have; ``stop`` may still give them a grace period."""
        self._stopping.set()

    def orphan(self) -> None:
        """Give all jobs back, and end: nobody keeps the lease any more."""
        self._pressed.set()
        self._stopping.set()
        self._at_once.set()

    def tell(self, job: Held, outcome: Outcome) -> None:
        """A dead runner's job was taken back, which hooks are to hear."""
        self._teller.tell(job, outcome)

    def show(self) -> None:
        """Have the cells print where they are."""
        if self._crew is not None:
            self._crew.show()

    async def run(self) -> int:
        """Work; gives the exit status. Raises when the store cannot be used to begin with."""
        await check_fit(self._store)
        async with AsyncExitStack() as stack:
            self._surround.state = await self._surround.around.open(stack)
            return await self._work()

    async def _work(self) -> int:
        self._tether.begin(self, self._known)
        await self._tenure.hold()
        logger.info("worker %s serves %s", self._tenure.identity.runner.hex()[:8], _served(self._settings.queues))
        try:
            await self._ticking.begin(burst=self._settings.burst)
            await drained(self._surround, burst=self._settings.burst)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(duty) for duty in self._duties()]
                await self._wind_down(await self._claim_until_stopped())
                for task in tasks:
                    task.cancel()
        except BaseException:  # cancelled from outside: a beat that went on would keep our jobs from all others
            self._executor.shut()
            self._executor.interrupt(Interruption.SHUTDOWN)
            self._executor.close()
            await self._tenure.end(clean=False)
            self._tether.close()
            self._say_stopped()
            raise
        await self._tenure.settled()
        if not self._parting.hurried:
            await self._tenure.end(clean=self._claimer.holds_nothing)
        self._tether.close()
        self._executor.close()
        self._say_stopped()
        return EXIT_THREAD if self._doomed else 0

    def _say_stopped(self) -> None:
        ran = "1 attempt" if self._ran == 1 else f"{self._ran:,} attempts"
        logger.info("worker %s stopped after %s", self._tenure.identity.runner.hex()[:8], ran)

    def _duties(self) -> Sequence[Coroutine[object, object, None]]:
        settings = self._settings
        duties = [
            kept("settle", self._settler.work),
            every(settings.sweep, "deadlines", self._sweep),
            every(settings.report, "progress", self._reporter.work),
            kept("cancel", self._watch.work),
            kept("listen", lambda: self._listener.listen(self._heard)),
        ]
        if not self._tether.supervised:
            rescuer = Rescuer(self._store, settings.lease, self._teller.tell)
            duties.append(every(settings.rescue, "rescue", rescuer.work))
            duties.append(every(settings.upkeep, "upkeep", Upkeep(self._store).work))
        return [*duties, *self._ticking.duties(), *relaying(self._surround, burst=settings.burst)]

    async def _claim_until_stopped(self) -> float:
        """A claim under way has its time: the store might carry it out all the same. Gives when the end began."""
        claiming = asyncio.create_task(kept("claim", self._claimer.work))
        try:
            await first_of(asyncio.wait([claiming]), self._stopping.wait())
            asked = self._loop.time()
            self._executor.shut()
            await self._parting.wait(self._claimer.stop(), FLUSH)
        finally:
            claiming.cancel()
        await asyncio.wait([claiming])
        return asked

    async def _wind_down(self, asked: float) -> None:
        """Release what has not started; let the rest finish; release what does not.

        The grace counts from when the worker was *asked* to end: a claim under way may have taken of it.
        """
        self._executor.give_back()
        if not self._pressed.is_set() and not self._settings.burst and self._executor.attempts:
            logger.info("it is needed no more, and ends with its running jobs")
            await finished(self._unfinished, self._undoubted, math.inf, self._pressed)
            asked = self._loop.time()
        if self._executor.attempts:
            grace = max(self._settings.grace - (self._loop.time() - asked), 0.0)
            logger.info("%s %.0f s", _have(len(self._executor.attempts)), grace)
            await finished(self._unfinished, self._undoubted, 0.0 if self._parting.hurried else grace, self._at_once)
        self._parting.begin(asked + self._settings.grace - self._loop.time())
        self._executor.interrupt(Interruption.SHUTDOWN)
        cancelled = [a.task for a in self._executor.attempts.values() if a.task and not a.in_thread]
        if cancelled:
            await self._parting.wait(asyncio.wait(cancelled), UNWIND)
        if self._crew is not None:
            await self._crew.close(self._parting.left(LEAVE))
        self._executor.abandon(THREAD_PAUSE)
        await self._parting.wait(self._executor.confirmed(FLUSH), FLUSH)
        if not self._parting.hurried:
            await self._parting.wait(self._undoubted(), FLUSH)
        await self._parting.wait(self._settler.drained(FLUSH), FLUSH, 0.0 if self._parting.hurried else LAST_WORD)
        if len(self._settler):
            logger.error("%d outcomes could not be written; those jobs will run again", len(self._settler))
        await self._teller.drained(self._parting.left(FLUSH))

    def _unfinished(self) -> list[asyncio.Task[None]]:
        attempts = self._executor.attempts.values()
        return [a.task for a in attempts if a not in self._doomed and a.task and not a.task.done()]

    async def _undoubted(self) -> None:
        with logged("unanswered claims stay to be rescued"):
            await self._claimer.resolve_doubt()

    def _judged(self, job: Claimed, outcome: Outcome) -> None:
        self._count(outcome)
        self._teller.expect(job, outcome)
        self._settler.put(outcome)

    def _written(self, job: Claimed, outcome: Outcome, stands: bool) -> None:  # noqa: FBT001 - a fact, not a switch
        self._claimer.settled([outcome])
        if stands:
            self._count(outcome)
            self._teller.tell(job, outcome)

    def _count(self, outcome: Outcome) -> None:
        """Attempts that were spent, not those that were given back."""
        self._ran += outcome.event not in GIVEN_BACK and not outcome.back

    def _settled(self, outcomes: Sequence[Outcome], answer: Settled) -> None:
        self._claimer.settled(outcomes)
        for outcome in outcomes if self._teller.expects else ():
            self._teller.settled(outcome, refused=outcome.id in answer.refused, stopped=outcome.id in answer.stopped)

    def _heard(self, why: Ring) -> None:
        match why:
            case Ring.WORK:
                self._claimer.wake()
            case Ring.SOON:
                self._claimer.glance()
            case Ring.CANCEL:
                self._watch.ring()
            case Ring.TICK:
                self._ticking.wake()
            case Ring.HELD:
                self._claimer.doubt()
            case Ring.OUTBOX:
                pass  # the relay listens for itself

    async def _sweep(self) -> None:
        board = self._tenure.board
        board.loop_tick = time.monotonic()
        if self._tenure.unsafe:
            self._lease_lost(self._tenure.identity)
        late = self._executor.sweep()
        if late and not self._doomed:
            self._doom(late, "it overran its timeout")
        board.running = len(self._executor.attempts)
        board.loop_deadline = self._executor.first_deadline()

    def _doom(self, attempts: list[Attempt], why: str) -> None:
        """End the worker: nothing else ends a thread."""
        self._doomed = attempts
        for attempt in attempts:
            logger.critical(
                "%s in a thread, which nobody can stop: this worker ends, and with it the thread",
                why,
                extra=attempt.context.labels(),
            )
        self.stop()

    def _lease_lost(self, identity: Identity) -> None:
        """Others may start our jobs now: end them here, and begin again under a new identity."""
        if identity is not self._tenure.identity or self._parting.hurried:
            return
        logger.error("the lease of worker %s is lost; its jobs end here", identity.runner.hex()[:8])
        self._executor.give_back()
        self._executor.interrupt(Interruption.LEASE_LOST)
        threads = [attempt for attempt in self._executor.attempts.values() if attempt.in_thread]
        if threads:
            self._parting.hurried = True  # the process must be gone before its lease ends
            self._doom(threads, "its lease is lost")
            return
        self._tenure.again(None if self._stopping.is_set() else self._claimer.wake)


def _crew(settings: Settings, board: Board) -> Crew | None:
    return None if settings.cells is None else Crew(settings.cells, board, sum(settings.queues.values()))


def _info(settings: Settings, known: Known, supervisor: int) -> RunnerInfo:
    return RunnerInfo(
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=dict(settings.queues),
        tasks=tuple(sorted(known)),
        version=__version__,
        supervisor=supervisor,
    )


def _have(jobs: int) -> str:
    return "1 job is running; it has" if jobs == 1 else f"{jobs} jobs are running; they have"


def _served(queues: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={slots}" for name, slots in queues.items())
