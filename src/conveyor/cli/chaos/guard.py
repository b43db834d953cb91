"""Ends what a run has started, when the run itself was killed and could not: ``python -m conveyor.cli.chaos.guard``."""

import os
import signal
import sys
from pathlib import Path

from conveyor.cli.chaos import left, tree


def main() -> None:
    """Wait for the other end of standard input to be closed, by whoever or whatever."""
    os.read(sys.stdin.fileno(), 1)
    folder = os.environ[tree.RUN]
    made = list(left.noted(Path(folder)))
    for group in [one.name for one in made if one.kind == "group"]:
        left.thaw(Path(group))
    others = tree.family(tree.RUN, folder).keys() - {os.getpid()}
    tree.send(others, signal.SIGKILL)
    if made:
        tree.gone(others)
    for one in made:
        left.remove(one)


if __name__ == "__main__":
    main()
