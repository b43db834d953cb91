"""A process that enqueues without end: ``python -m conveyor.cli.chaos.producer --rate 60``. SIGTERM ends it.

What it may be told is a success or one of two errors; anything else ends it, with a traceback.
"""

import argparse
import os
import random
import signal
import threading
from pathlib import Path

from conveyor.cli.chaos.history import History
from conveyor.cli.chaos.mixture import CalledOff, Doomed, everyday
from conveyor.cli.chaos.sending import calls, enqueue
from conveyor.cli.chaos.tables import sqlite
from conveyor.cli.chaos.tasks import made
from conveyor.cli.chaos.tree import RUN


def main() -> None:
    """Enqueue."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=60.0, help="jobs a second, at most")
    parser.add_argument("--slow", type=float, default=0.3, help="seconds that some of them take")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--everyday", action="store_true", help="jobs of all kinds, as for a soak")
    options = parser.parse_args()
    end = threading.Event()

    def leave(*_: object) -> None:
        end.set()

    signal.signal(signal.SIGTERM, leave)
    folder, url = Path(os.environ[RUN]), os.environ["CONVEYOR_URL"]
    history = History(folder)
    chance = random.Random(options.seed)  # noqa: S311 - no secret: a seed gives the same load again
    # a transaction holds SQLite's only write lock: the others wait
    paying = 0.005 if sqlite(url) else 0.05
    tasks = made(url, folder)
    mixture = everyday(tasks, chance, options.slow, paying) if options.everyday else calls(tasks, options.slow, paying)
    off = CalledOff(tasks.app, chance)
    while not end.wait(chance.expovariate(options.rate)):
        (call,) = chance.choices(list(mixture), list(mixture.values()))
        job = enqueue(call, history)
        if job and isinstance(call, Doomed):
            off.soon(job)
        off.look()


if __name__ == "__main__":
    main()
