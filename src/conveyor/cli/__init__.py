"""The command line. Each command is a file; this one only finds it, and turns errors into one line."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn

from conveyor.core.errors import ConveyorError
from conveyor.core.version import __version__

COMMANDS: Final = {
    "demo": "run real jobs on real files, and draw a report",
    "worker": "run jobs until told to stop",
    "migrate": "make or update the store's tables",
    "status": "show jobs by state, and the workers",
    "jobs": "list jobs, newest first",
    "why": "say what a job waits for",
    "bench": "measure this machine and store",
}

LEAVE: Final = 0.2
"""Seconds that a thread gets to end by itself."""


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    parser = Parser(prog="conveyor", description="Background jobs for Python, in the database you already have.")
    parser.add_argument("--version", action="version", version=f"conveyor {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    words = list(sys.argv[1:] if argv is None else argv)
    asked = next((word for word in words if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name == asked:  # only the command that is asked for pays for its import
            import_module(f"conveyor.cli.{name}").arguments(command)
    options = parser.parse_args(words)
    return _run(options)


def entry() -> NoReturn:
    """The console command: ``main``, and the end of the process.

    Threads that a user's code left running must not keep it alive: their jobs have been given to others.
    """
    status = main()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join(LEAVE)  # most are only about to end
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _run(options: argparse.Namespace) -> int:
    try:
        status: int = import_module(f"conveyor.cli.{options.command}").run(options)
        sys.stdout.flush()  # here, where a reader that has gone is no error, and not at exit
    except BrokenPipeError:
        # The reader has gone (`conveyor jobs | head`): not an error, but the interpreter would report one at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ConveyorError, OSError) as error:
        sys.stderr.write(f"conveyor {options.command}: {' '.join(str(error).split())}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return status
