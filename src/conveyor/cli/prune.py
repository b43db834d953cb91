"""``conveyor prune``."""

import argparse
from functools import partial
from typing import Final

from conveyor.cli.changing import Command, care_arguments, change_many
from conveyor.cli.filters import state_argument
from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.times import duration
from conveyor.cli.words import Nonsense
from conveyor.core.lifecycle import State

COMMAND: Final = Command("prune", "delete {}", "deleted {}")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument(
        "--older-than",
        type=duration,
        metavar="DURATION",
        help="those that ended longer ago than this, as 12h or 7d, whatever their keep; else those whose keep is over",
    )
    state_argument(parser)
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--task", help="only jobs of the task of this name")
    care_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Delete ended jobs."""
    filters = {"state": options.state, "queue": options.queue, "task": options.task}
    if options.older_than is None and any(filters.values()):
        raise Nonsense("--state, --queue and --task need --older-than; without it, each job's own keep decides")
    if waiting := [state for state in options.state or () if not State(state).final]:
        raise Nonsense(f"--state {waiting[0]}: prune deletes ended jobs only; delete takes waiting ones as well")
    if options.older_than is None:
        options.yes = True  # workers do the same by themselves
    jobs = find_jobs(options).jobs
    return change_many(options, COMMAND, partial(jobs.prune, options.older_than, **filters))
