"""``conveyor why``."""

import argparse

from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import clean, say, say_json
from conveyor.cli.which import find_job


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("job", metavar="ID", help="the job's id, or 8 and more digits that it begins with")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Say what the job waits for."""
    app = find_jobs(options)
    info = find_job(app, options.job)
    reason = app.jobs.why(info)
    if options.json:
        say_json({"id": info.id, "why": reason})
    else:
        say(clean(reason))  # it may quote what a job has raised
    return 0
