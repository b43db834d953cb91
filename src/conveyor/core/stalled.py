"""Which tasks do nothing else until something of ours is written: in their loop nobody else may be left to act."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

_tasks: Final[set[asyncio.Task[object]]] = set()


@contextmanager
def stalled() -> Generator[None]:
    """Around what the running task awaits."""
    task = asyncio.current_task()
    if task is None or task in _tasks:
        yield
        return
    _tasks.add(task)
    try:
        yield
    finally:
        _tasks.discard(task)


def all_stalled(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether every task of *loop* is; asked from another thread."""
    return all(task in _tasks for task in asyncio.all_tasks(loop))
