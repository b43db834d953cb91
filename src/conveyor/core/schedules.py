"""The records of schedules that travel between the floors. Times are microseconds of UTC."""

from typing import Final, Literal, NamedTuple

import msgspec

from conveyor.core import ids
from conveyor.core.extras import decoded, encoded
from conveyor.core.model import NewJob
from conveyor.core.unique import Hold

CatchUp = Literal["latest", "skip", "all"]
"""What becomes of ticks that were missed: the latest of them fires, none does, or each, up to a number."""
Overlap = Literal["allow", "skip", "cancel_previous"]
"""What a tick does while the job of the one before has not ended."""
CATCH_UPS: Final = ("latest", "skip", "all")
OVERLAPS: Final = ("allow", "skip", "cancel_previous")
MOST: Final = 100
"""Missed ticks that ``"all"`` makes up at once, unless somebody says otherwise."""


class Planned(msgspec.Struct, frozen=True, omit_defaults=True):
    """The job that a schedule makes at each tick, whole: who makes it need not know the task."""

    task: str
    queue: str
    args: str
    """Canonical JSON."""
    max_attempts: int
    priority: int = 0
    timeout: int | None = None
    expires: int | None = None
    keep: int | None = None
    extras: str | None = None
    key: str | None = None
    """Of a unique job, as the store keeps it."""
    until_start: bool = False

    @classmethod
    def of(cls, job: NewJob) -> "Planned":
        """What is the same at each tick."""
        return cls(
            job.task,
            job.queue,
            job.args.decode(),
            job.max_attempts,
            job.priority,
            job.timeout,
            job.expires,
            job.keep,
            job.extras,
            job.unique.key if job.unique else None,
            job.unique is not None and job.unique.until_start,
        )

    def at(self, schedule: str, tick: int, due: int) -> NewJob:
        """The job of *tick*, which starts at *due* or later. One whose unique key is held makes none."""
        extras = msgspec.structs.replace(decoded(self.extras), schedule=schedule, tick=tick)
        return NewJob(
            ids.new(),
            self.task,
            self.queue,
            self.priority,
            due,
            0,
            self.max_attempts,
            self.timeout,
            self.args.encode(),
            self.expires,
            self.keep,
            encoded(extras),
            None if self.key is None else Hold(self.key, self.until_start, "existing"),
        )


class Spec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody has said of a schedule: all but its name, and where it stands."""

    rule: dict[str, object]
    """As ``schedule.rules`` writes it down."""
    job: Planned
    catch_up: CatchUp = "latest"
    most: int = MOST
    """Missed ticks that ``catch_up="all"`` makes up at once: the latest of them."""
    overlap: Overlap = "allow"
    jitter: int = 0
    """Microseconds within which its jobs are spread behind their ticks."""
    start: int | None = None
    """No tick is before it,"""
    end: int | None = None
    """and none after it."""
    times: int | None = None
    """It has ended when it has made so many jobs."""


class Scheduled(NamedTuple):
    """One schedule, as it is stored. The field order is that of the statements' columns."""

    name: str
    spec: str
    """``Spec`` as JSON; empty where it was not asked for."""
    declared: str | None
    """The same, as the code said it last; ``None`` for one that was made at run time."""
    next_at: int | None
    """Its next tick; ``None`` when there is none any more."""
    tick: int | None
    """The latest tick that has passed."""
    fired: int
    """Jobs that it has made."""
    paused_at: int | None
    job: bytes | None
    """The latest job that it has made."""
    version: int
    """Raised by each edit, and whenever it fires: who has read an older one changes nothing."""
    created_at: int
    now: int
    """When it was read, on the store's clock."""


class Edit(NamedTuple):
    """What a schedule is to be, if it is still at *version*; 0 when it is to be new."""

    name: str
    version: int
    spec: str
    declared: str | None
    next_at: int | None
    paused_at: int | None
    times: int | None
    overlap: str


class Move(NamedTuple):
    """A schedule's step over the ticks that have come, and the jobs of those that fire."""

    name: str
    version: int
    due: int
    """Where it stood: its next tick."""
    next_at: int | None
    """Where it is to stand."""
    tick: int
    """The latest tick that this passes."""
    jobs: tuple[NewJob, ...]


class Coming(NamedTuple):
    """Schedules that are due, and when the next one will be."""

    now: int
    due: tuple[Scheduled, ...]
    soonest: int | None


def read_spec(text: str) -> Spec:
    """A stored ``Spec``; raises ``ValueError`` when somebody has spoilt it."""
    return msgspec.json.decode(text, type=Spec)


def written(spec: Spec) -> str:
    """*spec*, as it is stored: equal ones are equal texts."""
    return msgspec.json.encode(spec, order="deterministic").decode()
