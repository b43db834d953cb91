"""The lock under which a process opens what it needs once."""

import os
import threading
from contextlib import AbstractContextManager

_lock = threading.RLock()


def opening() -> AbstractContextManager[bool]:
    """The lock of this process. A fork makes a new one: a thread that is not in the child may have held the old.

    It keeps other threads out, and not a signal handler that interrupts its holder: that one would wait for ever. So
    whoever has made something looks once more whether it is there by now, and calls nothing between that look and the
    assignment; a handler runs at a call or a loop's end.
    """
    return _lock


def _forked() -> None:
    global _lock  # noqa: PLW0603 - the process's own
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)
