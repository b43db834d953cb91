"""What may be said about a job besides its arguments, and the rules that each value must keep."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypedDict, Unpack, cast

import msgspec

from conveyor.core.backoff import Backoff
from conveyor.core.clock import MICROSECOND, NOW, Start, stored
from conveyor.core.errors import PayloadError
from conveyor.core.extras import NONE, Extras, encoded, marked
from conveyor.core.size import size
from conveyor.core.text import checked_meta, checked_name, checked_tags, is_a, told
from conveyor.core.unique import Unique, unique_of
from conveyor.core.values import kind_of

LONGEST = timedelta(days=3660)
"""Ten years: no delay or timeout is longer."""
PRIORITIES = range(-100, 101)
ATTEMPTS = range(1, 1001)
DEFAULT_QUEUE: Final = "default"
DEFAULT_ATTEMPTS: Final = 5
DEFAULT_TIMEOUT: Final = timedelta(hours=1)
DEFAULT_KEEP: Final = timedelta(days=30)
FOR_EVER: Final = -1

Duration = timedelta | float
"""A ``timedelta``, or a number of seconds."""


class Lasting(TypedDict, total=False):
    """The options that a task may have and a job may change; their meaning is with ``Options``."""

    queue: str
    priority: int
    max_attempts: int
    timeout: Duration | None
    expires: Duration | None
    keep: Duration | None
    memory: int | str | None
    unique: Unique | str | bool | None
    store_result: bool
    tags: Sequence[str]


class Changes(Lasting, total=False):
    """The options that ``using()`` takes."""

    run_after: datetime | Duration | None
    backoff: Backoff
    meta: Mapping[str, object]
    within: object


@dataclass(frozen=True, slots=True)
class Options:
    """How a job is to be run. Options and arguments never meet: these travel beside the call, not in it."""

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    max_attempts: int = DEFAULT_ATTEMPTS
    timeout: int | None = DEFAULT_TIMEOUT // MICROSECOND
    """Microseconds that one attempt may run; ``None`` for no limit."""
    start: Start = NOW
    """When it may start."""
    unique: Unique | None = None
    extras: Extras = NONE
    """The rarer ones."""
    stored_extras: str | None = None
    """``extras``, as they are stored."""

    def changed(self, **changes: Unpack[Changes]) -> "Options":
        """These options with *changes*; ``PayloadError`` or ``TypeError`` when one breaks its rule."""
        if unknown := changes.keys() - _RULES.keys():
            known = ", ".join(_RULES)
            raise TypeError(f"there is no option {', '.join(sorted(unknown))}; there are {known}")
        made = self
        for name, value in changes.items():
            made = _RULES[name](made, value)
        if made.extras is not self.extras:
            made = replace(made, stored_extras=encoded(made.extras))
        return made


def start(what: str, value: datetime | Duration | None) -> Start:
    """A time, or a wait, as the store takes it. A time that has passed is "at once"."""
    if value is None:
        return NOW
    if not is_a(value, datetime):
        return Start(delay=microseconds(what, cast(Duration, value)))
    when = cast(datetime, value)
    due = _due(what, when)
    if due - time.time_ns() // 1000 > LONGEST // MICROSECOND:
        raise PayloadError(f"{what}={when.isoformat()} is more than {LONGEST.days} days ahead")
    return Start(due=max(due, 0))


def _due(what: str, when: datetime) -> int:
    """A moment in microseconds. In the hour that comes twice ``fold`` decides; in the one that never comes, Python."""
    try:
        aware = when.utcoffset() is not None
        due = stored(when) if aware else 0
    except Exception as trouble:  # noqa: BLE001 - the zone is the user's
        raise PayloadError(f"{what}: its time zone cannot say when it is: it raised {kind_of(trouble)}") from None
    if not aware:
        raise PayloadError(
            f"{what}={when.isoformat()} has no time zone, so nobody knows when it is; "
            "give it one, as in datetime.now(UTC)"
        )
    return due


def microseconds(what: str, value: Duration) -> int:
    """A duration in microseconds; ``PayloadError`` unless it is finite, not negative and at most ten years."""
    if is_a(value, bool) or not is_a(value, timedelta, int, float):
        raise TypeError(f"{what} must be seconds or a timedelta, not {kind_of(value)}")
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not 0 <= seconds <= LONGEST.total_seconds():  # which NaN is not either
        raise PayloadError(f"{what}={told(value)} must lie between 0 seconds and {LONGEST.days} days")
    return value // MICROSECOND if isinstance(value, timedelta) else round(seconds * 1_000_000)


def positive(what: str, value: Duration) -> int:
    """A duration in microseconds that is not zero."""
    duration = microseconds(what, value)
    if not duration:
        raise PayloadError(f"{what}={told(value)} leaves no time at all; use None for no limit")
    return duration


def number_in(what: str, value: int, allowed: range) -> int:
    """*value*, when it is a whole number of the *allowed* range."""
    if is_a(value, bool) or not is_a(value, int):
        raise TypeError(f"{what} must be a whole number, not {kind_of(value)}")
    number = int.__index__(value)
    if number not in allowed:
        raise PayloadError(f"{what}={told(number)} must lie between {allowed[0]} and {allowed[-1]}")
    return number


def _limit(what: str, value: object) -> int | None:
    return None if value is None else positive(what, cast(Duration, value))


def _keep(value: object) -> int | None:
    if value is None:
        return FOR_EVER
    kept = microseconds("keep", cast(Duration, value))
    return None if kept == DEFAULT_KEEP // MICROSECOND else kept


def flag(what: str, value: object) -> bool:
    """*value*, when it is a bool."""
    if value is not True and value is not False:
        raise TypeError(f"{what} must be True or False, not {told(value)}")
    return value


def _rule(value: object) -> Backoff:
    if not is_a(value, Backoff):
        raise TypeError(f"backoff must be a Backoff, such as Backoff.fixed(10), not {told(value)}")
    return cast(Backoff, value)


def _extra(options: Options, **changes: object) -> Options:
    return replace(options, extras=msgspec.structs.replace(options.extras, **changes))


def _unique(options: Options, value: object) -> Options:
    unique = unique_of(cast(Unique | str | bool | None, value))
    extra = _extra(options, unique=unique and (unique.key or ""), until=unique.until if unique else "finish")
    return replace(extra, unique=unique)


_RULES: Final[dict[str, Callable[[Options, object], Options]]] = {
    "queue": lambda o, v: replace(o, queue=checked_name("queue", cast(str, v))),
    "priority": lambda o, v: replace(o, priority=number_in("priority", cast(int, v), PRIORITIES)),
    "max_attempts": lambda o, v: replace(o, max_attempts=number_in("max_attempts", cast(int, v), ATTEMPTS)),
    "timeout": lambda o, v: replace(o, timeout=_limit("timeout", v)),
    "run_after": lambda o, v: replace(o, start=start("run_after", cast(datetime | Duration | None, v))),
    "unique": _unique,
    "expires": lambda o, v: _extra(o, expires=_limit("expires", v)),
    "keep": lambda o, v: _extra(o, keep=_keep(v)),
    "memory": lambda o, v: _extra(o, memory=None if v is None else size("memory", cast(int | str, v))),
    "store_result": lambda o, v: _extra(o, store_result=flag("store_result", v)),
    "tags": lambda o, v: _extra(o, tags=marked(checked_tags(cast(Sequence[str], v)))),
    "meta": lambda o, v: _extra(o, meta=msgspec.Raw(checked_meta(cast(Mapping[str, object], v)))),
    "backoff": lambda o, v: _extra(o, backoff=_rule(v)),
}
