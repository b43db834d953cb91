"""A process that enqueues without end: ``python -m conveyor.cli.chaos.producer --rate 60``. SIGTERM ends it.

What it may be told is a success or one of two errors; anything else ends it, with a traceback.
"""

import argparse
import os
import random
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from conveyor.cli.chaos.buying import Buyer
from conveyor.cli.chaos.history import History
from conveyor.cli.chaos.mixture import CalledOff, Doomed, everyday
from conveyor.cli.chaos.sending import Enqueue, awaited, calls, enqueue
from conveyor.cli.chaos.tables import connected, sqlite
from conveyor.cli.chaos.tasks import Tasks, made
from conveyor.cli.chaos.tree import RUN


def main() -> None:
    """Enqueue."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=60.0, help="jobs a second, at most")
    parser.add_argument("--slow", type=float, default=0.3, help="seconds that some of them take")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--everyday", action="store_true", help="jobs of all kinds, as for a soak")
    parser.add_argument(
        "--within", action="store_true", help="transactions instead, of some jobs each, into the outbox"
    )
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
    if options.within:
        mixture = awaited(tasks, options.slow)
    elif options.everyday:
        mixture = everyday(tasks, chance, options.slow, paying)
    else:
        mixture = calls(tasks, options.slow, paying)
    with _acting(tasks, mixture, chance, history, within=options.within) as act:
        while not end.wait(chance.expovariate(options.rate)):
            act()


@contextmanager
def _acting(
    tasks: Tasks, mixture: Mapping[Enqueue, int], chance: random.Random, history: History, *, within: bool
) -> Generator[Callable[[], None]]:
    """What is done each time."""
    if within:
        with connected(os.environ["CONVEYOR_OUTBOX_URL"]) as connection:
            yield partial(Buyer(tasks.app, connection, chance, history).buy, mixture)
        return
    off = CalledOff(tasks.app, chance)

    def send() -> None:
        (call,) = chance.choices(list(mixture), list(mixture.values()))
        job = enqueue(call, history)
        if job and isinstance(call, Doomed):
            off.soon(job)
        off.look()

    yield send


if __name__ == "__main__":
    main()
