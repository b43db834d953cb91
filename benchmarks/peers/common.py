"""What every driver speaks: ``python -m benchmarks.peers.NAME COMMAND ...`` prints one JSON object, or works.

The address of the database comes in COMPARE_URL, the folder for tallies in COMPARE_TALLY. Only the standard library
is imported here, for this runs in each peer's own environment. A job's one argument is ``sent``: 0 says that nothing
is timed, a positive number when the call to enqueue it began, by the clock that all processes of a machine share.
"""

import argparse
import asyncio
import contextlib
import json
import mmap
import os
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, TypedDict

URL = "COMPARE_URL"
TALLY = "COMPARE_TALLY"
AS_IT_COMES = "--as-it-comes"
NAP = -1
"""A job sent with this sleeps for longer than anyone waits: its worker is to be killed."""
NAP_SECONDS = 600.0
WARMING = 0.5
SETTLE_DOWN = 1.0
"""Seconds between a worker's first job and the first timed one."""


class About(TypedDict):
    """What a driver says of its library."""

    version: str
    settings: str
    """The settings that were chosen, for people."""
    unfinished: str
    """A query, on Redis a script, that counts the jobs whose end is not yet written."""
    kept: str
    """A query, on Redis a script, that counts the jobs that are written as successful."""


class Timed(TypedDict):
    """A measure that the enqueuing process takes itself."""

    jobs: int
    """How many were timed."""
    enqueued: int
    """How many there are now in all, those of the warming-up included."""
    seconds: float
    cpu: float
    """Seconds of CPU of this process."""


# ----------------------------------------------------------------- tallies


class Started(NamedTuple):
    """What one process says of the jobs that it started."""

    number: int
    first: int
    """When its first one started, in nanoseconds."""
    waits: tuple[int, ...]
    """From the call that enqueued a job to its start, in nanoseconds; of the timed ones, in order."""


class Tally:
    """Counts the jobs that start in this process, in a file that others may read meanwhile.

    A file for each process, and written through memory: it costs a job less than a microsecond, the same for
    every library. What a killed process has written stays.
    """

    HEADER = struct.Struct("=qqq")  # count, first, number of waits
    WAIT = struct.Struct("=q")
    ROOM = 100_000

    def __init__(self, folder: Path) -> None:
        path = folder / f"{os.getpid()}.tally"
        size = self.HEADER.size + self.ROOM * self.WAIT.size
        with path.open("w+b") as file:
            file.truncate(size)
            self._memory = mmap.mmap(file.fileno(), size)
        self._count = self._first = self._waits = 0

    def hit(self, sent: int) -> None:
        """A job has started."""
        now = time.monotonic_ns()
        self._count += 1
        self._first = self._first or now
        if sent > 0:
            self.WAIT.pack_into(self._memory, self.HEADER.size + self._waits * self.WAIT.size, now - sent)
            self._waits += 1
        self.HEADER.pack_into(self._memory, 0, self._count, self._first, self._waits)

    @classmethod
    def read(cls, folder: Path) -> list[Started]:
        """What all processes have written so far; those that have started nothing are left out."""
        found = []
        for path in folder.glob("*.tally"):
            with path.open("rb") as file:
                header = file.read(cls.HEADER.size)
                if len(header) < cls.HEADER.size:
                    continue  # it is just being made
                count, first, waits = cls.HEADER.unpack(header)
                body = file.read(waits * cls.WAIT.size)
            if count:
                found.append(Started(count, first, struct.unpack(f"={waits}q", body)))
        return found


_tally: list[Tally] = []


def hit(sent: int) -> None:
    """Count the job that has just started; all tasks of all drivers begin with this."""
    if not _tally:  # at the first job, so that a process forked before it has a file of its own
        _tally.append(Tally(Path(os.environ[TALLY])))
    _tally[0].hit(sent)


async def stamp(sent: int) -> None:
    """What the task of every asynchronous driver does."""
    hit(sent)
    if sent == NAP:
        await asyncio.sleep(NAP_SECONDS)


# ----------------------------------------------------------------- drivers


class Driver(ABC):
    """One library, behind the few verbs that are measured."""

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def about(self) -> About:
        """Version, settings, and how to look from outside."""

    @abstractmethod
    async def setup(self) -> None:
        """Make the tables in an empty database, as the documentation says it."""

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[None]:
        """What an enqueuing process holds open: a pool of connections, as a rule."""

    @abstractmethod
    async def one(self, sent: int) -> None:
        """Enqueue one job; it is committed when this returns."""

    @abstractmethod
    async def many(self, sent: Sequence[int]) -> None:
        """Enqueue all in one call, or in one transaction where the library has no such call."""

    @abstractmethod
    def work(self, *, as_it_comes: bool) -> None:
        """Be a worker until killed; *as_it_comes* is with no setting changed that changes how many run at a time."""

    async def callers(self, number: int, seconds: float) -> int:
        """Enqueue for so long from *number* callers, each awaiting its call before the next; gives how many jobs."""
        return sum(await asyncio.gather(*(self._caller(time.monotonic() + seconds) for _ in range(number))))

    async def _caller(self, end: float) -> int:
        done = 0
        while time.monotonic() < end:
            await self.one(0)
            done += 1
        return done


async def bulk(driver: Driver, jobs: int, per_call: int, seconds: float) -> Timed:
    """Many a call, until there are *jobs*, or the time is up."""
    async with driver.opened():
        await driver.many([0])
        with timed(before=1) as figures:
            end = time.monotonic() + seconds
            while figures["jobs"] < jobs and time.monotonic() < end:
                await driver.many([0] * per_call)
                figures["jobs"] += per_call
    return figures


async def callers(driver: Driver, number: int, seconds: float) -> Timed:
    """One a call, from many callers at a time; pools grow only while somebody waits, so there is a warming-up."""
    async with driver.opened():
        before = await driver.callers(number, WARMING)
        with timed(before) as figures:
            figures["jobs"] = await driver.callers(number, seconds)
    return figures


async def latency(driver: Driver, rate: float, seconds: float) -> Timed:
    """One a call, at a steady rate, once a worker is seen to work; the worker writes down how long each waited."""
    folder = Path(os.environ[TALLY])
    async with driver.opened():
        await driver.one(0)
        while not Tally.read(folder):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)
        await asyncio.sleep(SETTLE_DOWN)
        with timed(before=1) as figures:
            begun = time.monotonic()
            for number in range(round(rate * seconds)):
                await asyncio.sleep(max(begun + number / rate - time.monotonic(), 0))
                await driver.one(time.monotonic_ns())
                figures["jobs"] += 1
    return figures


async def nap(driver: Driver) -> Timed:
    """One job that sleeps."""
    async with driver.opened():
        with timed(before=0) as figures:
            await driver.one(NAP)
            figures["jobs"] = 1
    return figures


@contextlib.contextmanager
def timed(before: int) -> Iterator[Timed]:
    """Time the block, by the clock and by the CPU of this process; there were jobs *before* it."""
    figures = Timed(jobs=0, enqueued=0, seconds=0, cpu=0)
    begun, cpu = time.perf_counter(), time.process_time()
    yield figures
    figures["seconds"], figures["cpu"] = time.perf_counter() - begun, time.process_time() - cpu
    figures["enqueued"] = before + figures["jobs"]


# ---------------------------------------------------------------- commands


COMMANDS: dict[str, Callable[[Driver, argparse.Namespace], Coroutine[object, object, object]]] = {
    "setup": lambda driver, _: driver.setup(),
    "bulk": lambda driver, options: bulk(driver, options.jobs, options.per_call, options.seconds),
    "callers": lambda driver, options: callers(driver, options.number, options.seconds),
    "latency": lambda driver, options: latency(driver, options.rate, options.seconds),
    "nap": lambda driver, _: nap(driver),
}


def main(make: Callable[[str], Driver], run: Callable[[Coroutine[object, object, object]], object]) -> None:
    """Do what the command line says with the driver that *make* makes; *run* is the library's best ``asyncio.run``."""
    options = arguments().parse_args()
    driver = make(os.environ[URL])
    if options.command == "work":
        driver.work(as_it_comes=options.as_it_comes)
    elif options.command == "about":
        say(driver.about())
    else:
        say(run(COMMANDS[options.command](driver, options)))


def say(answer: object) -> None:
    """The answer, as the last line of output: a library may have printed something of its own before."""
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


def arguments() -> argparse.ArgumentParser:
    """The commands that every driver knows."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("about", "setup", "nap"):
        commands.add_parser(name)
    for name, wanted in {"bulk": ("jobs", "per_call"), "callers": ("number",), "latency": ()}.items():
        command = commands.add_parser(name)
        for argument in wanted:
            command.add_argument(argument, type=int)
        command.add_argument("seconds", type=float)
    commands.choices["latency"].add_argument("rate", type=float)
    commands.add_parser("work").add_argument(AS_IT_COMES, action="store_true")
    return parser
