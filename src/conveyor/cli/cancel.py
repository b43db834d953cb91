"""``conveyor cancel``."""

import argparse
from functools import partial
from typing import Final

from conveyor.cli.changing import Command, Verdict, change, change_arguments
from conveyor.cli.filters import given_filters
from conveyor.core.lifecycle import State
from conveyor.core.text import free_text
from conveyor.job import REASON_LENGTH, Job

COMMAND: Final = Command("cancel", "cancel {}", "cancelled {}")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    change_arguments(parser, "every job that waits or runs")
    parser.add_argument("--reason", default="cancelled by hand", help="why, kept with the job (cancelled by hand)")


def run(options: argparse.Namespace) -> int:
    """Cancel jobs."""
    reason = free_text("--reason", options.reason, REASON_LENGTH)
    filters = given_filters(options)
    return change(
        options,
        COMMAND,
        partial(_one, reason),
        lambda app: partial(app.jobs.cancel, reason=reason, everything=options.all, **filters),
    )


def _one(reason: str, job: Job[object], dry_run: bool) -> Verdict:  # noqa: FBT001 - as One has it
    if job.state.final:
        return Verdict(left="it has ended already", well=job.state is State.CANCELLED)
    info = job.info
    if info is not None and info.cancelled is not None:
        return Verdict(left=f"it was asked to stop already ({info.cancelled})")
    after = job.state if dry_run else job.cancel(reason)
    if after is State.RUNNING:
        return Verdict("asked to stop")
    if after is State.CANCELLED or dry_run:
        return Verdict("cancelled")
    return Verdict(left=f"it is {after} by now", well=False)
