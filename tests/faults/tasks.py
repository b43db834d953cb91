"""The tasks of the fault tests, for workers in processes of their own. Each writes down its start and its end."""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conveyor import Backoff, Context, Conveyor
from tests.support.history import History

HISTORY = "CONVEYOR_TEST_HISTORY"
"""The folder that the history goes to."""

AT_ONCE = Backoff.fixed(0)

app = Conveyor()
other = Conveyor()
"""An app that knows ``stranger`` alone."""

history = History(Path(os.environ.get(HISTORY, ".")))


@contextmanager
def written(ctx: Context) -> Iterator[None]:
    """Write down the execution and its end."""
    mark = (ctx.job.id, ctx.attempt, ctx.token)
    history.write("started", *mark)
    try:
        yield
    except BaseException:
        history.write("raised", *mark)
        raise
    history.write("effect", *mark)
    history.write("ended", *mark)


@app.task(name="nap", takes_context=True, backoff=AT_ONCE)
async def nap(ctx: Context, seconds: float) -> float:
    with written(ctx):
        await asyncio.sleep(seconds)
    return seconds


@app.task(name="held", takes_context=True, backoff=AT_ONCE)
async def held(ctx: Context) -> None:
    """Until the test lets it go."""
    with written(ctx):
        while not os.path.exists(f"{os.environ.get(HISTORY, '.')}/go"):  # noqa: ASYNC110, ASYNC240, PTH110 - by another process
            await asyncio.sleep(0.05)


@app.task(name="doze", takes_context=True, backoff=AT_ONCE)
def doze(ctx: Context, seconds: float) -> float:
    with written(ctx):
        time.sleep(seconds)
    return seconds


@app.task(name="elsewhere", takes_context=True)
async def elsewhere(ctx: Context, seconds: float) -> None:
    """Waits for a thread of its own, which nobody can stop."""
    with written(ctx):
        await asyncio.to_thread(time.sleep, seconds)


@app.task(name="block", takes_context=True)
async def block(ctx: Context, seconds: float) -> None:
    """Blocks the event loop."""
    with written(ctx):
        time.sleep(seconds)  # noqa: ASYNC251 - that is the point


@app.task(name="hold-gil", takes_context=True)
async def hold_gil(ctx: Context, seconds: float) -> None:
    """Blocks the event loop in C, and lets no other thread run."""
    with written(ctx):
        ctypes.PyDLL(None).usleep(round(seconds * 1_000_000))


@app.task(name="stumble", takes_context=True, backoff=AT_ONCE)
async def stumble(ctx: Context, times: int, seconds: float) -> None:
    """Fails in its first attempts."""
    with written(ctx):
        await asyncio.sleep(seconds)
        if ctx.attempt <= times:
            raise ValueError(f"attempt {ctx.attempt}")


def first(ctx: Context) -> bool:
    """Whether its job was never started before, whatever its attempts say."""
    mark = history.folder / f"{ctx.job.id}.started"
    seen = mark.exists()
    mark.touch()
    return not seen


@app.task(name="first-slow", takes_context=True, backoff=AT_ONCE)
async def first_slow(ctx: Context, seconds: float) -> None:
    """Takes long the first time alone."""
    with written(ctx):
        await asyncio.sleep(seconds if first(ctx) else 0)


@app.task(name="first-slow-sync", takes_context=True, backoff=AT_ONCE)
def first_slow_sync(ctx: Context, seconds: float) -> None:
    """The same in a plain function."""
    with written(ctx):
        time.sleep(seconds if first(ctx) else 0)


@app.task(name="heed", takes_context=True, isolation="thread")
def heed(ctx: Context, seconds: float) -> None:
    """A thread that looks whether it should end."""
    with written(ctx):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if ctx.cancelled:
                raise TimeoutError("as asked")
            time.sleep(0.01)


@app.task(name="first-slow-thread", takes_context=True, backoff=AT_ONCE, isolation="thread")
def first_slow_thread(ctx: Context, seconds: float) -> None:
    """And in a thread, which nobody can stop, whoever works."""
    with written(ctx):
        time.sleep(seconds if first(ctx) else 0)


@app.task(name="cling", takes_context=True)
async def cling(ctx: Context, seconds: float) -> None:
    """Swallows every cancellation."""
    with written(ctx):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue


class Rude(BaseException):
    """Neither an ``Exception`` nor one that Python knows."""


class Mute(BaseException):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


THROWN: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (
        SystemExit,
        KeyboardInterrupt,
        asyncio.CancelledError,
        GeneratorExit,
        StopIteration,
        StopAsyncIteration,
        TimeoutError,
        MemoryError,
        Rude,
        Mute,
    )
}


@app.task(name="throw", max_attempts=1)
async def throw(kind: str) -> None:
    raise THROWN[kind]


@app.task(name="throw-sync", max_attempts=1)
def throw_sync(kind: str) -> None:
    raise THROWN[kind]


@other.task(name="stranger", takes_context=True)
async def stranger(ctx: Context) -> None:
    """Unknown to ``app``."""
    with written(ctx):
        pass


DEATHS: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
}


@app.task(name="poison", takes_context=True)
async def poison(ctx: Context, how: str) -> None:
    """Kills its worker."""
    with written(ctx):
        DEATHS[how]()
