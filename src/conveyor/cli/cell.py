"""The process that a worker runs plain functions in: ``python -m conveyor.cli.cell``. Nobody else starts it."""

import argparse
import ctypes
import logging
import os
import signal
import sys
from typing import Final, NoReturn

from conveyor.cli import leave
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.lookup import BrokenApp, app_arguments, find_app, shown
from conveyor.worker.cell.capture import capture_streams
from conveyor.worker.cell.process import Cell, Ends, opened

DIE_WITH_PARENT: Final = 1
"""``PR_SET_PDEATHSIG`` of Linux."""


def parsed() -> argparse.Namespace:
    """What it was started with."""
    parser = argparse.ArgumentParser(prog="conveyor cell")
    app_arguments(parser)
    for name in ("--log-level", "--log-format"):
        parser.add_argument(name, required=True)
    for name in ("--socket", "--board", "--notes", "--index", "--parent"):
        parser.add_argument(name, type=int, required=True)
    return parser.parse_args()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when *parent* dies, where it can; it may have died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> NoReturn:
    """The process; ends when its worker says so, or is gone."""
    options = parsed()
    die_with(options.parent)
    # No outlet: it has a descriptor of its own, which a task may close, and open a file of the user's under its number.
    log_to_stderr(options.log_level, options.log_format, logging.StreamHandler())
    ends = Ends(options.socket, options.board, options.index, options.notes)
    wire, notes = opened(ends)
    capture_streams(notes)
    cell = Cell(wire, ends, notes)
    try:
        app = find_app(options)
        app.run_cell(cell)
    except Exception as error:  # noqa: BLE001 - whatever the app or its lifespan raised, the worker is to say it
        raised = shown(error.__cause__ if isinstance(error, BrokenApp) else error)
        cell.broken(f"{error}\n{raised}".strip())
        leave(1)
    leave(0)


if __name__ == "__main__":
    main()
