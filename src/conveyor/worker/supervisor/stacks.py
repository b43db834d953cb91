"""Where a runner's main thread stands, asked from outside: it tells though its event loop is blocked, or the GIL held.

``faulthandler`` writes the stacks from within a signal handler in C, into a file that the supervisor reads.
"""

import asyncio
import contextlib
import faulthandler
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conveyor.worker.letters import Place

STACK_SIGNAL: Final = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
WAIT: Final = 0.2
"""Seconds that a process gets to write its stack."""
LONGEST: Final = 16_384
OURS: Final = f'File "{Path(__file__).parents[2]}{os.sep}'
"""How a frame of this package begins."""
_FRAME: Final = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$')


def answer(file: int) -> None:
    """In the runner: write all stacks to *file* when asked."""
    faulthandler.register(STACK_SIGNAL, file=file, all_threads=True)


async def ask(pid: int, file: int) -> Sequence[str]:
    """The lines of the main thread of *pid*, outermost last, out of its *file*; empty when it says nothing."""
    os.truncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, STACK_SIGNAL)
    await asyncio.sleep(WAIT)
    lines = os.pread(file, LONGEST, 0).decode("utf-8", "replace").splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith("Current thread")]
    if not begins:
        return []
    frames = lines[begins[0] + 1 :]
    return theirs(
        frames[: next((number for number, line in enumerate(frames) if not line.startswith("  File")), len(frames))]
    )


def theirs(frames: Sequence[str]) -> Sequence[str]:
    """Down to the first one of ours: what lies below is the same in all runners."""
    ours = next((number for number, frame in enumerate(frames) if OURS in frame), len(frames))
    return frames[:ours]


def blocker(frames: Sequence[str], places: Sequence[Place]) -> str:
    """The task whose function is the outermost in *frames*; empty when none of *places* is there."""
    tasks = {(place.file, place.function): place.task for place in places}
    for frame in reversed(frames):
        found = _FRAME.match(frame)
        if found and (task := tasks.get((found["file"], found["function"]))):
            return task
    return ""
