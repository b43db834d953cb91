"""What may be said about a job besides its arguments, and the rules that each value must keep."""

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypedDict, Unpack

from conveyor.core.clock import MICROSECOND, stored
from conveyor.core.errors import PayloadError

LONGEST = timedelta(days=3660)
"""Ten years: no delay or timeout is longer."""
NAME_LENGTH = 200
PRIORITIES = range(-100, 101)
ATTEMPTS = range(1, 1001)
DEFAULT_QUEUE: Final = "default"
DEFAULT_ATTEMPTS: Final = 5
DEFAULT_TIMEOUT: Final = timedelta(hours=1)

Duration = timedelta | float
"""A ``timedelta``, or a number of seconds."""


class Lasting(TypedDict, total=False):
    """The options that a task may have and a job may change; their meaning is with ``Options``."""

    queue: str
    priority: int
    max_attempts: int
    timeout: Duration | None


class Changes(Lasting, total=False):
    """The options that ``using()`` takes."""

    run_after: datetime | Duration | None


@dataclass(frozen=True, slots=True)
class Options:
    """How a job is to be run. Options and arguments never meet: these travel beside the call, not in it."""

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    max_attempts: int = DEFAULT_ATTEMPTS
    timeout: int | None = DEFAULT_TIMEOUT // MICROSECOND
    """Microseconds that one attempt may run; ``None`` for no limit."""
    due: int = 0
    """Not before this time (microseconds since 1970)."""
    delay: int = 0
    """Not before this many microseconds after the store received the job, by the store's clock."""

    def changed(self, **changes: Unpack[Changes]) -> "Options":
        """These options with *changes*; ``PayloadError`` or ``TypeError`` when one breaks its rule."""
        if unknown := changes.keys() - Changes.__annotations__.keys():
            known = ", ".join(Changes.__annotations__)
            raise TypeError(f"there is no option {', '.join(sorted(unknown))}; there are {known}")
        made = self
        if "queue" in changes:
            made = replace(made, queue=checked_name("queue", changes["queue"]))
        if "priority" in changes:
            made = replace(made, priority=within("priority", changes["priority"], PRIORITIES))
        if "max_attempts" in changes:
            made = replace(made, max_attempts=within("max_attempts", changes["max_attempts"], ATTEMPTS))
        if "timeout" in changes:
            limit = changes["timeout"]
            made = replace(made, timeout=None if limit is None else positive("timeout", limit))
        if "run_after" in changes:
            due, delay = _start(changes["run_after"])
            made = replace(made, due=due, delay=delay)
        return made


def _start(run_after: datetime | Duration | None) -> tuple[int, int]:
    if run_after is None:
        return 0, 0
    if not isinstance(run_after, datetime):
        return 0, microseconds("run_after", run_after)
    if run_after.utcoffset() is None:
        raise PayloadError(
            f"run_after={run_after.isoformat()} has no time zone, so nobody knows when it is; "
            "give it one, as in datetime.now(UTC)"
        )
    due = stored(run_after)
    if due - time.time_ns() // 1000 > LONGEST // MICROSECOND:
        raise PayloadError(f"run_after={run_after.isoformat()} is more than {LONGEST.days} days ahead")
    return max(due, 0), 0


def microseconds(what: str, value: Duration) -> int:
    """A duration in microseconds; ``PayloadError`` unless it is finite, not negative and at most ten years."""
    if isinstance(value, bool) or not isinstance(value, timedelta | int | float):
        raise TypeError(f"{what} must be seconds or a timedelta, not {type(value).__name__}")
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not 0 <= seconds <= LONGEST.total_seconds():  # which NaN is not either
        raise PayloadError(f"{what}={value!r} must lie between 0 seconds and {LONGEST.days} days")
    return value // MICROSECOND if isinstance(value, timedelta) else round(seconds * 1_000_000)


def positive(what: str, value: Duration) -> int:
    """A duration in microseconds that is not zero."""
    duration = microseconds(what, value)
    if not duration:
        raise PayloadError(f"{what}={value!r} leaves no time at all; use None for no limit")
    return duration


def within(what: str, value: int, allowed: range) -> int:
    """*value*, when it is a whole number of the *allowed* range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be a whole number, not {type(value).__name__}")
    if value not in allowed:
        raise PayloadError(f"{what}={value} must lie between {allowed[0]} and {allowed[-1]}")
    return value


def checked_name(what: str, value: str) -> str:
    """*value*, when it can be the name of something: 1 to 200 printable characters."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not 0 < len(value) <= NAME_LENGTH:
        raise PayloadError(f"{what} must have 1 to {NAME_LENGTH} characters, not {len(value)}")
    if not value.isprintable():
        raise PayloadError(f"{what}={value!r} holds characters that cannot be printed")
    return value
