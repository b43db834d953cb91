"""``conveyor migrate``."""

import argparse
from datetime import timedelta

from conveyor.app import Conveyor
from conveyor.cli.lookup import app_arguments, find_store, whole_url
from conveyor.cli.output import say
from conveyor.cli.times import duration


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="change nothing: say what is missing; status 1 if any is")
    instead.add_argument(
        "--sql",
        nargs=2,
        type=int,
        metavar=("FROM", "TO"),
        help="change nothing: print what would be run on PostgreSQL to bring the tables from one migration to another, "
        "as 0 2; for psql",
    )
    parser.add_argument(
        "--lock-timeout",
        type=duration,
        default=timedelta(seconds=3),
        metavar="DURATION",
        help="how long to wait for a table at a time, while all who want it wait behind; then to let them pass and try "
        "again (3s)",
    )


def run(options: argparse.Namespace) -> int:
    """Apply what is missing; safe at every deploy, and with several at once."""
    app = find_store(options)
    if options.check:
        return _check(app)
    patience = options.lock_timeout.total_seconds()
    if options.sql:
        say(app.migrations.sql(*options.sql, lock_timeout=patience).rstrip("\n"))
        return 0
    for name in app.migrate(lock_timeout=patience):
        say(f"applied {name}")
    say(f"{_stores(app)} up to date")
    return 0


def _stores(app: Conveyor) -> str:
    """Which they are, and the verb."""
    outbox = app.outbox
    return f"{whole_url(app)} is" if outbox is None else f"{whole_url(app)} and its outbox {outbox.url} are"


def _check(app: Conveyor) -> int:
    missing = app.migrations.pending()
    for name in missing:
        say(f"missing {name}")
    say(f"{whole_url(app)} needs `conveyor migrate`" if missing else f"{_stores(app)} up to date")
    return bool(missing)
