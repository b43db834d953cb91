"""Cells that run nothing and take nothing in: stopped from outside, or deadlocked between two jobs."""

import logging
from typing import Final

from conveyor.worker.board import Killed
from conveyor.worker.cell.handle import Handle

logger = logging.getLogger("conveyor.worker")

SLOW_START: Final = 60.0
"""Seconds that an app may take to be imported."""
SILENT: Final = 10.0
"""Seconds that a cell which runs nothing may take to begin what it was given, or to give it back."""


def stuck(cell: Handle, now: float) -> bool:
    """Whether it has to be killed, which then costs no job an attempt; written down and logged is why."""
    if not cell.is_ready:
        if now - cell.started > SLOW_START:
            cell.trouble = cell.trouble or f"the app was not imported within {SLOW_START:.0f} s"
        return now - cell.started > SLOW_START
    if cell.row.killed or not _silent(cell, now):
        return False
    cell.drain()  # the event loop may have been blocked for so long, and the answer lie unread
    if not _silent(cell, now):
        return False
    logger.warning("process %s for plain functions has begun nothing for %.0f s: it is killed", cell.pid, SILENT)
    cell.leaving, cell.row.killed = True, Killed.BYSTANDER
    return True


def _silent(cell: Handle, now: float) -> bool:
    """A job that has begun, and holds the interpreter's lock, has a deadline of its own, or none on purpose."""
    if cell.row.seq in cell.hand:
        return False
    waits = bool(cell.hand) and now - cell.begun > SILENT
    return waits or (cell.asked_back and now - cell.asked > SILENT)
