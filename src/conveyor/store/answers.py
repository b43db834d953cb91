"""What the operations of a store answer, and are asked, where a single value does not say it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from conveyor.core.model import Held, Outcome


class Rescued(NamedTuple):
    """What one pass of rescue found."""

    jobs: Sequence[tuple[Held, Outcome]]
    """Jobs taken back from dead runners, and what became of each."""
    more: bool
    """Whether a further pass may find more at once."""


class Settled(NamedTuple):
    """What became of outcomes; those that are named here are the exceptions."""

    refused: frozenset[bytes] = frozenset()
    """Jobs that are no longer the runner's, and whose end another wrote."""
    stopped: frozenset[bytes] = frozenset()
    """Jobs that ended as cancelled instead of being made ready again."""


class Visit(NamedTuple):
    """A look through a connection of the user's, to see where it leads."""

    name: str
    """What the connection is called in messages."""
    url: str
    """Where our store is, without password."""
    identity: str
    """Our store's own id."""


class Pass(NamedTuple):
    """What one pass over jobs did. Passes go on *after* the id of the last, until one picks nothing."""

    picked: int
    """Jobs that were looked at."""
    changed: int
    labels: frozenset[bytes]
    """The queues of the changed jobs."""
    last: bytes | None
    """The highest id that was picked."""
    asked: int = 0
    """Of the changed jobs, those that run, and were asked to stop."""


class Arranged(NamedTuple):
    """What was done to the parts that history is kept in."""

    made: int = 0
    """Parts, for jobs that are to end."""
    dropped: int = 0
    """Parts, with all the ended jobs in them."""
    held: bool = False
    """Whether nothing was done, because somebody uses history and was not to be disturbed."""


class Cure(StrEnum):
    """What was done to a job that was not found where its own fields say; the values are for people."""

    RELEASED = "released"
    """It was said to run, but no claim had come to its end: its attempt is given back."""
    HELD = "held again"
    """It is its runner's, which may be at work on it; rescue takes it when that is dead."""
    LINED_UP = "lined up"
    """It waits, and can be claimed."""
    PUT_AWAY = "put away"
    """It has ended, and is among those that have."""
    STALE = "removed"
    """It was in a place that is not its own, or there is no such job."""


class Mended(NamedTuple):
    """What a round of mending has done."""

    jobs: Sequence[tuple[str, Cure]] = ()
    """Ids, in the form for people, and what was done."""
