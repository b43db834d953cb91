"""A process that enqueues without end: ``python -m tests.support.producer --rate 30``. SIGTERM ends it.

What it may be told is a success or one of two errors; anything else ends it, with a traceback.
"""

import argparse
import random
import signal
import threading
from collections.abc import Sequence
from functools import partial

from conveyor.cli.chaos.sending import Enqueue, enqueue
from tests.faults.tasks import doze, history, nap, stumble


def calls(max_attempts: int, slow: float) -> tuple[Sequence[Enqueue], Sequence[int]]:
    """What it enqueues, and how often each in a hundred: quick or *slow*, in the loop or a thread, failing first."""
    naps, dozes = nap.using(max_attempts=max_attempts), doze.using(max_attempts=max_attempts)
    stumbles = stumble.using(max_attempts=max_attempts)
    mixture: dict[Enqueue, int] = {
        partial(naps.enqueue, 0.0): 45,
        partial(dozes.enqueue, 0.0): 20,
        partial(naps.enqueue, slow): 10,
        partial(dozes.enqueue, slow): 10,
    }
    if max_attempts > 2:
        mixture |= {partial(stumbles.enqueue, 1, 0.0): 10, partial(stumbles.enqueue, 2, 0.05): 5}
    return list(mixture), list(mixture.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=30.0, help="jobs a second, at most")
    parser.add_argument("--max-attempts", type=int, default=20)
    parser.add_argument("--slow", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    choice = random.Random(options.seed)
    kinds, weights = calls(options.max_attempts, options.slow)
    while not end.wait(choice.expovariate(options.rate)):
        (call,) = choice.choices(kinds, weights)
        enqueue(call, history)


if __name__ == "__main__":
    main()
