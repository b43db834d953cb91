"""The tasks of a run. Each writes down its start and its end, and most give their token as their result."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from inspect import isawaitable
from pathlib import Path
from typing import Final, NamedTuple

from conveyor.app import Conveyor
from conveyor.cli.chaos.changed import Changed, after, before
from conveyor.cli.chaos.checker import Promises
from conveyor.cli.chaos.everyday import Everyday, everyday
from conveyor.cli.chaos.giants import Giants, giants
from conveyor.cli.chaos.history import History
from conveyor.cli.chaos.tables import EFFECTS
from conveyor.cli.chaos.written import AT_ONCE, ATTEMPTS, Written
from conveyor.context import Context
from conveyor.task import CoroutineTask, FunctionTask

NAMES: Final = (
    *("nothing", "quick", "nap", "doze", "pay", "apay", "block", "grip", "newer"),
    *("linger", "stumble", "talk", "tell", "added", "removed", "renamed"),
)
PROMISES: Final = Promises(
    tokens=frozenset(f"conveyor.chaos.{name}" for name in NAMES),
    effects=frozenset({"conveyor.chaos.pay", "conveyor.chaos.apay"}),
)
THROWN: Final[dict[str, type[BaseException]]] = {
    kind.__name__: kind
    for kind in (
        *(SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError),
        *(StopIteration, StopAsyncIteration, TimeoutError, MemoryError, RecursionError, OSError, BaseException),
        BaseExceptionGroup,
    )
}
POISONS: Final = ("kill", "exit", "segfault", "abort")


class Tasks(NamedTuple):
    """An app, and its tasks."""

    app: Conveyor
    nothing: CoroutineTask[[], int]
    quick: FunctionTask[[], int]
    nap: CoroutineTask[[float], int]
    doze: FunctionTask[[float], int]
    linger: FunctionTask[[float, float], int]
    """Its first attempt takes one time, and those after it another."""
    pay: FunctionTask[[float], int]
    """Transactional, with one effect."""
    apay: CoroutineTask[[float], int]
    block: CoroutineTask[[float], int]
    """Blocks the event loop."""
    grip: CoroutineTask[[float], int]
    """Blocks it, and every other thread of its process."""
    poison: FunctionTask[[str], None]
    apoison: CoroutineTask[[str], None]
    throw: FunctionTask[[str], None]
    athrow: CoroutineTask[[str], None]
    newer: CoroutineTask[[], int]
    """Unknown to an app that is *old*."""
    everyday: Everyday
    giants: Giants
    changed: Changed
    """With other arguments in an app that is *old*."""

    @property
    def transactions(self) -> bool:
        """Whether the store has transactions, and so room for ``pay`` and ``apay``."""
        return self.app.store.kind != "redis"


def made(url: str, folder: Path, *, old: bool = False, outbox: str | None = None) -> Tasks:
    """The app on the store at *url*, and the *outbox* there, which writes its history into *folder*."""
    app = Conveyor(url, outbox=outbox)
    written = Written(History(folder))
    nap, doze, linger = _sleeping(app, written)
    pay, apay = _paying(app, written)
    block, grip = _blocking(app, written)
    poison, apoison = _poison(app, written)
    throw, athrow = _throwing(app, written)

    @app.task(name="conveyor.chaos.nothing", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def nothing(ctx: Context) -> int:
        with written(ctx):
            return ctx.token

    @app.task(name="conveyor.chaos.quick", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    def quick(ctx: Context) -> int:
        with written(ctx):
            return ctx.token

    newest = Conveyor(url) if old else app

    @newest.task(name="conveyor.chaos.newer", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def newer(ctx: Context) -> int:
        with written(ctx):
            return ctx.token

    more = (everyday(app, written), giants(app, written), (before if old else after)(app, written))
    return Tasks(
        app, nothing, quick, nap, doze, linger, pay, apay, block, grip, poison, apoison, throw, athrow, newer, *more
    )


def _sleeping(
    app: Conveyor, written: Written
) -> tuple[CoroutineTask[[float], int], FunctionTask[[float], int], FunctionTask[[float, float], int]]:
    @app.task(name="conveyor.chaos.nap", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def nap(ctx: Context, seconds: float) -> int:
        with written(ctx):
            await asyncio.sleep(seconds)
        return ctx.token

    @app.task(name="conveyor.chaos.doze", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    def doze(ctx: Context, seconds: float) -> int:
        with written(ctx):
            time.sleep(seconds)
        return ctx.token

    @app.task(name="conveyor.chaos.linger", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    def linger(ctx: Context, first: float, later: float) -> int:
        with written(ctx):
            time.sleep(first if ctx.attempt == 1 else later)
        return ctx.token

    return nap, doze, linger


def _paying(app: Conveyor, written: Written) -> tuple[FunctionTask[[float], int], CoroutineTask[[float], int]]:
    def effect(ctx: Context) -> str:
        return f"INSERT INTO {EFFECTS} (job, token) VALUES ('{ctx.job.id}', {ctx.token})"  # noqa: S608 - our own id

    @app.task(name="conveyor.chaos.pay", takes_context=True, transactional=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    def pay(ctx: Context, seconds: float) -> int:
        with written(ctx):
            ctx.connection.execute(effect(ctx))
            time.sleep(seconds)
        return ctx.token

    @app.task(
        name="conveyor.chaos.apay", takes_context=True, transactional=True, max_attempts=ATTEMPTS, backoff=AT_ONCE
    )
    async def apay(ctx: Context, seconds: float) -> int:
        with written(ctx):
            done = ctx.connection.execute(effect(ctx))
            if isawaitable(done):
                await done
            await asyncio.sleep(seconds)
        return ctx.token

    return pay, apay


def _blocking(app: Conveyor, written: Written) -> tuple[CoroutineTask[[float], int], CoroutineTask[[float], int]]:
    @app.task(name="conveyor.chaos.block", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def block(ctx: Context, seconds: float) -> int:
        with written(ctx):
            time.sleep(seconds)  # noqa: ASYNC251 - that is the fault
        return ctx.token

    @app.task(name="conveyor.chaos.grip", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def grip(ctx: Context, seconds: float) -> int:
        with written(ctx):
            end = time.monotonic() + seconds
            while time.monotonic() < end:  # PyDLL, unlike CDLL, keeps the interpreter's lock
                ctypes.PyDLL(None).usleep(200_000)
        return ctx.token

    return block, grip


def _poison(app: Conveyor, written: Written) -> tuple[FunctionTask[[str], None], CoroutineTask[[str], None]]:
    @app.task(name="conveyor.chaos.poison", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    def poison(ctx: Context, kind: str) -> None:
        with written(ctx):
            die(kind)

    @app.task(name="conveyor.chaos.apoison", takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def apoison(ctx: Context, kind: str) -> None:
        with written(ctx):
            die(kind)

    return poison, apoison


def die(kind: str) -> None:
    """End this process, in one of the ways of ``POISONS``."""
    match kind:
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case _:
            os.kill(os.getpid(), signal.SIGKILL)


def _throwing(app: Conveyor, written: Written) -> tuple[FunctionTask[[str], None], CoroutineTask[[str], None]]:
    def thrown(kind: str) -> BaseException:
        return THROWN[kind]("thrown", [ValueError()]) if kind == "BaseExceptionGroup" else THROWN[kind]("thrown")

    @app.task(name="conveyor.chaos.throw", takes_context=True, max_attempts=1)
    def throw(ctx: Context, kind: str) -> None:
        with written(ctx):
            raise thrown(kind)

    @app.task(name="conveyor.chaos.athrow", takes_context=True, max_attempts=1, timeout=5)
    async def athrow(ctx: Context, kind: str) -> None:
        with written(ctx):
            if kind != "swallows":
                raise thrown(kind)
            for _ in range(40):  # its timeout cancels it, and it does not care
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.25)

    return throw, athrow
