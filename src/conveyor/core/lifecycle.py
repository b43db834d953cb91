"""The lifecycle of a job, as one table of moves.

The guard in the stores, the diagram in the documentation and the oracle of the property tests all read
``MOVES``; a move that is not in it does not happen.
"""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """Where a job stands, as a person sees it."""

    SCHEDULED = "scheduled"
    """Its time is to come."""
    READY = "ready"
    """It may be claimed now."""
    BLOCKED = "blocked"
    """It waits for other jobs of its flow, or for an event. Nothing makes a job do so yet."""
    RUNNING = "running"
    """A runner holds it."""
    RETRYABLE = "retryable"
    """It failed, and the time of its next attempt is to come."""
    SUCCEEDED = "succeeded"
    """Its function returned."""
    FAILED = "failed"
    """It raised, or its worker died, and it is not tried again."""
    CANCELLED = "cancelled"
    """Somebody cancelled it, or its task did, or it expired before it started."""
    QUARANTINED = "quarantined"
    """It killed its worker too often; a person has to look at it."""

    @property
    def final(self) -> bool:
        """Whether nothing more happens to a job in this state."""
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUARANTINED})
WAITING = frozenset({State.SCHEDULED, State.READY, State.RETRYABLE})
"""One stored state, told apart by time and errors: nothing has to *move* a job when its time comes."""

STORED_WAITING = "waiting"
STORED_RUNNING = "running"


class Event(StrEnum):
    """What happens to a job. ``COME_DUE`` is the passing of time: it writes nothing."""

    __hash__ = str.__hash__
    """Equal to what Enum's own gives, which is a function in Python, and called several times for each job."""

    ENQUEUE = "enqueue"
    COME_DUE = "come due"
    CLAIM = "claim"
    SUCCEED = "succeed"
    RETRY = "retry"
    FAIL = "fail"
    RELEASE = "release"
    RESCUE = "rescue"
    LOSE = "lose"
    QUARANTINE = "quarantine"
    SNOOZE = "snooze"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REVIVE = "revive"
    """A person's "retry": now, and with at least one more attempt."""


TAKEN_BACK = frozenset({Event.RESCUE, Event.LOSE, Event.QUARANTINE})
"""What others do to a job whose runner died. It raises the token, so that the runner, back from the dead and asking
whether its own outcome was written, is not shown theirs."""
GIVEN_BACK = frozenset({Event.RELEASE, Event.SNOOZE})
"""What gives the attempt back that the claim has spent."""


class Move(NamedTuple):
    """One row of the table: *event* takes a job from *source* (``None``: it did not exist) to *target*."""

    source: State | None
    event: Event
    target: State
    meaning: str


MOVES: tuple[Move, ...] = (
    Move(None, Event.ENQUEUE, State.READY, "enqueued, due at once"),
    Move(None, Event.ENQUEUE, State.SCHEDULED, "enqueued, due later"),
    Move(State.SCHEDULED, Event.COME_DUE, State.READY, "its time has come"),
    Move(State.RETRYABLE, Event.COME_DUE, State.READY, "its time has come"),
    Move(State.READY, Event.CLAIM, State.RUNNING, "a runner took it; spends an attempt"),
    Move(State.RUNNING, Event.SUCCEED, State.SUCCEEDED, "the function returned"),
    Move(State.RUNNING, Event.RETRY, State.RETRYABLE, "it raised; attempts are left"),
    Move(State.RUNNING, Event.RETRY, State.READY, "it raised; attempts are left, and it need not wait"),
    Move(State.RUNNING, Event.FAIL, State.FAILED, "it raised; no attempt is left"),
    Move(State.RUNNING, Event.RELEASE, State.READY, "given back unharmed; the attempt too"),
    Move(State.RUNNING, Event.RELEASE, State.SCHEDULED, "given back, to be taken again after a pause"),
    Move(State.RUNNING, Event.RELEASE, State.RETRYABLE, "the same, of a job that failed before"),
    Move(State.RUNNING, Event.RESCUE, State.READY, "its worker died; attempts are left"),
    Move(State.RUNNING, Event.LOSE, State.FAILED, "its worker died; no attempt is left"),
    Move(State.RUNNING, Event.QUARANTINE, State.QUARANTINED, "its worker died of it, again and again"),
    Move(State.RUNNING, Event.SNOOZE, State.READY, "it asked to be run again, at once; the attempt is given back"),
    Move(State.RUNNING, Event.SNOOZE, State.SCHEDULED, "it asked to be run again later; the attempt is given back"),
    Move(State.RUNNING, Event.SNOOZE, State.RETRYABLE, "the same, of a job that failed before"),
    Move(State.RUNNING, Event.CANCEL, State.CANCELLED, "it was asked to stop, or asked for it itself"),
    Move(State.SCHEDULED, Event.CANCEL, State.CANCELLED, "cancelled before it started"),
    Move(State.READY, Event.CANCEL, State.CANCELLED, "cancelled before it started"),
    Move(State.RETRYABLE, Event.CANCEL, State.CANCELLED, "cancelled before its next attempt"),
    Move(State.RUNNING, Event.EXPIRE, State.CANCELLED, "claimed when its time was over, and not started"),
    Move(State.READY, Event.EXPIRE, State.CANCELLED, "its time was over before it started"),
    Move(State.SCHEDULED, Event.EXPIRE, State.CANCELLED, "its time was over while it waited to be run again"),
    Move(State.RETRYABLE, Event.EXPIRE, State.CANCELLED, "its time was over before its next attempt"),
    Move(State.SCHEDULED, Event.REVIVE, State.READY, "a person wants it now"),
    Move(State.RETRYABLE, Event.REVIVE, State.READY, "a person wants it now"),
    Move(State.SUCCEEDED, Event.REVIVE, State.READY, "a person wants it once more"),
    Move(State.FAILED, Event.REVIVE, State.READY, "a person wants it tried again"),
    Move(State.CANCELLED, Event.REVIVE, State.READY, "a person wants it after all"),
    Move(State.QUARANTINED, Event.REVIVE, State.READY, "a person has looked at it, and wants it tried again"),
)

_TARGETS: dict[tuple[State | None, Event], frozenset[State]] = {
    (move.source, move.event): frozenset(m.target for m in MOVES if m[:2] == move[:2]) for move in MOVES
}


_ENDINGS: dict[Event, State] = {
    move.event: move.target for move in MOVES if move.source is State.RUNNING and move.target.final
}


def targets(source: State | None, event: Event) -> frozenset[State]:
    """Where *event* may take a job that stands in *source*; empty when the event is not allowed there."""
    return _TARGETS.get((source, event), frozenset())


def ending(event: Event) -> State | None:
    """The final state that *event* gives a running job; ``None`` when the job stays alive."""
    return _ENDINGS.get(event)


def shown(stored: str, *, due: bool, failed_before: bool) -> State:
    """The state that a person sees, from the *stored* one, whether its time has come, and its errors."""
    if stored != STORED_WAITING:
        return State(stored)
    if due:
        return State.READY
    return State.RETRYABLE if failed_before else State.SCHEDULED


def diagram() -> str:
    """The table as a Mermaid state diagram; ``docs/architecture.md`` holds it and a test compares."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {move.source or '[*]'} --> {move.target}: {move.event}" for move in MOVES]
    reached = {move.target for move in MOVES}
    lines += [f"    {state} --> [*]" for state in State if state.final and state in reached]
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())  # noqa: T201 - `python -m conveyor.core.lifecycle` regenerates the diagram
