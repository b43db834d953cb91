"""``conveyor jobs``."""

import argparse

from conveyor.cli.filters import filter_arguments, given_filters
from conveyor.cli.hints import unknown
from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import age, job_json, say, say_json, table
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo

ERROR_LENGTH = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    filter_arguments(parser)
    parser.add_argument("--limit", type=int, default=20, help="how many, at most 1000 (20)")
    parser.add_argument("--after", metavar="ID", help="the next page: what comes after the job of this id")
    parser.add_argument("--oldest-first", action="store_true", help="the other way round")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """List jobs, newest first."""
    app = find_jobs(options)
    found = app.jobs.list(
        limit=options.limit, after=options.after, oldest_first=options.oldest_first, **given_filters(options)
    )
    if options.json:
        say_json([job_json(info) for info in found])
        return 0
    if not found:
        hint = unknown(app, queue=options.queue, task=options.task)
        say(f"no such jobs: {hint}" if hint else "no such jobs")
        return 0
    table(("ID", "TASK", "QUEUE", "STATE", "ATTEMPT", "AGE", "ERROR"), [_row(info) for info in found])
    if len(found) == options.limit:
        say(f"next page: --after {found[-1].id}")
    return 0


def _row(info: JobInfo) -> tuple[str, ...]:
    error = info.cancelled if info.state is State.CANCELLED else info.error
    attempt = f"{info.attempt}/{info.max_attempts}"
    return (info.id, info.task, info.queue, info.state, attempt, age(info.enqueued_at), str(error or "")[:ERROR_LENGTH])
