"""``conveyor failures``: the dead letters, sorted."""

import argparse

from conveyor.cli.filters import filter_arguments, given_filters
from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import age, clean, counted, say, say_json, stamp, table
from conveyor.core.lifecycle import State
from conveyor.core.model import FailureGroup


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    filter_arguments(parser)
    parser.add_argument("--limit", type=int, default=20, help="how many errors, at most 1000 (20)")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Show what ended with an error: one line for each error, the most frequent first."""
    app, filters = find_jobs(options), given_filters(options)
    groups = app.jobs.failures(limit=options.limit, **filters)
    if options.json:
        say_json([_as_json(group) for group in groups])
        return 0
    if not groups:
        say("no failures")
        return 0
    table(("FINGERPRINT", "JOBS", "TASK", "FIRST", "LATEST", "ERROR"), [_as_row(group) for group in groups])
    say()
    first = groups[0]
    for what, command in (
        ("the latest of them", f"conveyor job {first.sample}"),
        ("all of them", f"conveyor jobs --error {first.fingerprint}"),
        ("run them again", f"conveyor retry --error {first.fingerprint} --dry-run"),
    ):
        say(clean(f"{what + ':':<20}{command}"))
    if options.state is None or State.QUARANTINED in options.state:
        filters["state"] = State.QUARANTINED
        held = app.jobs.counts(**filters)[State.QUARANTINED]
        if held:
            say(
                f"{counted(held)} are in quarantine:  conveyor jobs --state quarantined, conveyor retry ID releases one"
            )
    return 0


def _as_row(group: FailureGroup) -> tuple[str, ...]:
    first, latest = age(group.first), age(group.latest)
    return (group.fingerprint, f"{group.jobs:,}", group.task, first, latest, str(group.error))


def _as_json(group: FailureGroup) -> dict[str, object]:
    return {
        "fingerprint": group.fingerprint,
        "jobs": group.jobs,
        "task": group.task,
        "error": str(group.error),
        "traceback": group.error.traceback,
        "first": stamp(group.first),
        "latest": stamp(group.latest),
        "sample": group.sample,
    }
