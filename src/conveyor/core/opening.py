"""The lock under which a process opens what it needs once."""

import os
import threading

_lock = threading.Lock()


def opening() -> threading.Lock:
    """The lock of this process. A fork makes a new one: a thread that is not in the child may have held the old."""
    return _lock


def _forked() -> None:
    global _lock  # noqa: PLW0603 - the process's own
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)
