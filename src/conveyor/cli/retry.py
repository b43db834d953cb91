"""``conveyor retry``."""

import argparse
from functools import partial
from typing import Final

from conveyor.cli.changing import Command, Verdict, change, change_arguments
from conveyor.cli.filters import given_filters
from conveyor.core.errors import DuplicateJob
from conveyor.core.lifecycle import State
from conveyor.job import Job

COMMAND: Final = Command("retry", "make {} ready", "made {} ready", "whose unique key another holds by now")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    change_arguments(parser, "every failed and quarantined job")


def run(options: argparse.Namespace) -> int:
    """Run jobs now; without --state, options other than ids mean failed and quarantined ones."""
    filters = given_filters(options)
    return change(options, COMMAND, _one, lambda app: partial(app.jobs.retry, everything=options.all, **filters))


def _one(job: Job[object], dry_run: bool) -> Verdict:  # noqa: FBT001 - as One has it
    if job.state is State.RUNNING:
        return Verdict(left="it is running", well=False)
    if job.state is State.READY:
        return Verdict(left="it is ready already")
    if not dry_run:
        try:
            job.retry()
        except DuplicateJob as error:
            return Verdict(left=str(error), well=False)
    return Verdict("ready")
