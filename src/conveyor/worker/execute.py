"""Runs claimed jobs in their slots, and hands each outcome on."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping

from conveyor.core import ids
from conveyor.core.backoff import Backoff
from conveyor.core.judge import Ending, Interrupted, Raised, Returned, judge
from conveyor.core.model import Claimed, Outcome
from conveyor.job import Desk
from conveyor.task import Definition
from conveyor.worker.attempt import Attempt, Interruption
from conveyor.worker.slots import Lane, Slots
from conveyor.worker.threads import DaemonThreads

logger = logging.getLogger("conveyor.worker")

AGAIN = 1_000_000
"""Microseconds until a job may be claimed again whose earlier attempt has not ended in this process."""
HEED = 1.0
"""Seconds that a thread gets to look at ``ctx.cancelled`` after its timeout, before its worker ends for it."""

Known = Mapping[str, tuple[Definition, Backoff]]
"""The tasks of this worker, and how each backs off."""


class Executor:
    """The slots at work."""

    def __init__(
        self,
        known: Known,
        slots: Slots,
        desk: Desk,
        *,
        settle: Callable[[Outcome], None],
        freed: Callable[[], None],
    ) -> None:
        """*settle* takes each outcome; *freed* is called whenever there may be room for a claim."""
        self._known = known
        self._slots = slots
        self._desk = desk
        self._settle = settle
        self._freed = freed
        self._pool = DaemonThreads("conveyor-task")
        self._open = True
        self.attempts: dict[bytes, Attempt] = {}
        """What runs, by job."""

    def accept(self, runner: bytes, jobs: Iterable[Claimed]) -> None:
        """Start *jobs*, or line them up for a slot."""
        for job in jobs:
            if job.id in self.attempts:  # its lost attempt clings on, here of all places: not twice at a time
                self._judge(job, runner, Interrupted(AGAIN), 0.0)
                continue
            self._slots.lanes[job.queue].take(job, runner)
        for lane in self._slots.lanes.values():
            self._fill(lane)

    def refuse(self, runner: bytes, jobs: Iterable[Claimed]) -> None:
        """Release *jobs* without having started them."""
        for job in jobs:
            self._judge(job, runner, Interrupted(), 0.0)

    def give_back(self) -> None:
        """Release what has not started."""
        for lane in self._slots.lanes.values():
            while lane.waiting:
                self._judge(*lane.waiting.popleft(), Interrupted(), 0.0)

    def interrupt(self, why: Interruption) -> None:
        """Ask all that runs to end."""
        for attempt in list(self.attempts.values()):
            attempt.interrupt(why)

    def sweep(self) -> list[Attempt]:
        """Ask what is over its deadline to end; gives those that cannot be stopped, for they run in threads."""
        now = time.monotonic()
        late = [a for a in self.attempts.values() if a.deadline is not None and a.deadline < now]
        for attempt in late:
            attempt.interrupt(Interruption.TIMEOUT)
        return [a for a in late if a.in_thread and now - (a.deadline or now) > HEED]

    def abandon(self, pause: int) -> None:
        """Write off what still runs: late threads have timed out, the rest is released for *pause* microseconds."""
        for attempt in list(self.attempts.values()):
            late = attempt.in_thread and attempt.interruption is Interruption.TIMEOUT
            self._end(attempt, attempt.timed_out() if late else Interrupted(pause))

    def close(self) -> None:
        """Let go of the threads, without waiting for them."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def shut(self) -> None:
        """Start nothing more."""
        self._open = False

    def _fill(self, lane: Lane) -> None:
        if not self._open:
            return
        for job, runner in lane.startable():
            definition, _ = self._known[job.task]
            attempt = Attempt(job, runner, definition, self._desk)
            self.attempts[job.id] = attempt
            attempt.task = asyncio.get_running_loop().create_task(self._run(attempt))

    async def _run(self, attempt: Attempt) -> None:
        try:
            ending = await attempt.perform(self._pool)
        except asyncio.CancelledError:  # cancelled before its first step
            ending = Interrupted()
        self._end(attempt, ending)

    def _end(self, attempt: Attempt, ending: Ending) -> None:
        job = attempt.job
        if self.attempts.get(job.id) is not attempt:
            return  # it was abandoned, and its outcome is on its way
        del self.attempts[job.id]
        seconds = time.monotonic() - attempt.started
        lane = self._slots.lanes[job.queue]
        lane.ended(seconds)
        self._judge(job, attempt.runner, ending, seconds)
        self._fill(lane)
        self._freed()

    def _judge(self, job: Claimed, runner: bytes, ending: Ending, seconds: float) -> None:
        _, backoff = self._known[job.task]
        outcome = judge(
            job,
            runner,
            ending,
            backoff=backoff,
            run_time=round(seconds * 1_000_000),
            chance=random.random(),  # noqa: S311 - a spread, not a secret
        )
        self._settle(outcome)
        _log(job, ending, outcome, seconds)


def _log(job: Claimed, ending: Ending, outcome: Outcome, seconds: float) -> None:
    level = logging.WARNING if isinstance(ending, Raised) else logging.INFO
    if not logger.isEnabledFor(level):
        return
    labels = {"job": ids.text(job.id), "task": job.task, "attempt": job.attempt}
    match ending:
        case Returned():
            logger.info("succeeded in %.3f s", seconds, extra=labels)
        case Interrupted():
            logger.info("released, no attempt spent", extra=labels)
        case Raised(failure) if outcome.delay:
            logger.warning("failed: %s; again in %.0f s", failure, outcome.delay / 1e6, extra=labels)
        case Raised(failure):
            logger.error("%s: %s", "failed" if outcome.record else "raised", failure, extra=labels)
