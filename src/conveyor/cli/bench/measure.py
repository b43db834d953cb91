"""The measures. Each goes through the public face, with all its checks, and leaves no unfinished job behind."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Generator, Sequence

import msgspec

from conveyor.app import Conveyor
from conveyor.cli.progress import Advance, progress
from conveyor.core.errors import ConveyorError
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo
from conveyor.task import CoroutineTask, Enqueueable

Figures = dict[str, float]

PER_CALL = 1_000
CALLERS = 100
STEP = 50
"""Jobs between two words about progress, which cost time that is measured."""
PAGE = 1_000
MILLISECOND = 1_000
PATIENCE = 30.0


def stamp_task(app: Conveyor) -> CoroutineTask[[int], int]:
    """The task of all measures: it does nothing but say when it ran, in microseconds."""

    async def stamp(number: int) -> int:  # noqa: ARG001 - as little as a task can do, with an argument
        return time.time_ns() // 1_000

    return app.task(name="conveyor.bench.stamp")(stamp)


def enqueue(app: Conveyor, queue: str, jobs: int) -> Figures:
    """Jobs per second: many a call, awaited by many callers, and one awaited call at a time."""
    task = stamp_task(app).using(queue=queue)
    begun = time.perf_counter()
    _fill(app, task, jobs)
    figures = {f"jobs/s, {PER_CALL:,} a call": jobs / (time.perf_counter() - begun)}

    async def caller(count: int, advance: Advance) -> None:
        for number in range(count):
            await task.aenqueue(number)
            if number % STEP == STEP - 1:
                advance(STEP)

    async def callers() -> None:
        each, alone = jobs // CALLERS, max(jobs // 20, 1)
        with progress(f"enqueue, {CALLERS} callers", each * CALLERS) as advance:
            begun = time.perf_counter()
            await asyncio.gather(*(caller(each, advance) for _ in range(CALLERS)))
            figures[f"jobs/s, awaited by {CALLERS} callers"] = each * CALLERS / (time.perf_counter() - begun)
        with progress("enqueue, one at a time", alone) as advance:
            begun = time.perf_counter()
            await caller(alone, advance)
            figures["jobs/s, one awaited at a time"] = alone / (time.perf_counter() - begun)
        await app.aclose()

    app.run_async(callers())
    app.run_worker({queue: 200}, burst=True)
    return figures


def _fill(app: Conveyor, task: Enqueueable[[int], int], jobs: int) -> None:
    with progress("enqueue", jobs) as advance:
        for start in range(0, jobs, PER_CALL):
            numbers = range(start, min(start + PER_CALL, jobs))
            app.enqueue_many(task.bind(number) for number in numbers)
            advance(len(numbers))


def drain(app: Conveyor, queue: str, jobs: int, slots: int) -> Figures:
    """Jobs per second of one worker, from its start to its end; every one is looked for in history."""
    task = stamp_task(app).using(queue=queue)
    _fill(app, task, jobs)
    begun, cpu = time.perf_counter(), time.process_time()
    app.run_worker({queue: slots}, burst=True)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    ended = sum(info.state is State.SUCCEEDED for info in _all(app, queue))
    if ended != jobs:
        raise ConveyorError(f"only {ended:,} of {jobs:,} jobs are in history; the measure says nothing")
    return {f"jobs/s, {slots} slots": jobs / seconds, "CPU us per job, this process": cpu / jobs * 1_000_000}


def latency(app: Conveyor, queue: str, rate: float, seconds: float) -> Figures:
    """Milliseconds from the call of ``enqueue`` to the start of the function, in another process."""
    task = stamp_task(app).using(queue=queue)
    count = max(int(rate * seconds), 1)
    with _worker(app, queue), progress(f"latency, {rate:g}/s", count) as advance:
        task.enqueue(0).result(PATIENCE)
        sent: dict[str, int] = {}
        begun = time.perf_counter()
        for number in range(count):
            advance(1)  # before the pause, which swallows what drawing takes
            time.sleep(max(begun + number / rate - time.perf_counter(), 0))
            now = time.time_ns() // 1_000
            sent[task.enqueue(number).id] = now
        _ended(app, queue)
        infos = {info.id: info for info in _all(app, queue)}
    waits = sorted((_started(infos[id_]) - now) / MILLISECOND for id_, now in sent.items())
    return {
        f"ms at {rate:g}/s, p50": waits[len(waits) // 2],
        f"ms at {rate:g}/s, p95": waits[len(waits) * 95 // 100],
        f"ms at {rate:g}/s, p99": waits[len(waits) * 99 // 100],
        f"ms at {rate:g}/s, max": waits[-1],
    }


def _started(info: JobInfo) -> int:
    return msgspec.json.decode(info.result or b"0", type=int)


def _ended(app: Conveyor, queue: str) -> None:
    end = time.monotonic() + PATIENCE
    while any(number for state, number in app.jobs.counts(queue=queue).items() if not state.final):
        if time.monotonic() > end:
            raise ConveyorError(f"jobs are left over after {PATIENCE:.0f} s; the measure says nothing")
        time.sleep(0.05)


def _all(app: Conveyor, queue: str) -> Generator[JobInfo]:
    page: Sequence[JobInfo] = app.jobs.list(queue=queue, limit=PAGE)
    while page:
        yield from page
        page = app.jobs.list(queue=queue, limit=PAGE, after=page[-1].id)


@contextlib.contextmanager
def _worker(app: Conveyor, queue: str) -> Generator[None]:
    """A worker in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "conveyor.cli.bench.serve", app.url, queue])  # noqa: S603 - ourselves
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
