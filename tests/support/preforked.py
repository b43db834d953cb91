"""A server that opens its app, enqueues, and only then makes its processes: ``python -m tests.support.preforked URL``.

As gunicorn does with ``--preload``, and as ``multiprocessing`` does, in each of its ways. Each process enqueues jobs of
its own, from plain code and from ``async``, and reads each one back at once; so does the parent all the while, from
another thread, which is so in the middle of something whenever it forks. What each has found is a line of output.
"""

import asyncio
import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

from conveyor import Conveyor, Job

JOBS = 6
"""Of each process, in each of both ways."""
CHILDREN = {"bare": 2, "fork": 2, "spawn": 1, "forkserver": 1}
"""Processes, by how they are made; each of the last two ways begins with a new interpreter."""


class Said(NamedTuple):
    """What one process has done."""

    who: str
    pid: int
    sent: int
    found: int
    """Jobs that were read back as what they were sent as."""
    errors: list[str]


def app_at(url: str) -> Conveyor:
    """An app with its task."""
    app = Conveyor(url)
    app.task(name="echo")(echo)
    return app


def echo(value: str) -> str:
    """The task; nobody runs it."""
    return value


def work(app: Conveyor, who: str, more: Callable[[int], bool] = lambda number: number < JOBS) -> Said:
    """Enqueue, and read back."""
    task = app.tasks["echo"]
    sent = found = 0
    errors: list[str] = []

    def is_of(job: Job[object], value: str) -> bool:
        return job.info is not None and json.loads(job.info.payload) == [[value], {}]

    async def awaited(value: str) -> bool:
        return is_of(await app.jobs.aget((await task.aenqueue(value)).id), value)

    while more(sent // 2):
        try:
            value = f"{who} {os.getpid()} {sent}"
            found += is_of(app.jobs.get(task.enqueue(value).id), value)
            found += asyncio.run(awaited(f"{value} awaited"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be told
            errors.append(f"{type(error).__name__}: {error}")
        sent += 2
    return Said(who, os.getpid(), sent, found, errors)


def tell(said: Said) -> None:
    """One write: lines of several processes do not mix."""
    os.write(1, json.dumps(said).encode() + b"\n")


def child(url: str, who: str) -> None:
    """In a process that multiprocessing has started: with the parent's app, if it has come over."""
    tell(work(apps.get(url) or app_at(url), who))


apps: dict[str, Conveyor] = {}


def start(method: str, url: str) -> Callable[[], object]:
    """Start a process; gives how to wait for its end."""
    if method != "bare":
        process = multiprocessing.get_context(method).Process(target=child, args=(url, method))
        process.start()
        return process.join
    pid = os.fork()
    if not pid:
        child(url, method)
        sys.exit(0)  # with all that an interpreter does at its end, to what the parent has made as well
    return lambda: os.waitpid(pid, 0)


def main() -> None:
    url = sys.argv[1]
    app = apps[url] = app_at(url)
    tell(work(app, "before"))
    over, beside = threading.Event(), list[Said]()
    thread = threading.Thread(target=lambda: beside.append(work(app, "beside", lambda _: not over.is_set())))
    thread.start()
    for wait in [start(method, url) for method, count in CHILDREN.items() for _ in range(count)]:
        wait()
    over.set()
    thread.join()
    tell(beside[0])
    tell(work(app, "after"))


if __name__ == "__main__":
    main()
