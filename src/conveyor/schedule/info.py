"""A schedule as people see it."""

from dataclasses import dataclass
from datetime import datetime

from conveyor.core import ids
from conveyor.core.clock import moment
from conveyor.core.schedules import CatchUp, Overlap, Scheduled, Spec, read_spec
from conveyor.core.standing import Known
from conveyor.schedule.firing import following, rule_of


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A schedule at one moment."""

    name: str
    task: str
    queue: str
    rule: str
    """In words, as ``cron "0 2 * * *" in Europe/Bucharest``."""
    next_at: datetime | None
    """Its next tick; ``None`` when it has ended."""
    tick: datetime | None
    """The latest tick that has passed."""
    fired: int
    """Jobs that it has made."""
    paused_at: datetime | None
    """Since when it is paused; ``None`` when it is not."""
    job: str | None
    """The id of the latest job that it has made."""
    in_code: bool
    """Whether code has declared it; else it was made at run time."""
    edited: bool
    """Whether it was edited at run time, and differs from what the code says."""
    catch_up: CatchUp
    overlap: Overlap
    created_at: datetime
    unread: bool = False
    """Whether it cannot be read: ``rule`` says why."""

    @property
    def ended(self) -> bool:
        """Whether it has no tick any more."""
        return self.next_at is None


def info_of(row: Scheduled) -> ScheduleInfo:
    """*row*, for people; one that cannot be read says so in its rule."""
    spec, rule, unread = _read(row)
    return ScheduleInfo(
        name=row.name,
        task=spec.job.task if spec else "",
        queue=spec.job.queue if spec else "",
        rule=rule,
        next_at=_moment(row.next_at),
        tick=_moment(row.tick),
        fired=row.fired,
        paused_at=_moment(row.paused_at),
        job=None if row.job is None else ids.text(row.job),
        in_code=row.declared is not None,
        edited=row.declared not in (None, row.spec),
        catch_up=spec.catch_up if spec else "latest",
        overlap=spec.overlap if spec else "allow",
        created_at=moment(row.created_at),
        unread=unread,
    )


def known_of(row: Scheduled) -> Known:
    """What ``core.standing`` is to know of it."""
    info = info_of(row)
    trouble = info.rule if info.unread else _trouble(row)
    return Known(row.name, info.task, info.queue, row.next_at, row.paused_at, row.fired, row.now, trouble)


def _trouble(row: Scheduled) -> str:
    """Why it could not fire, as where its time zone is unknown; empty when it could."""
    try:
        following(read_spec(row.spec), row.now)
    except ValueError as error:
        return str(error)
    return ""


def _read(row: Scheduled) -> tuple[Spec | None, str, bool]:
    spec = None
    try:
        spec = read_spec(row.spec)
        return spec, rule_of(spec).text, False
    except ValueError as error:
        return spec, f"cannot be read: {error}", True


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else moment(microseconds)
