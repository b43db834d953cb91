"""A process that enqueues one job and ends."""

import sys

from tests.support.jobs import enqueue, new_job
from tests.support.stores import open_store


def main() -> None:
    store = open_store(sys.argv[1])
    enqueue(store, new_job())
    store.close()


if __name__ == "__main__":
    main()
