"""On SQLite a commit of the user's rings no bell: a worker that is idle looks often once it knows that one is due."""

import asyncio
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from conveyor import Conveyor, State
from conveyor.plan import Ring
from conveyor.store.sqlite import bell
from conveyor.worker import claim
from conveyor.worker.runner import Settings
from tests.support.stores import open_store, sqlite_url
from tests.support.waiting import auntil

NEVER = 3600.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that do not look by themselves."""
    monkeypatch.setattr(claim, "POLL", NEVER)


async def test_an_idle_worker_finds_what_a_users_commit_stored(folder: Path, patient: None) -> None:
    app = Conveyor(sqlite_url(folder))
    task = app.task(name="noted")(lambda n: n)
    worker = app.worker(Settings({"default": 1}))
    working = asyncio.create_task(worker.run())
    await auntil(lambda: worker._listener._path is not None and worker._listener._path.exists())  # type: ignore[attr-defined]  # SQLite's
    first = await task.aenqueue(0)
    await auntil(lambda: first.refresh().state is State.SUCCEEDED)
    connection = sqlite3.connect(folder / "jobs.db")
    for n in (1, 2):
        with app.within(connection):
            job = task.enqueue(n)
        await auntil(lambda: worker._listener.next_look < 1)
        connection.commit()
        await auntil(lambda job=job: job.refresh().state is State.SUCCEEDED)
    connection.close()
    worker.stop()
    assert await working == 0
    app.close()


async def test_it_looks_less_and_less_often(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(sqlite_url(folder))
    listener = store.listener(b"r" * 16)
    heard: list[Ring] = []
    now = 1000.0
    monkeypatch.setattr(bell, "time", SimpleNamespace(monotonic=lambda: now))
    listening = asyncio.create_task(listener.listen(heard.append))
    await auntil(lambda: any(folder.glob("*/*.bell")))
    assert listener.next_look > NEVER
    store.ring(Ring.SOON)
    await auntil(lambda: heard == [Ring.SOON])
    assert listener.next_look == bell.SHORTEST_LOOK
    for passed, pause in ((0.05, 0.01), (1.0, 0.1), (30.0, 3.0)):
        now = 1000.0 + passed
        assert listener.next_look == pytest.approx(pause)
    listening.cancel()
    await asyncio.wait([listening])
    store.close()
