"""What the supervisor makes of what it sees of a runner. Pure: the code around it only carries the answer."""

from enum import Enum, auto
from typing import Final, NamedTuple

BLOCKED_AFTER: Final = 3.0
"""Seconds without a turn of the event loop after which somebody is told."""
WEDGED_AFTER: Final = 20.0
"""Seconds without a sign of life of the claimer, while the event loop turns, after which the runner is replaced."""
OVERDUE_AFTER: Final = 5.0
"""Seconds that a blocked event loop may go on after the first deadline of what runs in it."""
EMPTY_AFTER: Final = 60.0
"""The same, where nothing runs in it that has a deadline or could be doubled: a hook, the lifespan."""
UNREADY_AFTER: Final = 15.0
"""Seconds without a claim after which a worker is not healthy: three polls."""


class Facts(NamedTuple):
    """What is seen. Ages in seconds."""

    stopped: bool
    """A signal or a debugger has stopped the process."""
    unsafe: bool
    """Its lease is older than may be relied on."""
    loop_age: float
    claim_age: float
    running: int
    overdue: float
    """Seconds since the first deadline of what runs in the event loop; negative before it, or without one."""


class Sign(Enum):
    """What it means."""

    WELL = auto()
    BLOCKED = auto()
    """Its event loop does not turn: to be told. The lease is kept, so that no blocked job is doubled."""
    OVERDUE = auto()
    """And what blocks it is over its deadline: to be killed, for nothing else ends it."""
    WEDGED = auto()
    """It claims nothing though it could: to be replaced."""
    STANDING = auto()
    """It is stopped; its lease is not renewed."""
    DEAD = auto()
    """It is stopped, and its lease runs out: to be killed, before its jobs start elsewhere."""


def judged(facts: Facts) -> Sign:
    """What *facts* mean."""
    if facts.stopped:
        return Sign.DEAD if facts.unsafe else Sign.STANDING
    if facts.loop_age > BLOCKED_AFTER:
        empty = facts.running == 0 and facts.loop_age > EMPTY_AFTER
        return Sign.OVERDUE if empty or facts.overdue > OVERDUE_AFTER else Sign.BLOCKED
    return Sign.WEDGED if facts.claim_age > WEDGED_AFTER else Sign.WELL
