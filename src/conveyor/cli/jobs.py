"""``conveyor jobs``."""

import argparse

from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import age, job_json, say, say_json, table
from conveyor.core.lifecycle import State


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("--state", choices=[state.value for state in State], metavar="STATE", help=", ".join(State))
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--task", help="only jobs of the task of this name")
    parser.add_argument("--limit", type=int, default=20, help="how many, at most 1000 (20)")
    parser.add_argument("--after", metavar="ID", help="the next page: what comes after the job of this id")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """List jobs, newest first."""
    app = find_jobs(options)
    found = app.jobs.list(
        state=options.state,
        queue=options.queue,
        task=options.task,
        limit=options.limit,
        after=options.after,
    )
    if options.json:
        say_json([job_json(info) for info in found])
        return 0
    if not found:
        say("no such jobs")
        return 0
    table(
        ("ID", "TASK", "QUEUE", "STATE", "ATTEMPT", "AGE", "ERROR"),
        [
            (
                info.id,
                info.task,
                info.queue,
                info.state,
                f"{info.attempt}/{info.max_attempts}",
                age(info.enqueued_at),
                " ".join(str(info.error or "").split())[:60],
            )
            for info in found
        ],
    )
    if len(found) == options.limit:
        say(f"next page: --after {found[-1].id}")
    return 0
