"""``conveyor worker``."""

import argparse
import asyncio
import contextlib
import json
import math
from datetime import timedelta
from importlib.util import find_spec

from conveyor.cli.cells import DAY, cell_arguments, seconds
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.lookup import app_arguments, name_app
from conveyor.cli.metrics import Metrics
from conveyor.cli.serving import parse_queues
from conveyor.cli.times import duration
from conveyor.client.queues import TARGET
from conveyor.core.clock import SystemClock
from conveyor.core.errors import UsageError
from conveyor.store.contract import Store
from conveyor.store.openers import open_store
from conveyor.worker.supervisor.main import Supervisor
from conveyor.worker.supervisor.tending import MOST, Autoscale, Tending

BEAT = 5.0
RESCUE = 5.0
LOOK = 1.0
HIGHEST = 65_536
OURS = frozenset({"autoscale", "processes", "target_wait", "http", "drain"})
"""Options that are nothing to a runner."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    work_arguments(parser, grace=30.0)
    cell_arguments(parser)
    parser.add_argument("--burst", action="store_true", help="end when nothing is due any more")
    parser.add_argument(
        "--processes",
        type=_processes,
        metavar="N",
        help="runners, each an event loop that claims for itself (1); one for each core at most",
    )
    parser.add_argument(
        "--autoscale",
        type=_range,
        metavar="MIN,MAX",
        help="as many runners as the queues need, instead of --processes; cells come and go with the work anyway",
    )
    parser.add_argument(
        "--target-wait",
        type=duration,
        default=timedelta(seconds=TARGET),
        metavar="DURATION",
        help=f"with --autoscale: within which a due job should start ({TARGET:g}s)",
    )
    parser.add_argument(
        "--drain", action="store_true", help="after a signal, wait for running jobs however long they take"
    )
    parser.add_argument(
        "--http",
        type=_address,
        metavar="HOST:PORT",
        help="answer /healthz, /readyz and, with conveyor[prometheus], /metrics there (default: nowhere)",
    )
    parser.add_argument(
        "--lease", type=seconds, default=20.0, help="seconds of silence after which others take its jobs (20)"
    )
    parser.add_argument(
        "--beat", type=seconds, help="seconds between its signs of life, at most half of the lease (5, or a quarter)"
    )


def work_arguments(parser: argparse.ArgumentParser, *, grace: float) -> None:
    """The options that say how a worker works."""
    app_arguments(parser)
    parser.add_argument(
        "-q",
        "--queues",
        action="append",
        metavar="NAME=SLOTS,...",
        help="queues and how many jobs of each may run at a time, as mail=2,default=10 (default: 10 for each "
        "queue that the app's tasks name)",
    )
    parser.add_argument(
        "--grace", type=seconds, default=grace, help=f"seconds for running jobs after a signal ({grace:g})"
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        help="what is logged: this and worse (info)",
    )
    parser.add_argument("--log-format", default="text", choices=["text", "json"], help="how it is logged (text)")


def run(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    log_to_stderr(options.log_level, options.log_format)
    name_app(options)
    if options.queues:
        parse_queues(options.queues)
    beat = min(BEAT, options.lease / 4) if options.beat is None else options.beat
    if not 0 < beat <= options.lease / 2:
        raise UsageError(f"--beat {beat:g} must be above 0 and at most half of --lease {options.lease:g}")
    least, autoscale = _runners(options)
    grace = math.inf if options.drain else options.grace
    given = {name: value for name, value in vars(options).items() if name not in OURS}
    given |= {"beat": beat, "grace": DAY if options.drain else options.grace}
    tending = Tending(
        ("-P", "-m", "conveyor.cli.runner", json.dumps(given)),
        processes=least,
        autoscale=autoscale,
        grace=grace,
        lease=options.lease,
        beat=beat,
        rescue=min(RESCUE, options.lease / 4),
        look=min(LOOK, options.lease / 20),
        burst=options.burst,
        http=options.http,
    )
    return asyncio.run(supervise(tending))


async def supervise(tending: Tending) -> int:
    """Watch over runners until told to stop."""
    metrics = _metrics() if tending.http else None

    def opened(url: str, listen: str | None) -> Store:
        if metrics is not None:
            metrics.knows(url, listen)
        return open_store(url, SystemClock(), listen)

    return await Supervisor(tending, opened, metrics).run()


def _runners(options: argparse.Namespace) -> tuple[int, Autoscale | None]:
    """How many at least, and how there come to be more."""
    if options.autoscale is None:
        return options.processes or 1, None
    if options.processes is not None:
        raise UsageError("--autoscale says how many runners there are; leave out --processes")
    if options.burst:
        raise UsageError("--autoscale is for workers that stay; a --burst has --processes runners")
    if not options.target_wait:
        raise UsageError("--target-wait must be above 0: no number of runners starts a job before it is due")
    least, most = options.autoscale
    return least, Autoscale(most, options.target_wait) if most > least else None


def _metrics() -> Metrics | None:
    """``/metrics``, where the library for it is installed."""
    return Metrics() if find_spec("prometheus_client") else None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if port.isdecimal() and int(port) < HIGHEST:
        return host.strip("[]") or "127.0.0.1", int(port)
    raise argparse.ArgumentTypeError(f"{text}: write HOST:PORT, as in 127.0.0.1:8081; 0.0.0.0:8081 for all to ask")


def _processes(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 < (value := int(text)) <= MOST:
            return value
    raise argparse.ArgumentTypeError(f"{text} must be a whole number from 1 to {MOST}")


def _range(text: str) -> tuple[int, int]:
    least, _, most = text.partition(",")
    with contextlib.suppress(ValueError):
        if 0 < (low := int(least)) <= (high := int(most)) <= MOST:
            return low, high
    raise argparse.ArgumentTypeError(f"{text}: write MIN,MAX, as in 1,4, with runners from 1 to {MOST}")
