"""``conveyor check-deploy``: before new code takes over, or after."""

import argparse
import shlex
from collections.abc import Sequence

from conveyor.cli.lookup import app_arguments, check_there, find_app
from conveyor.cli.output import age, clean, say, say_json, stamp, table
from conveyor.client.deploys import LOOKED_AT
from conveyor.core.deploy import DeployCheck, Misfit, MisfitSchedule

UNKNOWN = "this code has no task of that name"
SHOWN = 20
"""Schedules in the table: there may be one for each user."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("--queue", help="only jobs of this queue, and schedules that make such")
    parser.add_argument(
        "--limit",
        type=int,
        default=LOOKED_AT,
        help=f"how many waiting jobs to look at, half of them the oldest, half the newest ({LOOKED_AT})",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Say which waiting jobs the app could not run, and which schedules make such; 1 when there are any."""
    app = find_app(options)
    check_there(app)
    found = app.jobs.unrunnable(queue=options.queue, limit=options.limit)
    status = bool(found.jobs or found.schedules)
    if options.json:
        say_json(_as_json(found))
        return status
    if found.misfits:
        table(("TASK", "JOBS", "OLDEST", "SAMPLE", "WHY"), [_as_row(misfit) for misfit in found.misfits])
        say()
    looked = f"{found.looked:,} waiting job{'' if found.looked == 1 else 's'}"
    there = "" if found.whole else "; there may be more, and --limit looks at more"
    say(f"looked at {looked}: this code can run {'all' if not found.jobs else f'all but {found.jobs:,}'}{there}")
    for misfit in found.misfits[:1]:
        _advise(misfit)
    if found.schedules:
        _tell(found.schedules)
    return status


def _advise(misfit: Misfit) -> None:
    say()
    task = shlex.quote(misfit.task)
    keep = (
        "keep a task of that name" if not misfit.reason else "keep taking what was sent: give new parameters defaults"
    )
    say(f"until they are done: {keep}; they wait, and spend no attempt")
    say(clean(f"or let them go:      conveyor delete --task {task} --dry-run"))


def _tell(schedules: Sequence[MisfitSchedule]) -> None:
    say()
    rows = [(one.name, one.task, one.reason or UNKNOWN) for one in schedules]
    table(("SCHEDULE", "TASK", "WHY"), rows[:SHOWN])
    if (rest := len(schedules) - SHOWN) > 0:
        say(f"and {rest:,} more; --json has all")
    say()
    make = "1 schedule makes jobs" if len(schedules) == 1 else f"{len(schedules):,} schedules make jobs"
    say(f"{make} that this code cannot run")
    first = schedules[0]
    keep = "keep taking what it sends, or app.schedules.update()" if first.reason else "keep a task of that name"
    say(f"while it is wanted:  {keep}; of another app's, nothing: --queue looks at one queue only")
    say(clean(f"when it is not:      conveyor schedules remove {shlex.quote(first.name)}"))


def _as_row(misfit: Misfit) -> tuple[str, ...]:
    return (misfit.task, f"{misfit.jobs:,}", age(misfit.oldest), misfit.sample, misfit.reason or UNKNOWN)


def _as_json(found: DeployCheck) -> dict[str, object]:
    misfits = [
        {
            "task": misfit.task,
            "unknown": not misfit.reason,
            "reason": misfit.reason or UNKNOWN,
            "jobs": misfit.jobs,
            "oldest": stamp(misfit.oldest),
            "sample": misfit.sample,
        }
        for misfit in found.misfits
    ]
    schedules = [
        {"schedule": one.name, "task": one.task, "unknown": not one.reason, "reason": one.reason or UNKNOWN}
        for one in found.schedules
    ]
    looked = {"looked": found.looked, "whole": found.whole, "jobs": found.jobs}
    return {**looked, "misfits": misfits, "schedules": schedules}
