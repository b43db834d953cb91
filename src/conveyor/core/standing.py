"""How a schedule stands: the one thing that it waits for, or what is wrong with it. Decided from facts, without I/O."""

import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from conveyor.core.clock import MICROSECOND, moment
from conveyor.core.health import NAMED, Finding, Severity, bounded, fine, note, span
from conveyor.core.model import Runner

NOBODY: Final = "no worker is running"
OVERDUE: Final = timedelta(minutes=1)
"""A tick that is later than this has been forgotten by somebody."""


class Standing(NamedTuple):
    """What there is to say, and what to do about it."""

    severity: Severity
    text: str
    fix: str = ""


class Known(NamedTuple):
    """What is known of a schedule."""

    name: str
    task: str
    queue: str
    next_at: int | None
    paused_at: int | None
    fired: int
    now: int
    trouble: str = ""
    """Why its rule cannot be read, if so."""


def standing(schedule: Known, runners: Sequence[Runner]) -> Standing:
    """The first that is to be said of *schedule*."""
    if schedule.trouble:
        remove = f"conveyor schedules remove {shlex.quote(schedule.name)}"
        fix = f"{remove}, or, where your code declares it: conveyor schedules apply"
        return Standing(Severity.TROUBLE, f"it cannot fire: {schedule.trouble}", fix)
    if schedule.paused_at is not None:
        fix = f"conveyor schedules resume {shlex.quote(schedule.name)}"
        return Standing(Severity.NOTE, f"paused since {_at(schedule.paused_at)}", fix)
    if schedule.next_at is None:
        jobs = "1 job" if schedule.fired == 1 else f"{schedule.fired:,} jobs"
        return Standing(Severity.FINE, f"ended: it has made {jobs}, and no tick is to come")
    return _watched(schedule, schedule.next_at, [runner for runner in runners if runner.alive])


def _watched(schedule: Known, next_at: int, alive: Sequence[Runner]) -> Standing:
    late = (schedule.now - next_at) * MICROSECOND
    serving = [runner for runner in alive if schedule.queue in runner.info.queues]
    if not alive:
        told = f"its tick of {_at(next_at)} has not fired, for no worker" if late > OVERDUE else "no worker"
        return Standing(Severity.TROUBLE if late > OVERDUE else Severity.NOTE, f"{told} is running", "conveyor worker")
    if late > OVERDUE:
        fix = "look into the workers' logs: each of them watches the schedules"
        return Standing(Severity.TROUBLE, f"its tick of {_at(next_at)} is overdue by {span(late)}", fix)
    if not serving:
        fix = f"conveyor worker -q {shlex.quote(schedule.queue)}"
        return Standing(Severity.TROUBLE, f"no running worker serves its queue {schedule.queue!r}", fix)
    if not any(schedule.task in runner.info.tasks for runner in serving):
        text = f"no running worker of queue {schedule.queue!r} knows its task {schedule.task!r}"
        return Standing(Severity.TROUBLE, text, "start workers with the code that has it, or remove the schedule")
    return Standing(Severity.FINE, f"its next tick is at {_at(next_at)}")


def of_schedules(schedules: Sequence[Known], runners: Sequence[Runner]) -> list[Finding]:
    """Whether the schedules fire, and somebody runs what they make."""
    found: list[Finding] = []
    for schedule in schedules:
        stands = standing(schedule, runners)
        if stands.severity is not Severity.FINE and stands.text != NOBODY:
            found.append(
                Finding("schedules", stands.severity, f"schedule {schedule.name!r}: {stands.text}", stands.fix)
            )
    if found or not schedules:
        return bounded("schedules", found)
    what = "1 schedule" if len(schedules) == 1 else f"{len(schedules):,} schedules"
    return [fine("schedules", f"{what}, and none is late")]


def of_code(otherwise: Sequence[str], edited: Sequence[str], orphans: Sequence[str]) -> list[Finding]:
    """How the schedules of the store differ from those of the code.

    Names of those that the store has *otherwise*, or not at all; that were *edited* at run time; that the code declares
    no more.
    """
    plan, apply = "conveyor schedules plan", "conveyor schedules apply"
    kinds = (
        (otherwise, "not stored as this app declares", f"{plan}, then {apply}, as each worker does that starts"),
        (edited, "edited at run time, and kept so over deploys", f"{plan}; where that is not meant, {apply} --reset"),
        (
            orphans,
            "declared by this app no more, and stored still",
            f"{plan}; when no older code is to come back, {apply} --remove-orphans",
        ),
    )
    return [note("schedules", f"{_listed(names)}: {text}", fix) for names, text, fix in kinds if names]


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{'schedule' if len(names) == 1 else 'schedules'} {', '.join(map(repr, names[:NAMED]))}{rest}"


def _at(microseconds: int) -> str:
    return f"{moment(microseconds):%Y-%m-%d %H:%M:%S} UTC"
