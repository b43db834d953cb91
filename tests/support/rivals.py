"""Enqueuers that want the same few unique keys: ``python -m tests.support.rivals --rivals 25``. SIGTERM ends them.

Each writes down what it asks for before it asks, and what it was told; a kill -9 loses at most the line that was not
written yet. What it may be told is a success or one of three errors; anything else ends the process with a traceback.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from conveyor import DuplicateJob, Job, OutcomeUnknown, StoreUnavailable, Unique
from conveyor.core.unique import OnConflict
from conveyor.task import Call
from tests.faults.tasks import HISTORY, app, nap

KEYS = 10
FROM_START_ON = 5
"""The keys from this one on are free as soon as their job has started."""
PAUSE = 0.02
SUFFIX = ".rivals"
What = Literal["asked", "created", "holder", "duplicate", "unknown", "refused"]


class Line(NamedTuple):
    """One line of a file."""

    what: What
    jobs: int = 1
    """How many; of ``asked``."""
    job: str = ""
    """The job that was created, or that holds the key; or what an error said."""


class Notes:
    """Writes lines down, from any thread."""

    def __init__(self, folder: Path) -> None:
        path = folder / f"{os.getpid()}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def write(self, *lines: Line) -> None:
        """All of *lines*, in one write."""
        os.write(self._file, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def read(folder: Path) -> list[Line]:
    """The lines of all processes; a last one without its end was never written."""
    found: list[Line] = []
    for path in folder.glob(f"*{SUFFIX}"):
        found += [Line(*json.loads(line)) for line in path.read_bytes().split(b"\n")[:-1]]
    return found


def wanted(chance: random.Random) -> Sequence[Call[float]]:
    """One call, or several of different keys in any order, all with one wish for the second of a key."""
    policies: Sequence[OnConflict] = ("existing", "existing", "replace", "raise")
    policy = chance.choice(policies)
    keys = chance.sample(range(KEYS), chance.choice((1, 1, 1, 2, 4)))
    uniques = [Unique(str(key), "start" if key >= FROM_START_ON else "finish", policy) for key in keys]
    return [nap.using(unique=one, max_attempts=20).bind(chance.choice((0.0, 0.0, 0.05))) for one in uniques]


def answers(jobs: Sequence[Job[float]]) -> list[Line]:
    """What handles say."""
    return [Line("created" if job.created else "holder", job=job.id) for job in jobs]


def complaint(error: Exception) -> Line:
    """What an error says that may come."""
    match error:
        case DuplicateJob():
            return Line("duplicate", job=error.job_id)
        case OutcomeUnknown():
            return Line("unknown", job=str(error))
        case StoreUnavailable():
            return Line("refused", job=str(error))
        case _:
            raise error


def in_thread(notes: Notes, seed: str, end: threading.Event) -> None:
    """One rival of a process of threads."""
    chance = random.Random(seed)
    while not end.wait(chance.uniform(0, PAUSE)):
        calls = wanted(chance)
        notes.write(Line("asked", len(calls)))
        try:
            jobs = app.enqueue_many(calls)
        except Exception as error:  # noqa: BLE001 - sorted there
            notes.write(complaint(error))
        else:
            notes.write(*answers(jobs))


async def in_loop(notes: Notes, seed: str, end: asyncio.Event) -> None:
    """One rival of a process of async tasks."""
    chance = random.Random(seed)
    while not end.is_set():
        await asyncio.sleep(chance.uniform(0, PAUSE))
        calls = wanted(chance)
        notes.write(Line("asked", len(calls)))
        try:
            jobs = await app.aenqueue_many(calls)
        except Exception as error:  # noqa: BLE001 - as above
            notes.write(complaint(error))
        else:
            notes.write(*answers(jobs))


async def loop(notes: Notes, seeds: Sequence[str]) -> None:
    """All rivals of a process, as tasks."""
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    sys.stdout.write("rivals are at it\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as group:
        for seed in seeds:
            group.create_task(in_loop(notes, seed, end))
    await app.aclose()


def threads(notes: Notes, seeds: Sequence[str]) -> None:
    """All rivals of a process, as threads; the first error of one ends them all."""
    end, errors = threading.Event(), list[BaseException]()

    def work(seed: str) -> None:
        try:
            in_thread(notes, seed, end)
        except BaseException as error:
            errors.append(error)
            end.set()
            raise

    signal.signal(signal.SIGTERM, lambda *_: end.set())
    rivals = [threading.Thread(target=work, args=(seed,)) for seed in seeds]
    for rival in rivals:
        rival.start()
    sys.stdout.write("rivals are at it\n")
    sys.stdout.flush()
    for rival in rivals:
        rival.join()
    if errors:
        raise errors[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rivals", type=int, default=25)
    parser.add_argument("--loop", action="store_true", help="as tasks of one event loop, not as threads")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    notes = Notes(Path(os.environ[HISTORY]))
    seeds = [f"{options.seed}-{number}" for number in range(options.rivals)]
    if options.loop:
        asyncio.run(loop(notes, seeds))
    else:
        threads(notes, seeds)


if __name__ == "__main__":
    main()
