"""``conveyor why``."""

import argparse

from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import say, say_json


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("job", metavar="ID", help="the job's id")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Say what the job waits for."""
    reason = find_jobs(options).jobs.why(options.job)
    if options.json:
        say_json({"id": options.job, "why": reason})
    else:
        say(reason)
    return 0
