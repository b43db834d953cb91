"""What an ended attempt means for its job. Pure: the code around it only carries the answer."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

import msgspec

from conveyor.core.backoff import Backoff
from conveyor.core.clock import Start
from conveyor.core.errors import UnfitArguments, WorkerLost
from conveyor.core.failure import Failure, describe
from conveyor.core.lifecycle import TAKEN_BACK, Event
from conveyor.core.model import Attempt, Claimed, Held, Outcome, appended, read_attempts
from conveyor.core.trace import class_path

CRASHES_ALLOWED: Final = 3
"""So many crashes of its worker, and the job is put into quarantine."""
LOSSES_ALLOWED: Final = 5
"""So many commits in a row whose answer was lost, and each further one spends an attempt."""
UNFIT: Final = class_path(UnfitArguments)
UNFIT_BACKOFF: Final = Backoff.exponential(5, factor=2, cap=600)
"""For jobs that do not fit a worker's code, in a deploy mostly: soon at first, and seldom in the end."""
EXPIRED: Final = "expired"
"""The reason of a job that ended because its time was over."""


class Returned(msgspec.Struct, frozen=True, tag=True):
    """The function returned; *result* is its encoded value."""

    result: bytes | None


class Raised(msgspec.Struct, frozen=True, tag=True):
    """The attempt failed. *final*: trying again cannot help. *start*: when to try again, if the task has said so."""

    failure: Failure
    final: bool = False
    start: Start | None = None


class Interrupted(msgspec.Struct, frozen=True, tag=True):
    """Nothing was wrong with the job: its worker stops, or never got to start it, or a commit was lost."""

    pause: int = 0
    """Microseconds until it may start elsewhere."""
    failure: Failure | None = None
    """What interrupted it, where that is worth a record."""


class Snoozed(msgspec.Struct, frozen=True, tag=True):
    """The task wants to be run again later."""

    start: Start
    reason: str = ""


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """The job ends unfinished: cancelled, or expired before it started."""

    reason: str
    expired: bool = False
    started: bool = True
    """Whether the function was started at all; else the attempt is given back."""
    failure: Failure | None = None
    """What it raised when it was stopped, if that is worth a record."""


class Unfit(msgspec.Struct, frozen=True, tag=True):
    """It was not started, for its arguments do not fit this worker's code. Another's may fit, or the next deploy's."""

    failure: Failure


class Crashed(msgspec.Struct, frozen=True, tag=True):
    """The process that ran it, and it alone, has died of it."""

    failure: Failure


Ending = Returned | Raised | Interrupted | Snoozed | Stopped | Unfit | Crashed


def judge(job: Claimed, runner: bytes, ending: Ending, *, wait: int, run_time: int) -> Outcome:
    """The outcome of one attempt. *wait*: what the backoff says; both in microseconds."""
    key = (job.id, job.token, runner)
    match ending:
        case Returned(result):
            return Outcome(*key, Event.SUCCEED, result=result, run_time=run_time)
        case Snoozed(start, _):
            return Outcome(*key, Event.SNOOZE, due=start.due, delay=start.delay)
        case Stopped(reason, expired, started, failure):
            event = Event.EXPIRE if expired else Event.CANCEL
            record = _record(job, runner, event, failure, run_time) if failure else None
            return Outcome(*key, event, record=record, reason=reason, run_time=run_time, back=not started)
        case Unfit(failure):
            return Outcome(
                *key, Event.RELEASE, delay=wait, record=_record(job, runner, Event.RELEASE, failure, run_time)
            )
        case Interrupted():
            return _interrupted(job, runner, ending, wait, run_time)
        case Raised():
            return _failed(job, runner, ending, wait, run_time)
        case Crashed():
            return _crashed(job, runner, ending, wait, run_time)


def _interrupted(job: Claimed, runner: bytes, ending: Interrupted, wait: int, run_time: int) -> Outcome:
    if ending.failure is not None and _losses(job) >= LOSSES_ALLOWED:
        return _failed(job, runner, Raised(ending.failure, start=Start(delay=ending.pause)), wait, run_time)
    record = None if ending.failure is None else _record(job, runner, Event.RELEASE, ending.failure, run_time)
    return Outcome(job.id, job.token, runner, Event.RELEASE, delay=ending.pause, record=record)


def _failed(job: Claimed, runner: bytes, ending: Raised, wait: int, run_time: int) -> Outcome:
    over = ending.final or job.attempt >= job.max_attempts
    event = Event.FAIL if over else Event.RETRY
    start = Start() if over else ending.start or Start(delay=wait)
    return Outcome(
        job.id,
        job.token,
        runner,
        event,
        due=start.due,
        delay=start.delay,
        record=_record(job, runner, event, ending.failure, run_time),
        fingerprint=ending.failure.fingerprint if over else None,
        run_time=run_time,
    )


def _crashed(job: Claimed, runner: bytes, ending: Crashed, wait: int, run_time: int) -> Outcome:
    """Its own crash beyond doubt, so it waits as after any failure. The runner lives, and takes nothing back."""
    event = _after_crash(job.crashes + 1, job.attempt, job.max_attempts)
    again = event is Event.RESCUE
    failure = ending.failure
    return Outcome(
        job.id,
        job.token,
        runner,
        Event.RETRY if again else event,
        delay=wait if again else 0,
        crash=True,
        record=_record(job, runner, Event.RETRY if again else event, failure, run_time),
        fingerprint=None if again else failure.fingerprint,
        run_time=run_time,
    )


def _after_crash(crashes: int, attempt: int, max_attempts: int) -> Event:
    if crashes >= CRASHES_ALLOWED:
        return Event.QUARANTINE
    return Event.RESCUE if attempt < max_attempts else Event.LOSE


def _losses(job: Claimed) -> int:
    """How many commits in a row have been lost already."""
    return sum(not was_unfit(attempt) for attempt in _releases(job))


def unfit_wait(job: Claimed, chance: float) -> int:
    """Microseconds until *job* is tried again that has come to a worker which it does not fit: longer each time."""
    times = sum(map(was_unfit, _releases(job))) + 1
    return round(UNFIT_BACKOFF.seconds(times, chance) * 1_000_000)


def unfit(attempts: Sequence[Attempt], started_at: int) -> Attempt | None:
    """The record of the latest attempt, which began at *started_at*, if the arguments did not fit."""
    last = attempts[-1] if attempts else None
    return last if last is not None and was_unfit(last) and last.started_at == started_at else None


def was_unfit(attempt: Attempt) -> bool:
    """Whether it was given back because the arguments did not fit the code."""
    return attempt.event == Event.RELEASE and attempt.error is not None and attempt.error.type == UNFIT


def _releases(job: Claimed) -> Iterator[Attempt]:
    """The latest records of *job*, as far as they are of releases."""
    return takewhile(lambda attempt: attempt.event == Event.RELEASE, reversed(read_attempts(job.attempts)))


def _record(job: Claimed, runner: bytes, event: Event, failure: Failure, run_time: int) -> bytes:
    attempt = Attempt(
        number=job.attempt,
        event=event.value,
        started_at=job.last_attempted_at,
        finished_at=job.last_attempted_at + run_time,
        runner=runner.hex(),
        error=failure,
    )
    return appended(job.attempts, attempt)


def suspect(job: Claimed) -> bool:
    """Whether *job* may have killed its worker: its latest attempt was lost with one, and it was not seen to end since.

    It is to run alone, also when it was in company then, and above all when it was not: only so is nobody else
    harmed, and known who did it. A release says nothing of it, for it was not run.
    """
    return bool(job.attempts) and suspected(read_attempts(job.attempts))


def apart(job: Claimed) -> bool:
    """Whether *job* is to have a process of its own: it has killed one, or may have.

    One that has is no ``suspect`` any more, for it was seen to. But in the runner it would kill all that runs there.
    """
    return job.crashes > 0 or suspect(job)


def suspected(attempts: Sequence[Attempt]) -> bool:
    """The same, by the record of a job."""
    tried = (attempt.event for attempt in reversed(attempts) if attempt.event != Event.RELEASE)
    return next(tried, None) in TAKEN_BACK


def judge_loss(job: Held) -> Outcome:
    """The outcome of an attempt whose runner died.

    The claim has spent the attempt, and a loss does not give it back: so ``max_attempts=1`` means at most once.
    It counts as the job's own crash only when the runner held it alone; among several nobody can say which one did
    it, and an innocent job must not end in quarantine. Each of them is ``suspect``, and runs alone next.
    """
    alone = job.company == 1
    event = _after_crash(job.crashes + alone, job.attempt, job.max_attempts)
    others = "" if alone else f" and {job.company - 1} more"
    failure = describe(WorkerLost(f"runner {job.runner.hex()} died while it held this job{others}"))
    attempt = Attempt(
        number=job.attempt,
        event=event.value,
        started_at=job.last_attempted_at,
        finished_at=job.now,
        runner=job.runner.hex(),
        error=failure,
        company=job.company,
    )
    return Outcome(
        job.id,
        job.token,
        job.runner,
        event,
        crash=alone,
        record=appended(job.attempts, attempt),
        fingerprint=None if event is Event.RESCUE else failure.fingerprint,
        run_time=max(job.now - job.last_attempted_at, 0),
    )
