"""A schedule whose job's unique key somebody's open transaction holds waits alone, and fires when that has ended."""

import asyncio

import psycopg
import pytest

from conveyor import Conveyor, every
from conveyor.store.contract import Store
from conveyor.worker.schedules import Scheduler
from tests.support.stores import open_store

pytestmark = pytest.mark.postgres


def report(number: int) -> None: ...


def test_only_the_one_whose_key_is_held_waits(postgres_url: str) -> None:
    app, store = Conveyor(postgres_url), open_store(postgres_url)
    task = app.task(name="shop.report")(report)
    for name in ("a", "b", "c"):
        call = task.using(unique="k").bind(1) if name == "b" else task.bind(1)
        app.schedules.add(name, call, every(hours=1))
    _make_due(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        with app.within(connection):
            task.using(unique="k").enqueue(2)
        asyncio.run(_fire(store))
        assert {job.schedule for job in app.jobs.list()} == {"a", "c"}
        connection.rollback()
    asyncio.run(_fire(store))
    assert {job.schedule for job in app.jobs.list()} == {"a", "b", "c"}
    app.close()
    store.close()


async def _fire(store: Store) -> None:
    """One look, as a worker's: until the one that is held has been waited for."""
    scheduler = Scheduler(store)
    try:
        coming = await store.arun(store.schedules.coming(10))
        await scheduler._fired(coming.due)
    finally:
        await store.aclose()


def _make_due(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE conveyor_schedule SET next_at = conveyor_now() - 1000000")
