"""Long commands that leave nothing behind when they are stopped."""

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

TERMINATED: Final = 128 + signal.SIGTERM


@contextmanager
def cleared_up() -> Generator[None]:
    """SIGTERM ends the block like an error does, so that workers and scratch stores go with it."""

    def leave(*_: object) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
