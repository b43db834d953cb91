"""What somebody's open transaction holds up, a key, a row, or a job, holds up no other schedule."""

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest

from conveyor import Conveyor, every
from conveyor.store.contract import Store
from conveyor.worker.schedules import Scheduler
from tests.support.stores import open_store

pytestmark = pytest.mark.postgres

WAIT = 6.0
"""Seconds for eight keys, each waited for a tenth of one, on a busy machine."""


def report(number: int = 0) -> None: ...


@pytest.fixture
def app(postgres_url: str) -> Iterator[Conveyor]:
    made = Conveyor(postgres_url)
    made.task(name="shop.report")(report)
    yield made
    made.close()


def test_only_those_whose_key_is_held_wait_and_not_long(app: Conveyor, postgres_url: str) -> None:
    task = app.tasks["shop.report"]
    for number in range(8):
        app.schedules.add(f"unique {number}", task.using(unique=f"k{number}").bind(1), every(hours=1))
    app.schedules.add("plain", task.bind(1), every(hours=1))
    _make_due(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        with app.within(connection):
            for number in range(8):
                task.using(unique=f"k{number}").enqueue(2)
        begun = time.monotonic()
        _fire(postgres_url)
        assert {job.schedule for job in app.jobs.list()} == {"plain"}
        assert time.monotonic() - begun < WAIT
        connection.rollback()
    _fire(postgres_url)
    assert len({job.schedule for job in app.jobs.list()}) == 9


def test_a_schedule_whose_row_somebody_has_locked_is_left_alone(app: Conveyor, postgres_url: str) -> None:
    for name in ("locked", "free"):
        app.schedules.add(name, app.tasks["shop.report"], every(hours=1))
    _make_due(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT FROM conveyor_schedule WHERE name = 'locked' FOR UPDATE")
        _fire(postgres_url)
        assert [job.schedule for job in app.jobs.list()] == ["free"]
    _fire(postgres_url)
    assert {job.schedule for job in app.jobs.list()} == {"free", "locked"}


def test_a_job_before_that_somebody_has_locked_keeps_no_tick_from_firing(app: Conveyor, postgres_url: str) -> None:
    app.schedules.add("it", app.tasks["shop.report"], every(hours=1), overlap="cancel_previous")
    app.schedules.add("other", app.tasks["shop.report"], every(hours=1))
    _make_due(postgres_url)
    _fire(postgres_url)
    _make_due(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT FROM conveyor_job FOR UPDATE")
        asyncio.run(_one_round(postgres_url))
        fired = {info.name: info.fired for info in app.schedules.list()}
        assert fired == {"it": 2, "other": 2}


async def _one_round(url: str) -> None:
    """One look; what goes on beside it is not waited for."""
    store = open_store(url)
    try:
        await Scheduler(store)._round()
    finally:
        await store.aclose()
        store.close()


def _fire(url: str) -> None:
    """One look, as a worker's that has just started."""

    async def fired(store: Store) -> None:
        try:
            await Scheduler(store).fire()
        finally:
            await store.aclose()

    store = open_store(url)
    asyncio.run(fired(store))
    store.close()


def _make_due(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE conveyor_schedule SET next_at = conveyor_now() / 3600000000 * 3600000000")
