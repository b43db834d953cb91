"""What an ended attempt means for its job. Pure: the code around it only carries the answer."""

from dataclasses import dataclass

from conveyor.core.backoff import Backoff
from conveyor.core.errors import WorkerLost
from conveyor.core.failure import Failure, describe
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, Claimed, Held, Outcome, appended

CRASHES_ALLOWED = 3
"""So many crashes of its worker, and the job is put into quarantine."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned; *result* is its encoded value."""

    result: bytes | None


@dataclass(frozen=True, slots=True)
class Raised:
    """The attempt failed. *final*: trying again cannot help."""

    failure: Failure
    final: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Nothing was wrong with the job: its worker stops, or never got to start it."""

    pause: int = 0
    """Microseconds until it may start elsewhere."""


Ending = Returned | Raised | Interrupted


def judge(job: Claimed, runner: bytes, ending: Ending, *, backoff: Backoff, run_time: int, chance: float) -> Outcome:
    """The outcome of one attempt. *run_time* in microseconds; *chance* in [0, 1) spreads the retries."""
    match ending:
        case Returned(result):
            return Outcome(job.id, job.token, runner, Event.SUCCEED, result=result, run_time=run_time)
        case Interrupted(pause):
            return Outcome(job.id, job.token, runner, Event.RELEASE, delay=pause)
        case Raised(failure, final):
            over = final or job.attempt >= job.max_attempts
            event = Event.FAIL if over else Event.RETRY
            attempt = Attempt(
                number=job.attempt,
                event=event.value,
                started_at=job.last_attempted_at,
                finished_at=job.last_attempted_at + run_time,
                runner=runner.hex(),
                error=failure,
            )
            delay = 0 if over else round(backoff.seconds(job.attempt, chance) * 1_000_000)
            record = appended(job.attempts, attempt)
            return Outcome(job.id, job.token, runner, event, delay=delay, record=record, run_time=run_time)


def judge_loss(job: Held, *, alone: bool) -> Outcome:
    """The outcome of an attempt whose runner died.

    The claim has spent the attempt, and a loss does not give it back: so ``max_attempts=1`` means at most once.
    It counts as the job's own crash only when the runner held it *alone*; among several nobody can say which
    one did it, and an innocent job must not end in quarantine.
    """
    crashes = job.crashes + alone
    if crashes >= CRASHES_ALLOWED:
        event = Event.QUARANTINE
    else:
        event = Event.RESCUE if job.attempt < job.max_attempts else Event.LOSE
    lost = WorkerLost(f"runner {job.runner.hex()} died while it held this job")
    attempt = Attempt(
        number=job.attempt,
        event=event.value,
        started_at=job.last_attempted_at,
        finished_at=job.now,
        runner=job.runner.hex(),
        error=describe(lost),
    )
    return Outcome(
        job.id,
        job.token,
        job.runner,
        event,
        crash=alone,
        record=appended(job.attempts, attempt),
        run_time=max(job.now - job.last_attempted_at, 0),
    )
