"""The options that say which jobs, the same for all commands that list or change jobs."""

import argparse

from conveyor.cli.times import moment
from conveyor.client.filters import Filters
from conveyor.core.lifecycle import State

TIME = "a time with its zone (2030-01-31T12:00Z), or how long ago (2h, 7d)"


def filter_arguments(parser: argparse.ArgumentParser) -> None:
    """Conditions on jobs; all that are given must hold."""
    state_argument(parser)
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--task", help="only jobs of the task of this name")
    parser.add_argument("--tag", help="only jobs with this tag")
    parser.add_argument(
        "--error", metavar="FINGERPRINT", help="only jobs ended by this error, as `conveyor failures` names it"
    )
    parser.add_argument("--enqueued-after", type=moment, metavar="TIME", help=f"only jobs enqueued since {TIME}")
    parser.add_argument("--enqueued-before", type=moment, metavar="TIME", help=f"only jobs enqueued before {TIME}")
    parser.add_argument("--finished-before", type=moment, metavar="TIME", help=f"only jobs that ended before {TIME}")


def state_argument(parser: argparse.ArgumentParser) -> None:
    """The condition on the state."""
    names = [state.value for state in State]
    parser.add_argument(
        "--state",
        action="append",
        choices=names,
        metavar="STATE",
        help=f"only jobs in this state, which may be given several times: {', '.join(names)}",
    )


def given_filters(options: argparse.Namespace) -> Filters:
    """What the user has given of them."""
    return Filters(
        state=options.state,
        queue=options.queue,
        task=options.task,
        tag=options.tag,
        error=options.error,
        enqueued_after=options.enqueued_after,
        enqueued_before=options.enqueued_before,
        finished_before=options.finished_before,
    )


def any_given(filters: Filters) -> bool:
    """Whether there is a condition at all."""
    return any(value is not None for value in filters.values())
