"""Ends what a run has started, when the run itself was killed and could not: ``python -m conveyor.cli.chaos.guard``."""

import os
import signal
import sys

from conveyor.cli.chaos import tree


def main() -> None:
    """Wait for the other end of standard input to be closed, by whoever or whatever."""
    os.read(sys.stdin.fileno(), 1)
    others = tree.family(tree.RUN, os.environ[tree.RUN]).keys() - {os.getpid()}
    tree.send(others, signal.SIGKILL)


if __name__ == "__main__":
    main()
