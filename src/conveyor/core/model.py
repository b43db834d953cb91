"""The records that travel between the floors. Times are microseconds of UTC; ids are 16 bytes."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

import msgspec

from conveyor.core.clock import moment
from conveyor.core.extras import NONE, UNREADABLE, Extras
from conveyor.core.failure import Failure
from conveyor.core.lifecycle import GIVEN_BACK, TAKEN_BACK, Event, State
from conveyor.core.unique import Hold

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
    expires: int | None = None
    """Microseconds after it came due; then it is not started any more."""
    keep: int | None = None
    """Microseconds that the ended job stays; negative for ever, ``None`` for the default."""
    extras: str | None = None
    unique: Hold | None = None


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
    expires_at: int | None = None
    extras: str | None = None
    cancelled: str | None = None
    """Why it is to be cancelled; ``None`` when nobody has asked for that."""


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
    task: str
    queue: str
    extras: str | None
    company: int = 1
    """How many jobs the dead runner holds, this one among them."""


class Outcome(NamedTuple):
    """What became of one attempt, on its way into a store; it applies only while job, token and runner agree."""

    id: bytes
    token: int
    runner: bytes
    event: Event
    due: int = 0
    """Not before this time."""
    delay: int = 0
    """Microseconds until the next attempt."""
    back: bool = False
    """Whether an ended job is given its attempt back: it was never started."""
    fence: bool = False
    """Whether the token is raised, so that the runner takes nobody else's outcome for its own."""
    crash: bool = False
    """Whether it counts as a crash of the job."""
    result: bytes | None = None
    record: bytes | None = None
    """The job's whole record of attempts, with this one; ``None`` leaves it as it is."""
    reason: str | None = None
    """Why a job was cancelled."""
    fingerprint: str | None = None
    """Of the error that ended the job."""
    run_time: int = 0

    @property
    def flags(self) -> int:
        """What the stores add to and take from the job's counters: 1 a crash, 2 a new token, 4 the attempt back."""
        fence = self.fence or self.event in TAKEN_BACK
        back = self.back or self.event in GIVEN_BACK
        return self.crash | fence << 1 | back << 2

    @property
    def written_token(self) -> int:
        """The token that the job bears once this is written."""
        return self.token + (self.flags >> 1 & 1)


class Completion(NamedTuple):
    """The end of an attempt that is part of a transaction of the user's."""

    id: bytes
    token: int
    runner: bytes
    result: bytes | None
    progress: bytes | None
    """The last that is not in the store yet."""
    record: bytes | None = None
    """Of its attempts, with this one; ``None`` leaves it as it is."""


class Report(NamedTuple):
    """How far a running attempt has come, on its way into a store; fenced as an outcome is."""

    id: bytes
    token: int
    runner: bytes
    progress: bytes


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a job has come, as the task itself says."""

    value: float | None = None
    """From 0 to 1."""
    message: str = ""


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt, as the job's record keeps it; one that succeeded only if there is more to say of it.

    Its times are numbers, as they are stored, and not ``datetime`` as those of ``JobInfo`` are:
    ``datetime.fromtimestamp(attempt.started_at / 1_000_000, UTC)``.
    """

    number: int
    event: str
    """What it led to, as the lifecycle's table calls it: ``retry``, ``fail``, ``rescue``, ``cancel`` ..."""
    started_at: int
    """Microseconds of UTC since 1970, as ``finished_at``."""
    finished_at: int
    runner: str = ""
    error: Failure | None = None
    company: int = 1
    """Of an attempt that was lost with its runner: how many jobs that held, this one among them."""
    cpu: float = 0.0
    """Seconds of processor time, of its child processes too. This and the next two are known of processes only."""
    memory: int = 0
    """Bytes that its process held at its peak; 0 for one that was too short to look."""
    output: str = ""
    """What it printed and logged, without secrets: the first 16 KiB and the last."""


class RunnerInfo(msgspec.Struct, frozen=True):
    """What a runner says of itself when it registers."""

    host: str
    pid: int
    queues: dict[str, int]
    """Queue name to slots."""
    tasks: tuple[str, ...]
    version: str
    supervisor: int = 0
    """The process that watches over it, and is to be told to stop; 0 when it is on its own."""


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
    """How often its worker died while it ran there alone."""
    token: int
    """The number of its latest claim; 0 before the first."""
    timeout: timedelta | None
    """For each attempt; ``None`` for no limit."""
    enqueued_at: datetime
    run_after: datetime
    """It does not start before this time; after a failure, the time of its next attempt."""
    started_at: datetime | None
    """When its first attempt began."""
    last_attempted_at: datetime | None
    """When its latest attempt began."""
    finished_at: datetime | None
    """When it came to its end."""
    run_time: timedelta | None
    """How long the last attempt ran, once the job is final."""
    runner: str | None
    """The id of the worker that holds it, or that ended it."""
    payload: bytes = field(repr=False)
    """The arguments, as canonical JSON: ``[[positional], {by name}]``. Not printed: they may hold secrets."""
    result: bytes | None = field(repr=False)
    """The return value as JSON, once it succeeded. Not printed, likewise."""
    attempts: tuple[Attempt, ...]
    """Attempts that there is something to say of, oldest first; at most 20."""
    extras: Extras = NONE
    """The rarer options, as they are stored."""
    expires_at: datetime | None = None
    """It is not started after this time."""
    delete_after: datetime | None = None
    """When the finished job may be deleted; ``None`` for never, or not finished."""
    progress: Progress | None = None
    """What the task said last of how far it has come."""
    cancelled: str | None = None
    """Why it was cancelled, or, while it runs, is to be; ``None`` when nobody has asked for that."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return self.extras.tag_list

    @property
    def meta(self) -> dict[str, object]:
        """The user's own facts about the job."""
        return self.extras.meta_dict

    @property
    def unique(self) -> str | None:
        """Its unique key as it was given; empty when its arguments are the key, ``None`` without one."""
        return self.extras.unique

    @property
    def schedule(self) -> str:
        """The schedule that made it; empty when none did."""
        return self.extras.schedule

    @property
    def tick(self) -> datetime | None:
        """The tick that it was made for."""
        return moment(self.extras.tick) if self.extras.tick else None

    @property
    def error(self) -> Failure | None:
        """The error of the latest attempt that has one; ``None`` once the job has succeeded."""
        if self.state is State.SUCCEEDED:
            return None
        return next((attempt.error for attempt in reversed(self.attempts) if attempt.error), None)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; ``None`` for any. All given conditions must hold."""

    states: tuple[State, ...] = ()
    queue: str | None = None
    task: str | None = None
    tag: str | None = None
    fingerprint: str | None = None
    """Of the error that ended it."""
    enqueued_after: int | None = None
    enqueued_before: int | None = None
    finished_before: int | None = None
    """Times in microseconds; the earlier bound belongs to the range, the later one does not."""
    ids: tuple[bytes, ...] | None = None
    """These jobs only."""


class Changed(NamedTuple):
    """What one pass over jobs changed."""

    jobs: int
    """Jobs that are changed now."""
    asked: int = 0
    """Running jobs that were asked to stop."""
    queues: frozenset[str] = frozenset()
    runners: frozenset[bytes] = frozenset()
    """Who holds the ones that were asked."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Jobs that ended with errors of one class from one place: the dead letters, sorted."""

    fingerprint: str
    """What ``app.jobs.list(error=...)`` and its sisters take."""
    error: Failure
    """The latest of them."""
    jobs: int
    """How many."""
    first: datetime
    latest: datetime
    """When the first and the latest of them ended."""
    sample: str
    """The id of the latest."""
    task: str
    """Of the latest."""


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue at one moment; it exists when it has jobs, is paused, or a worker serves it."""

    name: str
    paused_at: datetime | None
    """Since when it is paused; ``None`` when it is not."""
    ready: int
    scheduled: int
    retryable: int
    running: int
    """Counts are exact up to 10,000; 10,001 stands for more."""
    oldest: timedelta | None
    """How long its oldest ready job has been waiting since it came due."""
    workers: int = 0
    """Running workers that serve it."""


class DueTask(NamedTuple):
    """The due jobs of one task in one queue."""

    task: str
    jobs: int
    oldest: timedelta
    """How long the one that came due first has been waiting."""


class Ended(NamedTuple):
    """What tells of an ended job how long it waited and ran; its arguments and its result may be large, and are not."""

    queue: str
    run_after: datetime
    last_attempted_at: datetime | None
    run_time: timedelta | None


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
    except UNREADABLE:
        return ()  # somebody else wrote it; the job's outcome matters more than its past


def read_progress(stored: bytes | None) -> Progress | None:
    """The progress that a stored text holds."""
    try:
        return msgspec.json.decode(stored, type=Progress) if stored else None
    except UNREADABLE:
        return None  # as above
