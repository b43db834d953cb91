"""Tasks that do to their process what no task should, for ``tests.faults.test_cells``."""

import ctypes
import importlib
import locale
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from conveyor import Backoff, Context, Conveyor, SoftTimeout
from conveyor.worker.transaction import Completing
from tests.faults.tasks import THROWN, history, written

AT_ONCE = Backoff.fixed(0)

app = Conveyor()


@app.task(name="quick", takes_context=True)
def quick(ctx: Context) -> int:
    with written(ctx):
        return os.getpid()


@app.task(name="sleep", takes_context=True, backoff=AT_ONCE)
def sleep(ctx: Context, seconds: float) -> None:
    with written(ctx):
        time.sleep(seconds)


@app.task(name="once", takes_context=True, backoff=AT_ONCE)
def once(ctx: Context) -> str:
    """Takes for ever in its first attempt."""
    with written(ctx):
        if ctx.attempt == 1:
            time.sleep(60)
    return "again"


@app.task(name="die", takes_context=True, backoff=AT_ONCE)
def die(ctx: Context, how: str) -> None:
    history.write("started", ctx.job.id, ctx.attempt, ctx.token)
    sys.stdout.write(f"last words of {how}\n")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    if how == "socket":
        for file in range(3, 64):
            os.close(file) if os.path.exists(f"/dev/fd/{file}") else None  # noqa: PTH110 - of all there are
    else:
        ctypes.string_at(0)


@app.task(name="toil", max_attempts=1)
def toil() -> None:
    """Computes for longer than it takes somebody to look, and dies."""
    enough = time.process_time() + 1.5
    while time.process_time() < enough:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="deaf", takes_context=True)
def deaf(ctx: Context) -> None:
    """Closes what is not its own, and goes on."""
    os.closerange(3, 400)
    history.write("started", ctx.job.id, ctx.attempt, ctx.token)
    time.sleep(60)


@app.task(name="fork", max_attempts=1)
def fork(how: str) -> str:
    """Its child comes back before it does."""
    child = os.fork()
    if not child:
        if how == "returns":
            return "of the child"
        raise ValueError("of the child")
    return f"of the parent, {os.waitpid(child, 0)[1]}"


@app.task(name="fork-async", isolation="process", max_attempts=1)
async def fork_async(how: str) -> str:
    return fork.definition.function(how)


@app.task(name="throw", max_attempts=1)
def throw(kind: str) -> None:
    raise THROWN[kind]


@app.task(name="regex", max_attempts=1)
def regex() -> None:
    """C code that hears no signal."""
    re.match(r"(a+)+$", "a" * 40 + "b")


@app.task(name="tidies", max_attempts=1)
def tidies() -> str:
    try:
        time.sleep(60)
    except SoftTimeout:
        return "tidied"
    return "slept"


@app.task(name="child", takes_context=True, max_attempts=1)
def child(ctx: Context, apart: bool) -> None:
    """Starts a process that outlives it, and hangs."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=apart)
    (history.folder / f"{ctx.job.id}.child").write_text(str(process.pid))
    history.write("started", ctx.job.id, ctx.attempt, ctx.token)
    re.match(r"(a+)+$", "a" * 40 + "b")


@app.task(name="leave-behind", takes_context=True)
def leave_behind(ctx: Context) -> int:
    """Succeeds, and what it has started goes on."""
    started = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(2)]
    (history.folder / f"{ctx.job.id}.left").write_text(" ".join(str(process.pid) for process in started))
    return os.getpid()


@app.task(name="numb", max_attempts=1)
def numb() -> None:
    """Sleeps in C, and hears no signal that can be kept from being heard."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.CDLL(None).sleep(600)


@app.task(name="spoil")
def spoil() -> int:
    """Leaves its process as no next job should find it."""
    os.chdir("/")
    os.umask(0o777)
    os.environ["CONVEYOR_SPOILT"] = "yes"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    signal.alarm(60)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    sys.path.insert(0, "/spoilt")
    left_open.append(importlib.import_module("sqlalchemy.orm").Session(sqlalchemy_engine()))
    left_open[-1].connection()
    sys.stdout = None  # type: ignore[assignment]  # that is the point
    return os.getpid()


left_open: list[Any] = []


def sqlalchemy_engine() -> object:
    return importlib.import_module("sqlalchemy").create_engine("sqlite://")


@app.task(name="look")
def look() -> dict[str, str | int | bool]:
    mask = os.umask(0)
    os.umask(mask)
    return {
        "pid": os.getpid(),
        "folder": str(Path.cwd()),
        "mask": mask,
        "environment": os.environ.get("CONVEYOR_SPOILT", ""),
        "ignores": signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "locale": locale.setlocale(locale.LC_ALL),
        "path": "/spoilt" in sys.path,
        "alarm": signal.alarm(0),
        "silent": sys.stdout is None,
        "sessions": any(session.in_transaction() for session in left_open),
    }


@app.task(name="greedy", memory="150MB", max_attempts=1)
def greedy() -> None:
    held = []
    while len(held) < 60:
        held.append(bytes([len(held)]) * 5_000_000)
    time.sleep(60)


@app.task(name="talk", max_attempts=1, redact=["word"])
def talk(word: str, lines: int) -> None:
    print(f"the word is {word}")  # noqa: T201 - what print() says is kept
    for line in range(lines):
        sys.stderr.write(f"line {line:06}\n")


@app.task(name="apart", isolation="process")
async def apart() -> int:
    return os.getpid()


@app.task(name="effect", takes_context=True, transactional=True, backoff=AT_ONCE)
def effect(ctx: Context, deadly: str) -> int:
    """Its process dies before its commit, or right behind it, in the first attempt."""
    mark = f"('{ctx.job.id}', {ctx.attempt})"
    ctx.connection.execute(f"INSERT INTO effect (job, attempt) VALUES {mark}")
    sys.stdout.write(f"paid {ctx.attempt}\n")
    if ctx.attempt == 1 and deadly == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    doomed.add(ctx.job.id) if deadly == "behind" else None
    return ctx.attempt


@app.task(name="effect-forked", takes_context=True, max_attempts=1)
def effect_forked(ctx: Context) -> str:
    """Its child leaves the block first, and may not end the transaction of both."""
    with ctx.transaction():
        ctx.connection.execute(f"INSERT INTO effect (job, attempt) VALUES ('{ctx.job.id}', {ctx.attempt})")
        if child := os.fork():
            os.waitpid(child, 0)
    return "of the parent"


doomed: set[str] = set()
_commit = Completing._commit


async def committed(self: Completing, loan: Any) -> None:
    await _commit(self, loan)
    if self._context.job.id in doomed:
        os.kill(os.getpid(), signal.SIGKILL)


Completing._commit = committed  # type: ignore[method-assign]  # to die at a certain moment

BROKEN = "CONVEYOR_TEST_BROKEN"
if "--socket" in sys.argv and (history.folder / BROKEN).exists():
    raise RuntimeError("broken for the test")
