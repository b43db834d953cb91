"""``conveyor migrate``."""

import argparse

from conveyor.cli.lookup import app_arguments, find_store, whole_url
from conveyor.cli.output import say


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Apply what is missing; safe at every deploy, and with several at once."""
    app = find_store(options)
    applied = app.migrate()
    for name in applied:
        say(f"applied {name}")
    say(f"{whole_url(app)} is up to date")
    return 0
