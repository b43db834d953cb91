"""A process that registers a runner, claims what is due, says so, and then waits for its end."""

import signal
import sys

from tests.support.jobs import Hand
from tests.support.stores import open_store
from tests.support.waiting import until


def main() -> None:
    url, seconds = sys.argv[1:]
    hand = Hand(open_store(url), float(seconds))
    until(lambda: bool(hand.claim()))
    sys.stdout.write("claimed 1\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
