"""Tasks with one effect and one child each, which complete in the transaction of both; and who runs and enqueues them.

``python -m tests.faults.transactional work`` is a worker whose times are short, ``... enqueue`` a producer: each of
its jobs is enqueued in the transaction of an order. ``ordered`` and ``effect`` have no constraint: whatever is done
twice is there twice.
"""

import argparse
import asyncio
import faulthandler
import logging
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import django
import psycopg
import sqlalchemy
from django.conf import settings
from django.db import connection as django_connection
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from conveyor import Backoff, Context, Conveyor, OutcomeUnknown, StoreUnavailable
from conveyor.cli.chaos.proxy import Cut
from conveyor.task import Task
from conveyor.worker.runner import Settings
from tests.faults.tasks import HISTORY
from tests.support.history import History
from tests.support.spoilt import spoil

TABLES: Final = (
    "CREATE TABLE ordered (job text)",
    "CREATE TABLE effect (job text, kind text, attempt integer, parent text)",
)
EFFECT: Final = "INSERT INTO effect"
"""What marks the transactions whose COMMITs are lost."""
CUTS: Final = "cuts"
"""The file that says which were."""
ORDERED: Final = "INSERT INTO ordered (job) VALUES ('{}')"

app = Conveyor(os.environ.get("CONVEYOR_URL", "sqlite:///:memory:"))
history = History(Path(os.environ.get(HISTORY, ".")))
chance = random.Random(os.getpid())
SQLITE: Final = app.url.startswith("sqlite")
AT_ONCE: Final = Backoff.fixed(0)


def effect(ctx: Context, kind: str, parent: str = "") -> str:
    """The statement that is the effect of a job."""
    return f"{EFFECT} (job, kind, attempt, parent) VALUES ('{ctx.job.id}', '{kind}', {ctx.attempt}, '{parent}')"


def begun(ctx: Context) -> float:
    """Write down the start; gives how long to wait, inside of the transaction and before it."""
    history.write("started", ctx.job.id, ctx.attempt, ctx.token)
    return chance.choice([0, 0, 0, 0.01, 0.05]) if SQLITE else chance.choice([0, 0, 0.01, 0.05, 0.2])


# ---------------------------------------------------------------- ours


@app.task(name="child", takes_context=True, transactional=True, max_attempts=20, backoff=AT_ONCE)
def child(ctx: Context, parent: str) -> None:
    begun(ctx)
    ctx.connection.execute(effect(ctx, "child", parent))


@app.task(name="declared", takes_context=True, transactional=True, max_attempts=20, backoff=AT_ONCE)
def declared(ctx: Context) -> int:
    pause = begun(ctx)
    ctx.connection.execute(effect(ctx, "declared"))
    time.sleep(pause)
    child.enqueue(ctx.job.id)
    return 1


@app.task(name="adeclared", takes_context=True, transactional=True, max_attempts=20, backoff=AT_ONCE)
async def adeclared(ctx: Context) -> int:
    pause = begun(ctx)
    done = ctx.connection.execute(effect(ctx, "adeclared"))
    if not SQLITE:
        await done
    await asyncio.sleep(pause)
    await child.aenqueue(ctx.job.id)
    return 1


# ---------------------------------------------------------------- the user's own


@contextmanager
def outside() -> Iterator[Any]:
    """A connection in autocommit."""
    if SQLITE:
        connection: Any = sqlite3.connect(app.url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        connection = psycopg.connect(app.url, autocommit=True)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def by_connection() -> Iterator[tuple[Any, Callable[[str], Any]]]:
    with outside() as connection:
        yield connection, connection.execute


@contextmanager
def by_session() -> Iterator[tuple[Any, Callable[[str], Any]]]:
    with Session(engine()) as session:
        yield session, lambda text: session.execute(sqlalchemy.text(text))


@contextmanager
def by_django() -> Iterator[tuple[Any, Callable[[str], Any]]]:
    """One for each thread, which is kept; after a crash of the server it is of no use."""
    django_connection.close_if_unusable_or_obsolete()

    def execute(text: str) -> None:
        with django_connection.cursor() as cursor:
            cursor.execute(text)

    yield django_connection, execute


@asynccontextmanager
async def by_asyncpg() -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    connection = await asyncpg.connect(app.url)
    try:
        yield connection, connection.execute
    finally:
        await connection.close()


@asynccontextmanager
async def by_async_session() -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    scheme = "sqlite+aiosqlite" if SQLITE else "postgresql+asyncpg"
    motor = create_async_engine(f"{scheme}:{app.url.split(':', 1)[1]}")
    async with AsyncSession(motor) as session:
        yield session, lambda text: session.execute(sqlalchemy.text(text))
    await motor.dispose()


_engines: dict[int, sqlalchemy.Engine] = {}
_making = threading.Lock()


def engine() -> sqlalchemy.Engine:
    """One for the process."""
    with _making:
        if not _engines:
            scheme = "sqlite" if SQLITE else "postgresql+psycopg"
            _engines[0] = sqlalchemy.create_engine(f"{scheme}:{app.url.split(':', 1)[1]}", pool_pre_ping=True)
        return _engines[0]


def plain(name: str, opened: Callable[[], Any]) -> Task[[], None]:
    """A task that lends the connection that *opened* gives."""

    def task(ctx: Context) -> None:
        time.sleep(begun(ctx))
        with opened() as (lent, execute), ctx.transaction(using=lent):
            execute(effect(ctx, name))
            time.sleep(chance.choice([0, 0.01]))
            child.enqueue(ctx.job.id)

    return app.task(name=name, takes_context=True, max_attempts=20, backoff=AT_ONCE)(task)


def awaited(name: str, opened: Callable[[], Any]) -> Task[[], None]:
    """The same, async."""

    async def task(ctx: Context) -> None:
        await asyncio.sleep(begun(ctx))
        async with opened() as (lent, execute), ctx.transaction(using=lent):
            await execute(effect(ctx, name))
            await asyncio.sleep(chance.choice([0, 0.01]))
            await child.aenqueue(ctx.job.id)

    return app.task(name=name, takes_context=True, max_attempts=20, backoff=AT_ONCE)(task)


TASKS: Final[list[Task[[], Any]]] = [
    declared,
    adeclared,
    plain("connection", by_connection),
    plain("session", by_session),
    plain("django", by_django),
    awaited("async session", by_async_session),
    *([] if SQLITE else [awaited("asyncpg", by_asyncpg)]),
]


def configure_django() -> None:
    where = urlsplit(app.url)
    database: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": app.url.removeprefix("sqlite:///")}
    if not SQLITE:
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": where.path[1:],
            "USER": where.username,
            "HOST": where.hostname,
            "PORT": where.port,
        }
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()


# ---------------------------------------------------------------- processes


async def work(options: argparse.Namespace) -> int:
    times = Settings({"default": options.slots}, lease=options.lease, beat=options.beat, sweep=0.1, rescue=0.3)
    return await app.worker(times).run()


def enqueue(rate: float) -> None:
    """An order and its job in one transaction, again and again, until SIGTERM; whoever is killed has accepted nothing.

    What its own commit was not answered by, and the store's refusals, are left: then there is an order and a job, or
    neither.
    """
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    while not end.wait(chance.expovariate(rate)):
        task = chance.choice(TASKS)
        history.write("asked")
        try:
            job = order(task)
        except (StoreUnavailable, OutcomeUnknown, psycopg.OperationalError):
            history.write("unknown")
        else:
            history.write("accepted", job)


def lost(part: float) -> Cut | None:
    """What becomes of this COMMIT."""
    cut = chance.choice(list(Cut)[:2]) if chance.random() < part else None
    if cut is not None:
        with (history.folder / CUTS).open("a") as cuts:
            cuts.write(f"{cut.name}\n")
    return cut


def order(task: Task[[], Any]) -> str:
    with outside() as connection:
        connection.execute("BEGIN IMMEDIATE" if SQLITE else "BEGIN")
        with app.within(connection):
            job = task.enqueue().id
        connection.execute(ORDERED.format(job))
        connection.execute("COMMIT")
    return job


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=["work", "enqueue"])
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--lease", type=float, default=1.5)
    parser.add_argument("--beat", type=float, default=0.3)
    parser.add_argument("--jobs", type=int, default=0, help="to enqueue so many, and end")
    parser.add_argument("--losses", type=float, default=0.0, help="of SQLite's COMMITs so large a part")
    parser.add_argument("--rate", type=float, default=10.0, help="jobs a second, at most")
    options = parser.parse_args()
    faulthandler.register(signal.SIGUSR1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    configure_django()
    if options.losses:
        spoil(setattr, EFFECT, partial(lost, options.losses))
    if options.do == "enqueue":
        for _ in range(options.jobs):
            history.write("accepted", order(chance.choice(TASKS)))
        if not options.jobs:
            enqueue(options.rate)
        return 0
    return asyncio.run(work(options))


if __name__ == "__main__":
    raise SystemExit(main())
