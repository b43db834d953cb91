"""What an attempt took, and what it said, as its job's record keeps it."""

from typing import Final

import msgspec

from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, Claimed, Outcome, appended, read_attempts

WORTH: Final = 0.1
"""Seconds of processor time from which on an attempt that succeeded, and said nothing, is kept a record of."""
OUTPUTS_KEPT: Final = 3
"""The latest records that keep what was said: together they are to stay small."""


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one attempt; see ``core.model.Attempt``."""

    cpu: float = 0.0
    memory: int = 0
    output: str = ""


def completion_record(job: Claimed, runner: bytes, seconds: float, usage: Usage) -> bytes | None:
    """The job's record with this attempt, which succeeds within its own transaction; ``None`` when nothing is to say.

    What the commit takes is not known yet when the record becomes a part of it.
    """
    done = Outcome(job.id, job.token, runner, Event.SUCCEED, run_time=round(seconds * 1_000_000))
    return noted(job, done, usage).record


def noted(job: Claimed, outcome: Outcome, usage: Usage) -> Outcome:
    """*outcome*, with *usage* in its record; one that needs none gets none, unless there is something to say."""
    if outcome.record is None:
        if outcome.event not in {Event.SUCCEED, Event.CANCEL} or not (usage.output or usage.cpu >= WORTH):
            return outcome
        plain = Attempt(
            number=job.attempt,
            event=outcome.event.value,
            started_at=job.last_attempted_at,
            finished_at=job.last_attempted_at + outcome.run_time,
            runner=outcome.runner.hex(),
        )
        outcome = outcome._replace(record=appended(job.attempts, plain))
    *before, last = read_attempts(outcome.record)
    last = msgspec.structs.replace(last, cpu=round(usage.cpu, 6), memory=usage.memory, output=usage.output)
    if usage.output:
        silent = max(len(before) - OUTPUTS_KEPT + 1, 0)
        before[:silent] = [msgspec.structs.replace(attempt, output="") for attempt in before[:silent]]
    return outcome._replace(record=msgspec.json.encode((*before, last)))
