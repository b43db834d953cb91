"""What is said of a schedule, checked, and as it is stored."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypedDict, cast
from zoneinfo import ZoneInfo

import msgspec

from conveyor.client.sending import new_job
from conveyor.core.clock import NOW, moment, stored
from conveyor.core.errors import UsageError
from conveyor.core.options import Duration, microseconds, number_in
from conveyor.core.schedules import CATCH_UPS, OVERLAPS, CatchUp, Edit, Overlap, Planned, Scheduled, Spec, read_spec
from conveyor.core.text import is_a, told
from conveyor.core.values import kind_of
from conveyor.schedule.firing import rule_of
from conveyor.schedule.rules import Rule
from conveyor.schedule.syncing import changed, kept, onward
from conveyor.schedule.words import Zone, cron
from conveyor.task import Call, Enqueueable

Target = Call[object] | Enqueueable[..., object]

MOST_TICKS: Final = range(1, 1_001)
TIMES: Final = range(1, 1_000_000_001)
UTC: Final = "UTC"


class Policies(TypedDict, total=False):
    """How a schedule behaves, besides its rule.

    *catch_up* says what becomes of ticks that were missed, more than 30 s late because no worker was there: the
    ``"latest"`` of them fires (default), they are ``"skip"``ped, or ``"all"`` are made up, at most *most* (100). What a
    tick does while the job before has not ended: *overlap* ``"allow"`` (default), ``"skip"``, ``"cancel_previous"``.
    Jobs start up to *jitter* (seconds or ``timedelta``) after their tick. No tick is before *start* or after *end*
    (aware datetimes). It has ended after *times* jobs.
    """

    catch_up: CatchUp
    most: int
    overlap: Overlap
    jitter: Duration
    start: datetime | None
    end: datetime | None
    times: int | None


class Changes(Policies, total=False):
    """What ``update`` takes: *call* is another task or other arguments, *rule* another rule, *tz* its time zone."""

    call: Target
    rule: Rule | str
    tz: Zone


def spec_of(target: Target, rule: Rule | str, tz: Zone, policies: Policies) -> Spec:
    """What a new schedule is to be. Raises ``UsageError``, ``TypeError``, or ``ValueError`` for a wrong rule."""
    return _with(Spec(_dumped(rule, tz), _planned(target)), policies)


def updated(row: Scheduled, changes: Changes) -> Edit:
    """*row* with what *changes* say."""
    with readable(row.name):
        spec = old = read_spec(row.spec)
    rest = Changes(**changes)
    target, rule, tz = rest.pop("call", None), rest.pop("rule", None), rest.pop("tz", None)
    if target is not None:
        spec = msgspec.structs.replace(spec, job=_planned(target))
    if rule is not None:
        spec = msgspec.structs.replace(spec, rule=_dumped(rule, tz, rule_of(old).zone or UTC))
    elif tz is not None:
        raise UsageError("tz= goes with rule=: give the rule once more, with its time zone")
    return changed(row, _with(spec, cast(Policies, rest)), row.now, declared=row.declared)


@contextmanager
def readable(name: str) -> Generator[None]:
    """Around what reads a stored schedule: one that somebody has spoilt, or whose time zone is not known here."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"the schedule {name!r} cannot be read: {error}") from None


def paused(row: Scheduled) -> Edit | None:
    """*row*, paused; ``None`` when it is so already."""
    return None if row.paused_at is not None else kept(row, declared=row.declared)._replace(paused_at=row.now)


def resumed(row: Scheduled) -> Edit | None:
    """*row*, going on from now; ``None`` when it is not paused."""
    if row.paused_at is None:
        return None
    with readable(row.name):
        next_at = None if row.next_at is None else onward(row, read_spec(row.spec), row.now)
    return kept(row, declared=row.declared)._replace(paused_at=None, next_at=next_at)


def _planned(target: Target) -> Planned:
    if is_a(target, Enqueueable):
        target = cast("Enqueueable[..., object]", target).bind()
    if not is_a(target, Call):
        raise TypeError(f"a schedule needs a task, or a call as task.bind(...) makes it, not {kind_of(target)}")
    call = cast("Call[object]", target)
    if call.options.start != NOW:
        raise UsageError("run_after= means nothing for a schedule: its rule says when; jitter= spreads its jobs")
    return Planned.of(new_job(call))


def _dumped(rule: Rule | str, tz: Zone, otherwise: str = UTC) -> dict[str, object]:
    zone = tz.key if isinstance(tz, ZoneInfo) else tz
    if is_a(rule, str):
        rule = cron(cast(str, rule))
    if not is_a(rule, Rule):
        raise TypeError(f"a schedule's rule must be a cron text or a rule as daily(at='02:00'), not {kind_of(rule)}")
    made = cast(Rule, rule)
    if zone is not None and made.zone not in (None, zone):
        raise UsageError(f"the rule has the time zone {made.zone} already, and tz={told(zone)} is another one")
    return made.in_zone(otherwise if zone is None else zone).dump()


def _with(spec: Spec, policies: Policies) -> Spec:
    if unknown := policies.keys() - _RULES.keys():
        raise TypeError(f"a schedule has no {', '.join(sorted(unknown))}; there are {', '.join(_RULES)}")
    made = msgspec.structs.replace(spec, **{name: _RULES[name](value) for name, value in policies.items()})
    if made.overlap == "cancel_previous" and made.job.key is not None:
        raise UsageError("overlap='cancel_previous' has no use for a unique job: the one before holds its key")
    if made.start is not None and made.end is not None and made.end < made.start:
        raise UsageError(f"end={moment(made.end).isoformat()} is before start={moment(made.start).isoformat()}")
    return made


def _one_of(what: str, words: Sequence[str]) -> Callable[[object], str]:
    def checked(value: object) -> str:
        if not is_a(value, str) or str.__str__(cast(str, value)) not in words:
            raise UsageError(f"{what}={told(value)} must be one of {', '.join(map(repr, words))}")
        return str.__str__(cast(str, value))

    return checked


def _bound(what: str) -> Callable[[object], int | None]:
    def checked(value: object) -> int | None:
        if value is None:
            return None
        if not is_a(value, datetime) or cast(datetime, value).utcoffset() is None:
            raise UsageError(f"{what}={told(value)} must be a datetime with a time zone")
        return stored(cast(datetime, value))

    return checked


_RULES: Final[dict[str, Callable[[object], object]]] = {
    "catch_up": _one_of("catch_up", CATCH_UPS),
    "most": lambda value: number_in("most", cast(int, value), MOST_TICKS),
    "overlap": _one_of("overlap", OVERLAPS),
    "jitter": lambda value: microseconds("jitter", cast(Duration, value)),
    "start": _bound("start"),
    "end": _bound("end"),
    "times": lambda value: None if value is None else number_in("times", cast(int, value), TIMES),
}
