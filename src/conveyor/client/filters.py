"""Which jobs, as people say it."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack
from uuid import UUID

from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.errors import JobNotFound, PayloadError, UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter


class Filters(TypedDict, total=False):
    """Conditions on jobs; all that are given must hold."""

    state: State | str | Sequence[State | str] | None
    queue: str | None
    task: str | None
    """The task's name."""
    tag: str | None
    error: str | None
    """The fingerprint of the error that ended it."""
    enqueued_after: datetime | None
    enqueued_before: datetime | None
    finished_before: datetime | None


def job_filter(given: Sequence[str | UUID] | None = None, **filters: Unpack[Filters]) -> JobFilter:
    """A filter from what a caller gave. ``UsageError`` for what means nothing, ``JobNotFound`` for what is no id."""
    if unknown := filters.keys() - Filters.__annotations__.keys():
        raise TypeError(
            f"there is no filter {', '.join(sorted(unknown))}; there are {', '.join(Filters.__annotations__)}"
        )
    return JobFilter(
        states=_states(filters.get("state")),
        queue=_text("queue", filters.get("queue")),
        task=_text("task", filters.get("task")),
        tag=_text("tag", filters.get("tag")),
        fingerprint=_text("error", filters.get("error")),
        enqueued_after=_moment("enqueued_after", filters.get("enqueued_after")),
        enqueued_before=_moment("enqueued_before", filters.get("enqueued_before")),
        finished_before=_moment("finished_before", filters.get("finished_before")),
        ids=None if given is None else tuple(map(parsed, given)),
    )


def parsed(id_: str | UUID) -> bytes:
    """The id that somebody wrote; ``JobNotFound`` when it is none."""
    try:
        return ids.parse(id_)
    except (ValueError, AttributeError, TypeError):
        raise JobNotFound(f"{id_!r} is not a job id; one looks like {ids.text(ids.new())}") from None


def _states(state: State | str | Sequence[State | str] | None) -> tuple[State, ...]:
    wanted = [] if state is None else [state] if isinstance(state, str) else state
    try:
        return tuple(State(one) for one in wanted)
    except ValueError:
        raise UsageError(f"{state!r} is no state; there are {', '.join(State)}") from None


def _text(what: str, value: str | None) -> str | None:
    """A text that can be looked for: one that cannot be stored is found nowhere, and PostgreSQL would not take it."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not value.isprintable():
        raise PayloadError(f"{what}={value!r} holds characters that no name has")
    return value


def _moment(what: str, value: datetime | None) -> int | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"{what} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise PayloadError(f"{what}={value.isoformat()} has no time zone; give it one, as in datetime.now(UTC)")
    return stored(value)
