"""Who watches the schedules: what cannot be read, or is not to be, holds up nothing else."""

import asyncio
import logging

import pytest

from conveyor import Conveyor, State, every
from conveyor.core.schedules import Edit, Scheduled
from conveyor.store.contract import Store
from conveyor.worker.schedules import BATCH, Scheduler

HOUR = 3_600_000_000


@pytest.fixture
def app() -> Conveyor:
    made = Conveyor("sqlite:///:memory:")
    made.task(name="shop.report")(report)
    return made


def report(number: int = 0) -> None: ...


def fire(app: Conveyor, *scheduler: Scheduler) -> None:
    """One look, as a worker's."""
    asyncio.run((scheduler[0] if scheduler else Scheduler(app.store)).fire())


def row(store: Store, name: str) -> Scheduled:
    (found,) = store.run(store.schedules.all([name]))
    return found


def change(app: Conveyor, name: str, spec: str = "", late: int = 0) -> None:
    """Have a tick come, that of *late* hours ago; *spec* as somebody may have spoilt it."""
    now = row(app.store, name)
    edit = Edit(name, now.version, spec or now.spec, now.declared, tick(now, late), None, None, "allow")
    app.store.run(app.store.schedules.save([edit]))


def test_more_that_cannot_be_read_than_are_looked_at_hold_up_nobody(
    app: Conveyor, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(BATCH + 5):
        app.schedules.add(f"bad {number:03}", app.tasks["shop.report"], every(hours=1))
        fire_once(app, f"bad {number:03}")
        change(app, f"bad {number:03}", '{"rule": 5}', late=1)
    app.schedules.add("good", app.tasks["shop.report"], every(hours=1))
    change(app, "good")
    scheduler = Scheduler(app.store)
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        fire(app, scheduler)
    assert row(app.store, "good").fired == 1
    assert len([line for line in caplog.messages if "cannot fire" in line]) == BATCH + 5  # said once of each


def tick(now: Scheduled, late: int = 0) -> int:
    """The full hour, or one before."""
    return (now.now // HOUR - late) * HOUR


def fire_once(app: Conveyor, name: str) -> None:
    change(app, name)
    fire(app)


def test_the_job_before_is_cancelled_where_that_is_wanted(app: Conveyor) -> None:
    app.schedules.add("it", app.tasks["shop.report"], every(hours=1), overlap="cancel_previous")
    fire_once(app, "it")
    edit = row(app.store, "it")
    app.store.run(
        app.store.schedules.save([Edit("it", edit.version, edit.spec, None, tick(edit), None, None, "cancel_previous")])
    )
    fire(app)
    after, before = app.jobs.list()
    assert {after.state, before.state} == {State.READY, State.CANCELLED}
    assert row(app.store, "it").job is not None
    cancelled = after if after.state is State.CANCELLED else before
    assert cancelled.cancelled == "the next tick of its schedule has come"
    assert row(app.store, "it").fired == 2


def test_what_comes_late_tells_when_the_next_one_comes(app: Conveyor) -> None:
    app.schedules.add("it", app.tasks["shop.report"], every(hours=1))
    change(app, "it")

    async def looked() -> tuple[int, int | None]:
        coming = await Scheduler(app.store).fire()
        return len(coming.due), coming.soonest

    due, soonest = asyncio.run(looked())
    assert due == 0
    assert soonest == row(app.store, "it").next_at
