"""What the plans of all stores do alike with attempts that end."""

from collections.abc import Sequence
from operator import attrgetter

from conveyor.core.lifecycle import TAKEN_BACK, Event
from conveyor.core.model import Claimed, Held, Outcome
from conveyor.store.answers import Rescued, Settled


def in_turn(claimed: list[Claimed]) -> list[Claimed]:
    """Claimed jobs in the order in which they are to start."""
    claimed.sort(key=attrgetter("run_after"))
    claimed.sort(key=attrgetter("priority"), reverse=True)
    return claimed


def called_off(outcome: Outcome) -> Outcome:
    """The end of a job that is to be cancelled, instead of its next attempt; its fence stays what it was."""
    return outcome._replace(event=Event.CANCEL, fence=outcome.event in TAKEN_BACK, back=False)


def rescued(held: Sequence[Held], outcomes: Sequence[Outcome], settled: Settled, limit: int) -> Rescued:
    """What a pass of rescue over up to *limit* runners has found: what somebody else wrote meanwhile is not of it."""
    ends = [called_off(outcome) if outcome.id in settled.stopped else outcome for outcome in outcomes]
    pairs = zip(held, ends, strict=True)
    taken = tuple(pair for pair in pairs if pair[0].id not in settled.refused)
    return Rescued(taken, more=len({job.runner for job in held}) == limit)
