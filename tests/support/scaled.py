"""``conveyor worker`` that is quick to see how many runners it needs: ``python -m tests.support.scaled OPTIONS``."""

import sys
from functools import partial

from conveyor.cli import leave, worker
from conveyor.cli import main as command
from conveyor.worker.supervisor.tending import Autoscale

worker.Autoscale = partial(Autoscale, look=0.2, calm=1.0)  # type: ignore[assignment, attr-defined]  # only the times

if __name__ == "__main__":
    leave(command(["worker", "--app", "tests.faults.tasks:app", *sys.argv[1:]]))
