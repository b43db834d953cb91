"""The records that travel between the floors. Times are microseconds of UTC; ids are 16 bytes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

import msgspec

from conveyor.core.failure import Failure
from conveyor.core.lifecycle import Event, State

ATTEMPTS_KEPT: Final = 20
"""Records of attempts that a job keeps: its first, and the latest."""


class NewJob(NamedTuple):
    """One job on its way into a store."""

    id: bytes
    task: str
    queue: str
    priority: int
    due: int
    """Not before this time; 0 for at once."""
    delay: int
    """Microseconds after the store received it."""
    max_attempts: int
    timeout: int | None
    args: bytes


class Claimed(NamedTuple):
    """One job that a runner has just taken. The field order is that of the claim's result columns."""

    id: bytes
    task: str
    queue: str
    priority: int
    run_after: int
    attempt: int
    max_attempts: int
    crashes: int
    token: int
    timeout: int | None
    args: bytes
    attempts: bytes | None
    last_attempted_at: int


class Held(NamedTuple):
    """One running job whose runner is dead, as rescue finds it."""

    id: bytes
    token: int
    runner: bytes
    attempt: int
    max_attempts: int
    crashes: int
    attempts: bytes | None
    last_attempted_at: int
    now: int


class Outcome(NamedTuple):
    """What became of one attempt, on its way into a store; it applies only while job, token and runner agree."""

    id: bytes
    token: int
    runner: bytes
    event: Event
    delay: int = 0
    """Microseconds until the next attempt."""
    crash: bool = False
    """Whether it counts as a crash of the job."""
    result: bytes | None = None
    record: bytes | None = None
    """The job's whole record of attempts, with this one; ``None`` leaves it as it is."""
    run_time: int = 0


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt that did not simply succeed, as the job's record keeps it."""

    number: int
    event: str
    """``retry``, ``fail``, ``rescue``, ``lose`` or ``quarantine``."""
    started_at: int
    finished_at: int
    runner: str = ""
    error: Failure | None = None


class RunnerInfo(msgspec.Struct, frozen=True):
    """What a runner says of itself when it registers."""

    host: str
    pid: int
    queues: dict[str, int]
    """Queue name to slots."""
    tasks: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Runner:
    """A registered runner, as ``status`` and ``why`` show it."""

    id: str
    info: RunnerInfo
    alive: bool
    started_at: datetime


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The record of a job, read at one moment."""

    id: str
    task: str
    queue: str
    priority: int
    state: State
    attempt: int
    """The number of the latest attempt; 0 before the first."""
    max_attempts: int
    crashes: int
    token: int
    timeout: timedelta | None
    enqueued_at: datetime
    run_after: datetime
    started_at: datetime | None
    """When its first attempt began."""
    last_attempted_at: datetime | None
    finished_at: datetime | None
    run_time: timedelta | None
    """How long the last attempt ran, once the job is final."""
    runner: str | None
    payload: bytes
    """The arguments, as canonical JSON: ``[[positional], {by name}]``."""
    result: bytes | None
    """The return value as JSON, once it succeeded."""
    attempts: tuple[Attempt, ...]
    """Attempts that did not simply succeed, oldest first; at most 20."""

    @property
    def error(self) -> Failure | None:
        """The error of the latest attempt that has one."""
        return next((attempt.error for attempt in reversed(self.attempts) if attempt.error), None)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; ``None`` for any. All given conditions must hold."""

    states: tuple[State, ...] = ()
    queue: str | None = None
    task: str | None = None


Counts = dict[State, int]
"""Jobs per state. Exact up to ``COUNTED``; a number above it stands for "more than that"."""
COUNTED: Final = 10_000

Direction = Literal["newest", "oldest"]


def appended(record: bytes | None, attempt: Attempt) -> bytes:
    """The *record* with one more attempt, in bounds: the first stays, and the latest."""
    attempts = read_attempts(record)
    if len(attempts) >= ATTEMPTS_KEPT:
        attempts = (attempts[0], *attempts[2:])
    return msgspec.json.encode((*attempts, attempt))


def read_attempts(record: bytes | None) -> tuple[Attempt, ...]:
    """The attempts that a stored record holds."""
    try:
        return msgspec.json.decode(record, type=tuple[Attempt, ...]) if record else ()
    except msgspec.MsgspecError:
        return ()  # somebody else wrote it; the job's outcome matters more than its past
