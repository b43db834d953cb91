"""What an ended attempt means for its job. Pure: the code around it only carries the answer."""

from dataclasses import dataclass
from typing import Final

from conveyor.core.clock import Start
from conveyor.core.errors import WorkerLost
from conveyor.core.failure import Failure, describe
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, Claimed, Held, Outcome, appended, read_attempts

CRASHES_ALLOWED: Final = 3
"""So many crashes of its worker, and the job is put into quarantine."""
LOSSES_ALLOWED: Final = 5
"""So many commits in a row whose answer was lost, and each further one spends an attempt."""
EXPIRED: Final = "expired"
"""The reason of a job that ended because its time was over."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned; *result* is its encoded value."""

    result: bytes | None


@dataclass(frozen=True, slots=True)
class Raised:
    """The attempt failed. *final*: trying again cannot help. *start*: when to try again, if the task has said so."""

    failure: Failure
    final: bool = False
    start: Start | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Nothing was wrong with the job: its worker stops, or never got to start it, or a commit was lost."""

    pause: int = 0
    """Microseconds until it may start elsewhere."""
    failure: Failure | None = None
    """What interrupted it, where that is worth a record."""


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The task wants to be run again later."""

    start: Start
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job ends unfinished: cancelled, or expired before it started."""

    reason: str
    expired: bool = False
    started: bool = True
    """Whether the function was started at all; else the attempt is given back."""
    failure: Failure | None = None
    """What it raised when it was stopped, if that is worth a record."""


Ending = Returned | Raised | Interrupted | Snoozed | Stopped


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
        case Interrupted():
            return _interrupted(job, runner, ending, wait, run_time)
        case Raised():
            return _failed(job, runner, ending, wait, run_time)


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


def _losses(job: Claimed) -> int:
    """How many commits in a row have been lost already."""
    count = 0
    for attempt in reversed(read_attempts(job.attempts)):
        if attempt.event != Event.RELEASE.value:
            break
        count += 1
    return count


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


def judge_loss(job: Held) -> Outcome:
    """The outcome of an attempt whose runner died.

    The claim has spent the attempt, and a loss does not give it back: so ``max_attempts=1`` means at most once.
    It counts as the job's own crash only when the runner held it alone; among several nobody can say which one did
    it, and an innocent job must not end in quarantine.
    """
    alone = job.company == 1
    crashes = job.crashes + alone
    if crashes >= CRASHES_ALLOWED:
        event = Event.QUARANTINE
    else:
        event = Event.RESCUE if job.attempt < job.max_attempts else Event.LOSE
    failure = describe(WorkerLost(f"runner {job.runner.hex()} died while it held this job"))
    attempt = Attempt(
        number=job.attempt,
        event=event.value,
        started_at=job.last_attempted_at,
        finished_at=job.now,
        runner=job.runner.hex(),
        error=failure,
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
