"""``conveyor bench``: what this machine and this store can do, with the settings that anyone would use."""

import argparse
import os
import platform
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from conveyor.app import Conveyor
from conveyor.cli.bench.measure import Figures, drain, enqueue, latency
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.lookup import store_argument
from conveyor.cli.output import say, say_json
from conveyor.core.errors import UsageError

MEASURES: Final[dict[str, Callable[[Conveyor, str, argparse.Namespace], Figures]]] = {
    "enqueue": lambda app, queue, options: enqueue(app, queue, options.jobs),
    "drain": lambda app, queue, options: drain(app, queue, options.jobs, options.slots),
    "latency": lambda app, queue, options: latency(app, queue, options.rate, options.seconds),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "what", nargs="*", choices=list(MEASURES), metavar="WHAT", help=f"{', '.join(MEASURES)} (all of them)"
    )
    store_argument(parser)
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs to enqueue and to drain (20000)")
    parser.add_argument("--slots", type=int, default=200, help="how many run at a time in drain (200)")
    parser.add_argument("--rate", type=float, default=20.0, help="jobs per second in latency (20)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long latency is measured (10)")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Measure, and print the figures."""
    log_to_stderr("warning", "text")
    if min(options.jobs, options.slots, options.rate, options.seconds) <= 0:
        raise UsageError("--jobs, --slots, --rate and --seconds must be more than 0")
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as scratch:
        url = options.store or f"sqlite:///{Path(scratch) / 'bench.db'}"
        figures = {what: _measured(url, what, options) for what in options.what or MEASURES}
    about = {"store": Conveyor(url).store.url, "python": platform.python_version(), "cores": os.cpu_count()}
    if options.json:
        say_json({**about, "figures": figures})
    else:
        say("  ".join(f"{name} {value}" for name, value in about.items()))
        for what, rows in figures.items():
            for name, value in rows.items():
                say(f"{what:<8} {name:<34} {value:>12,.2f}" if value < 100 else f"{what:<8} {name:<34} {value:>12,.0f}")  # noqa: PLR2004 - decimals where they tell something
    return 0


def _measured(url: str, what: str, options: argparse.Namespace) -> Figures:
    """One measure, in a queue of its own: jobs of others in the same store are left alone."""
    app = Conveyor(url)
    app.migrate()
    try:
        return MEASURES[what](app, f"bench-{secrets.token_hex(4)}", options)
    finally:
        app.close()
