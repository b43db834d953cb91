"""The options of a worker that are about the processes for plain functions."""

import argparse
import contextlib
import sys
from typing import Final

from conveyor.app import Conveyor
from conveyor.cli.lookup import in_memory, name_app
from conveyor.core.errors import PayloadError
from conveyor.core.size import size
from conveyor.worker.cell.settings import AGE, JOBS, MEMORY, CellSettings

DAY: Final = 86_400


def cell_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say how many processes for plain functions there are, and how long each lives."""
    parser.add_argument(
        "--cells",
        type=_number,
        metavar="N",
        help="processes for plain functions, one job each at a time; they are started when needed "
        "(default: as many as there are slots)",
    )
    parser.add_argument(
        "--cell-jobs", type=_number, default=JOBS, metavar="N", help=f"jobs until one is replaced ({JOBS:,})"
    )
    parser.add_argument(
        "--cell-memory",
        type=_size,
        default=MEMORY,
        metavar="SIZE",
        help="memory that one may keep between jobs until it is replaced (512MB)",
    )
    parser.add_argument(
        "--cell-age", type=seconds, default=AGE, metavar="SECONDS", help=f"seconds until one is replaced ({AGE:g})"
    )


def cells(app: Conveyor, options: argparse.Namespace) -> CellSettings | None:
    """The processes for plain functions, as the user wants them; a store in memory is seen by no other process."""
    if in_memory(app):
        return None
    return CellSettings(
        command(options),
        count=options.cells,
        jobs=options.cell_jobs,
        memory=options.cell_memory,
        age=options.cell_age,
    )


def command(options: argparse.Namespace) -> tuple[str, ...]:
    """How to start a cell for a worker with these *options*; its descriptors are added by who starts it."""
    words = [sys.executable, "-P", "-m", "conveyor.cli.cell", "--app", name_app(options)]
    if options.store:
        words += ["--store", options.store]
    return (*words, "--log-level", options.log_level, "--log-format", options.log_format)


def _number(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"{text} must be a whole number from 1 on")


def _size(text: str) -> int:
    try:
        return size("--cell-memory", int(text) if text.isdecimal() else text)
    except PayloadError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """As an option gives them."""
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) <= DAY:
            return value
    raise argparse.ArgumentTypeError(f"{text} must lie between 0 and 86400 seconds")
