"""``conveyor dev``: a worker for while you write: it has the tables made, and runs the code as it is now."""

import argparse

from conveyor.cli.dev.child import work
from conveyor.cli.dev.keeper import Keeper
from conveyor.cli.dev.tree import Tree, folders
from conveyor.cli.lookup import name_app
from conveyor.cli.serving import parse_queues
from conveyor.cli.worker import work_arguments

GRACE = 2.0
"""Who has saved a file does not want to wait; a job that is released runs again at once, with the new code."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    work_arguments(parser, grace=GRACE)
    parser.add_argument(
        "--no-reload",
        action="store_true",
        help="restart for nothing: the worker runs in this very process, where breakpoint() works",
    )


def run(options: argparse.Namespace) -> int:
    """Work until Ctrl+C."""
    target = name_app(options)
    parse_queues(options.queues or ["default"])  # what makes no sense now will make none after a change
    if options.no_reload:
        return work(options)
    return Keeper(Tree(folders(target)), options).run()
