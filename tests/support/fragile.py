"""``conveyor worker`` that dies where a test says: ``python -m tests.support.fragile OPTIONS`` (P02).

A point is armed by a file of its name in the folder of the history. The first process that comes there takes the file
away, and is gone, as by ``kill -9``.
"""

import functools
import os
import sys
from collections.abc import Callable

from conveyor.cli import leave
from conveyor.cli import main as command
from conveyor.worker.cell.handle import Handle
from conveyor.worker.cell.process import Cell
from conveyor.worker.execute import Executor
from conveyor.worker.heartbeat import Heartbeat
from conveyor.worker.settle import Settler
from tests.faults.tasks import app, history

__all__ = ["app"]

BEFORE = {
    "claimed, not accepted": (Executor, "accept"),
    "over in the cell, not heard of": (Handle, "_ended"),
    "over, not said by the cell": (Cell, "_end"),
    "lease not renewed": (Heartbeat, "_renewed"),
}
BEHIND = {
    "given to a cell": (Handle, "_flush"),
    "judged, not written": (Settler, "put"),
    "lease renewed": (Heartbeat, "_renewed"),
    "lease ended, nothing taken back": (Heartbeat, "stop"),
}
POINTS = (*BEFORE, *BEHIND)


def die(point: str) -> None:
    """If it is armed."""
    try:
        (history.folder / point).unlink()
    except FileNotFoundError:
        return
    os._exit(137)


def deadly(call: Callable[..., object], before: str, behind: str) -> Callable[..., object]:
    """*call*, and the points around it."""

    @functools.wraps(call)
    def deadly_call(*args: object, **kwargs: object) -> object:
        die(before) if before else None
        result = call(*args, **kwargs)
        die(behind) if behind else None
        return result

    return deadly_call


for point, (owner, name) in BEFORE.items():
    setattr(owner, name, deadly(getattr(owner, name), point, ""))
for point, (owner, name) in BEHIND.items():
    setattr(owner, name, deadly(getattr(owner, name), "", point))

if __name__ == "__main__":
    leave(command(["worker", "--app", "tests.support.fragile:app", *sys.argv[1:]]))
