"""``conveyor why``."""

import argparse

from conveyor.app import Conveyor
from conveyor.cli import schedules
from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import clean, say, say_json
from conveyor.cli.which import find_job
from conveyor.core.errors import PayloadError, ScheduleNotFound


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument(
        "job", metavar="ID", help="the job's id, or 8 and more digits that it begins with; or a schedule's name"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Say what the job waits for."""
    app = find_jobs(options)
    if schedule := _schedule(app, options.job):
        return schedules.explain(app, [schedule], as_json=options.json)
    info = find_job(app, options.job)
    reason = app.jobs.why(info)
    if options.json:
        say_json({"id": info.id, "why": reason})
    else:
        say(clean(reason))  # it may quote what a job has raised
    return 0


def _schedule(app: Conveyor, name: str) -> str:
    """*name*, where it is a schedule's; empty where it can only be a job's."""
    try:
        return app.schedules.get(name).name
    except (ScheduleNotFound, PayloadError):
        return ""
