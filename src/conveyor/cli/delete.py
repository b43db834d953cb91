"""``conveyor delete``."""

import argparse
from functools import partial
from typing import Final

from conveyor.cli.changing import Command, Verdict, change, change_arguments
from conveyor.cli.filters import given_filters
from conveyor.core.errors import ConveyorError, JobNotFound
from conveyor.core.lifecycle import State
from conveyor.job import Job

COMMAND: Final = Command("delete", "delete {}", "deleted {}")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    change_arguments(parser, "every job that waits or has ended")


def run(options: argparse.Namespace) -> int:
    """Delete jobs."""
    filters = given_filters(options)
    return change(options, COMMAND, _one, lambda app: partial(app.jobs.delete, everything=options.all, **filters))


def _one(job: Job[object], dry_run: bool) -> Verdict:  # noqa: FBT001 - as One has it
    if job.state is State.RUNNING:
        return Verdict(left="it is running; cancel it first", well=False)
    if not dry_run:
        try:
            job.delete()
        except JobNotFound:
            return Verdict("deleted")  # somebody else was quicker
        except ConveyorError as error:
            if type(error) is not ConveyorError:
                raise  # the store's trouble, not the job's
            return Verdict(left="it has begun to run; cancel it first", well=False)
    return Verdict("deleted")
