"""The command line. Each command is a file; this one only finds it, and turns errors into one line."""

import argparse
import io
import logging
import os
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Final, NoReturn

from conveyor.cli.words import Nonsense, Parser, complain
from conveyor.core.errors import ConveyorError
from conveyor.core.version import __version__

COMMANDS: Final = {
    "demo": "run real jobs on real files, and draw a report",
    "dev": "migrate, run a worker, and restart it when your code changes",
    "worker": "run jobs until told to stop",
    "migrate": "make or update the store's tables",
    "move": "move all jobs and schedules to another store",
    "status": "show jobs by state, and the workers",
    "queues": "show the queues; pause and resume them",
    "schedules": "show the schedules; compare them with the code; pause, resume and preview them",
    "jobs": "list jobs, newest first",
    "job": "show all that is known of one job",
    "why": "say what a job waits for",
    "failures": "show what failed, grouped by error",
    "retry": "run jobs now, those that have ended once more",
    "cancel": "cancel waiting jobs, and ask running ones to stop",
    "delete": "delete jobs, and all that is known of them",
    "prune": "delete ended jobs that were kept long enough",
    "doctor": "look for what is wrong, and say what to do",
    "health": "say whether the workers of this machine make progress",
    "check-deploy": "list waiting jobs, and schedules of jobs, that your code could not run",
    "bench": "measure this machine and store",
    "chaos": "break what may break, and see whether jobs are lost or doubled",
    "completion": "print a script that completes these commands in your shell",
}

APART: Final = {"bench", "chaos"}
"""Commands that are a file of a package, most of which their own workers load without them."""
LEAVE: Final = 0.2
"""Seconds that a thread gets to end by itself."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        parser, commands = build([word for word in words if word in COMMANDS][:1])
        options, unknown = parser.parse_known_args(words)
        if unknown:
            commands[options.command].gather(options, unknown)
        return _run(options)
    except KeyboardInterrupt:
        return 130


def build(wanted: Collection[str]) -> tuple[Parser, Mapping[str, Parser]]:
    """The parser of the command line, and those of the commands.

    Only the commands *wanted* know their options: each costs the import of what it needs.
    """
    parser = Parser(prog="conveyor", description="Background jobs for Python, in the database you already have.")
    parser.add_argument("--version", action="version", version=f"conveyor {__version__}", help="show the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name in wanted:
            module(name).arguments(command)
    return parser, commands.choices


def module(command: str) -> ModuleType:
    """The file of a command."""
    name = f"conveyor.cli.{command.replace('-', '_')}"
    return import_module(f"{name}.command" if command in APART else name)


def entry() -> NoReturn:
    """The console command: ``main``, and the end of the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    leave(main())


def leave(status: int) -> NoReturn:
    """End the process.

    Threads that a user's code left running must not keep it alive: their jobs have been given to others.
    """
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
        status: int = module(options.command).run(options)
        sys.stdout.flush()  # here, where a reader that has gone is no error, and not at exit
    except BrokenPipeError:
        # The reader has gone (`conveyor jobs | head`): not an error, but the interpreter would report one at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ConveyorError, OSError) as error:
        complain(options.command, str(error))
        return 2 if isinstance(error, Nonsense) else 1
    return status
