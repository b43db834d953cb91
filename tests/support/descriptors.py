"""Descriptors of this process, and the lack of them."""

import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def descriptors() -> set[int]:
    """Those that are open; the one that they are listed with is closed by then."""
    listed = list(Path("/proc/self/fd").iterdir())
    return {int(entry.name) for entry in listed if entry.is_symlink()}


@contextmanager
def left(count: int) -> Generator[None]:
    """This process can open so many files, and no more."""
    highest, held = max(descriptors()), [os.dup(1)]
    while held[-1] < highest:  # the limit is for the number: below it nothing is to be free
        held.append(os.dup(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held[-1], highest) + 1 + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in held:
            os.close(file)
