"""Runs claimed jobs in their slots, and hands each outcome on."""

import asyncio
import contextvars
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping

from conveyor.context import labels
from conveyor.core.backoff import DEFAULT_BACKOFF
from conveyor.core.extras import decoded
from conveyor.core.failure import describe
from conveyor.core.judge import (
    EXPIRED,
    Crashed,
    Ending,
    Interrupted,
    Raised,
    Returned,
    Snoozed,
    Stopped,
    Unfit,
    apart,
    judge,
    suspect,
    unfit_wait,
)
from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed, Outcome
from conveyor.core.usage import Usage, noted
from conveyor.task import Definition
from conveyor.worker.attempt import NOTHING_USED, Attempt, End, Fenced, Interruption, Unsure, Written
from conveyor.worker.cell.crew import Crew
from conveyor.worker.duty import Trouble
from conveyor.worker.slots import Lane, Slots, Taken
from conveyor.worker.surround import Surround
from conveyor.worker.ward import Ward

logger = logging.getLogger("conveyor.worker")

AGAIN = 1_000_000
"""Microseconds until a job may be claimed again whose earlier attempt has not ended in this process."""
HEED = 1.0
"""Seconds that a thread gets to look at ``ctx.cancelled`` after its timeout, before its worker ends for it."""

Known = Mapping[str, Definition]
"""The tasks of this worker, by name."""


class Executor:
    """The slots at work."""

    def __init__(
        self,
        known: Known,
        slots: Slots,
        surround: Surround,
        *,
        judged: Callable[[Claimed, Outcome], None],
        written: Callable[[Claimed, Outcome, bool], None],
        ended: Callable[[Attempt], None],
        freed: Callable[[], None],
        crew: Crew | None = None,
    ) -> None:
        """Who is told of what. *crew* runs plain functions; without it they run in threads.

        *judged* takes each outcome, to have it written; *written* those that wrote themselves, and whether they
        stand; *ended* each attempt, before its outcome; *freed* is called whenever there may be room for a claim.
        """
        self._known = known
        self._slots = slots
        self._surround = surround
        self._judged, self._written = judged, written
        self._ended, self._freed = ended, freed
        self._crew = crew
        self._pool = surround.pool("conveyor-task")
        self.ward = Ward()
        self._open = True
        self._confirming: set[asyncio.Task[None]] = set()
        self._scope = contextvars.copy_context()
        self.attempts: dict[bytes, Attempt] = {}
        """What runs, by job."""

    @property
    def holds(self) -> bool:
        """Whether any job is here, running or waiting for its slot."""
        return self.ward.waiting or self._busy

    @property
    def _busy(self) -> bool:
        return bool(self.attempts) or any(lane.waiting for lane in self._slots.lanes.values())

    def accept(self, runner: bytes, jobs: Iterable[Claimed]) -> None:
        """Start *jobs*, or line them up for a slot; end those that are not to be started any more."""
        suspects: list[Taken] = []
        for job in jobs:
            over = _over(job)
            if over is not None:
                self._judge(job, runner, over, 0.0)
            elif job.id in self.attempts:  # its lost attempt clings on, here of all places: not twice at a time
                self._judge(job, runner, Interrupted(AGAIN), 0.0)
            elif self._crew is None and suspect(job):
                suspects.append((job, runner))
            else:
                self._slots.lanes[job.queue].take(job, runner)
        for taken, pause in self.ward.admit(suspects, others=self._busy) if suspects else ():
            self._judge(*taken, Interrupted(pause), 0.0)
        for lane in self._slots.lanes.values():
            self._fill(lane)

    def seclude(self, held: int) -> None:
        """Start the job that is to run alone, if there is one; *held* jobs are this runner's, as the store has it."""
        if self.ward.waiting and self._open and not self._busy and held <= 1:
            for job, runner in self.ward.start():
                logger.warning("runs alone here, for a worker died while it held this job", extra=labels(job))
                self._slots.lanes[job.queue].take(job, runner)
                self._fill(self._slots.lanes[job.queue])

    def refuse(self, runner: bytes, jobs: Iterable[Claimed]) -> None:
        """Release *jobs* without having started them."""
        for job in jobs:
            self._judge(job, runner, Interrupted(), 0.0)

    def give_back(self) -> None:
        """Release what has not started."""
        for lane in self._slots.lanes.values():
            while lane.waiting:
                self._judge(*lane.waiting.popleft(), Interrupted(), 0.0)
        for taken in self.ward.leave():
            self._judge(*taken, Interrupted(), 0.0)
        if self._crew is not None:
            self._crew.give_back()

    def cancel(self, id_: bytes, token: int, reason: str) -> None:
        """Somebody wants this job cancelled."""
        attempt = self.attempts.get(id_)
        if attempt is not None and attempt.job.token == token:
            attempt.interrupt(Interruption.CANCEL, reason)
        for lane in self._slots.lanes.values() if attempt is None else ():
            taken = next((taken for taken in lane.waiting if (taken[0].id, taken[0].token) == (id_, token)), None)
            if taken is not None:  # it need not wait for a slot to learn that it is not to start
                lane.waiting.remove(taken)
                self._judge(*taken, Stopped(reason, started=False), 0.0)
        for taken in self.ward.leave(id_, token):
            self._judge(*taken, Stopped(reason, started=False), 0.0)

    def interrupt(self, why: Interruption) -> None:
        """Ask all that runs to end."""
        for attempt in list(self.attempts.values()):
            attempt.interrupt(why)

    def sweep(self) -> list[Attempt]:
        """Ask what is over its deadline to end; gives those that cannot be stopped, for they run in threads."""
        if self._crew is not None:
            self._crew.sweep()
        now = time.monotonic()
        late = [a for a in self.attempts.values() if a.deadline is not None and a.deadline < now]
        for attempt in late:
            attempt.interrupt(Interruption.TIMEOUT)
        for taken, pause in self.ward.lapse():
            self._judge(*taken, Interrupted(pause), 0.0)
        return [a for a in late if a.in_thread and now - (a.deadline or now) > HEED]

    def first_deadline(self) -> float:
        """Of those that run in the event loop, by the monotonic clock; 0 for none."""
        ends = (a.deadline for a in self.attempts.values() if a.deadline is not None and not a.in_thread)
        return min(ends, default=0.0)

    def abandon(self, pause: int) -> None:
        """Write off what still runs: late threads have timed out, the rest is released for *pause* microseconds."""
        for attempt in list(self.attempts.values()):
            late = attempt.in_thread and attempt.interruption is Interruption.TIMEOUT
            self._end(attempt, attempt.timed_out() if late else Interrupted(pause))

    async def confirmed(self, seconds: float) -> None:
        """Wait until it is known what became of commits whose answer was lost."""
        if self._confirming:
            await asyncio.wait(self._confirming, timeout=seconds)

    def close(self) -> None:
        """Let go of the threads, without waiting for them, and kill what cells there still are."""
        if self._crew is not None:
            self._crew.kill()
        for task in self._confirming:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def shut(self) -> None:
        """Start nothing more."""
        self._open = False
        if self._crew is not None:
            self._crew.shut()

    def _fill(self, lane: Lane) -> None:
        if not self._open or not lane.waiting:
            return
        loop, board = asyncio.get_running_loop(), self._surround.board
        for job, runner in lane.startable():
            attempt = Attempt(job, runner, self._known[job.task], self._surround)
            if self._crew is not None and (attempt.definition.isolation == "process" or apart(job)):
                attempt.leaves()
            self.attempts[job.id] = attempt
            scope = self._scope.copy()  # the present one may be that of another attempt, which has just ended
            attempt.task = loop.create_task(self._run(attempt), context=scope)
            if board is not None:  # here, and not with the next sweep: a task that blocks the loop keeps that away
                board.running = len(self.attempts)
            if board is not None and attempt.deadline is not None and not attempt.in_thread:
                board.loop_deadline = min(board.loop_deadline or attempt.deadline, attempt.deadline)

    async def _run(self, attempt: Attempt) -> None:
        try:
            if self._crew is not None and attempt.in_cell:
                end = await self._crew.run(attempt)
            else:
                end = await attempt.perform(self._pool)
        except asyncio.CancelledError:  # cancelled before its first step
            end = attempt.unstarted()
        except BaseException as error:  # noqa: BLE001 - nor may it end the worker
            told = attempt.words.described(error)  # it is chained to the task's own error, which may hold secrets
            logger.error(  # noqa: TRY400 - as said
                "the worker failed at ending an attempt: %s\n%s", told, told.traceback, extra=labels(attempt.job)
            )
            end = Raised(told)  # a fault of ours must not keep its slot and its lease for ever
        self._end(attempt, end)
        attempt.let_go()

    def _end(self, attempt: Attempt, end: End) -> None:
        job = attempt.job
        if self.attempts.get(job.id) is not attempt:
            return  # it was abandoned, and its outcome is on its way
        del self.attempts[job.id]
        seconds = time.monotonic() - attempt.started
        lane = self._slots.lanes[job.queue]
        lane.ended(seconds)
        self.ward.ended(job.id)
        match end:
            case Written(result):
                self._tell_written(attempt, result, seconds, stands=True)
            case Fenced():
                self._tell_written(attempt, None, seconds, stands=False)
            case Unsure():
                task = asyncio.get_running_loop().create_task(self._confirm(attempt, end, seconds))
                self._confirming.add(task)
                task.add_done_callback(self._confirming.discard)
            case _:
                self._ended(attempt)
                self._judge(job, attempt.runner, end, seconds, attempt.usage)
        self._fill(lane)
        self._freed()

    async def _confirm(self, attempt: Attempt, unsure: Unsure, seconds: float) -> None:
        """Ask the store, for as long as it takes: a job that has ended must not run again, nor one be lost."""
        store, job = self._surround.store, attempt.job
        trouble = Trouble("it is not known yet whether a transaction was committed")
        while True:
            try:
                stands = await store.arun(store.operations.confirm(job.id, job.token))
            except Exception as error:  # noqa: BLE001 - whatever it was, it was no answer
                await trouble.pause(error)
            else:
                break
        if stands:
            self._tell_written(attempt, unsure.result, seconds, stands=True)
        else:
            self._ended(attempt)
            self._judge(job, attempt.runner, unsure.otherwise, seconds, attempt.usage)

    def _tell_written(self, attempt: Attempt, result: bytes | None, seconds: float, *, stands: bool) -> None:
        job = attempt.job
        run_time = round(seconds * 1_000_000)
        outcome = Outcome(job.id, job.token, attempt.runner, Event.SUCCEED, result=result, run_time=run_time)
        self._written(job, outcome, stands)
        if stands:
            _log(job, Returned(result), outcome, seconds)
        else:
            logger.warning("its transaction was taken back: the job is no longer this runner's", extra=labels(job))

    def _judge(self, job: Claimed, runner: bytes, ending: Ending, seconds: float, usage: Usage = NOTHING_USED) -> None:
        wait = self._wait(job, ending) if isinstance(ending, Raised | Interrupted | Unfit | Crashed) else 0
        outcome = judge(job, runner, ending, wait=wait, run_time=round(seconds * 1_000_000))
        if usage is not NOTHING_USED:
            outcome = noted(job, outcome, usage)
        self._judged(job, outcome)
        _log(job, ending, outcome, seconds)

    def _wait(self, job: Claimed, ending: Ending) -> int:
        """What the task's backoff says; the default when a function of the user's fails at it."""
        chance = random.random()  # noqa: S311 - a spread, not a secret
        if isinstance(ending, Unfit):
            return unfit_wait(job, chance)
        override = decoded(job.extras).backoff
        try:
            return self._known[job.task].policy.wait(job.attempt, chance, override)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the job is to go on, and the worker too
            told = describe(error)
            logger.error(  # noqa: TRY400 - an error's text may hold secrets
                "backoff raised; the default is used: %s\n%s", told, told.traceback, extra=labels(job)
            )
            return round(DEFAULT_BACKOFF.seconds(job.attempt, chance) * 1_000_000)


def _over(job: Claimed) -> Stopped | None:
    """The end of a job that is not to be started any more, by the clock of the store that claimed it."""
    if job.cancelled is not None:
        return Stopped(job.cancelled, started=False)
    if job.expires_at is not None and job.expires_at <= job.last_attempted_at:
        return Stopped(EXPIRED, expired=True, started=False)
    return None


def _seconds(microseconds: int) -> str:
    """As a person reads them: a fifth of one is not 0."""
    seconds = microseconds / 1e6
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"  # noqa: PLR2004 - two digits are enough


def _log(job: Claimed, ending: Ending, outcome: Outcome, seconds: float) -> None:
    if isinstance(ending, Returned) and not logger.isEnabledFor(logging.INFO):
        return  # what happens most must cost nothing where nobody wants to hear it
    match ending:
        case Returned():
            logger.info("succeeded in %.3f s", seconds, extra=labels(job))
        case Interrupted(_, None):
            logger.info("released, no attempt spent; it runs again", extra=labels(job))
        case Interrupted(_, failure):
            logger.warning("its transaction was lost, so it runs again: %s", failure, extra=labels(job))
        case Unfit(failure):
            again = _seconds(outcome.delay)
            logger.warning("given back, for %s; it is tried again in %s s", failure.message, again, extra=labels(job))
        case Snoozed(_, reason):
            logger.info("snoozed%s", reason and f": {reason}", extra=labels(job))
        case Stopped(reason):
            logger.info("cancelled: %s", reason, extra=labels(job))
        case Raised(failure) | Crashed(failure) if outcome.event is Event.RETRY:
            logger.warning("failed: %s; again in %s s", failure, _seconds(outcome.delay), extra=labels(job))
        case Raised(failure) | Crashed(failure):
            logger.error("failed: %s", failure, extra=labels(job))
