"""``conveyor check-deploy``: before new code takes over, or after."""

import argparse
import shlex

from conveyor.cli.lookup import app_arguments, check_there, find_app
from conveyor.cli.output import age, clean, say, say_json, stamp, table
from conveyor.client.deploys import LOOKED_AT
from conveyor.core.deploy import DeployCheck, Misfit

UNKNOWN = "this code has no task of that name"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument(
        "--limit",
        type=int,
        default=LOOKED_AT,
        help=f"how many waiting jobs to look at, half of them the oldest, half the newest ({LOOKED_AT})",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Say which waiting jobs the app could not run; 1 when there are any."""
    app = find_app(options)
    check_there(app)
    found = app.jobs.unrunnable(queue=options.queue, limit=options.limit)
    if options.json:
        say_json(_as_json(found))
        return bool(found.jobs)
    if found.misfits:
        table(("TASK", "JOBS", "OLDEST", "SAMPLE", "WHY"), [_as_row(misfit) for misfit in found.misfits])
        say()
    looked = f"{found.looked:,} waiting job{'' if found.looked == 1 else 's'}"
    there = "" if found.whole else "; there may be more, and --limit looks at more"
    say(f"looked at {looked}: this code can run {'all' if not found.jobs else f'all but {found.jobs:,}'}{there}")
    for misfit in found.misfits[:1]:
        _advise(misfit)
    return bool(found.jobs)


def _advise(misfit: Misfit) -> None:
    say()
    task = shlex.quote(misfit.task)
    keep = (
        "keep a task of that name" if not misfit.reason else "keep taking what was sent: give new parameters defaults"
    )
    say(f"until they are done: {keep}; they wait, and spend no attempt")
    say(clean(f"or let them go:      conveyor delete --task {task} --dry-run"))


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
    return {"looked": found.looked, "whole": found.whole, "jobs": found.jobs, "misfits": misfits}
