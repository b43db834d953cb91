"""A burst on every store: it ends when nothing is due, and not before."""

import asyncio
from collections.abc import Iterator

import pytest

from conveyor import Conveyor, State
from conveyor.store.contract import Store
from tests.support.jobs import TASK, Hire, rescue

LONG, ROUNDS = 12, 4
LOST = 4


@pytest.fixture
def app(url: str, store: Store) -> Iterator[Conveyor]:
    made = Conveyor(url)
    yield made
    made.close()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_burst_runs_the_job_that_its_last_job_enqueued(app: Conveyor, asynchronous: bool) -> None:
    seen: list[int] = []

    def down(number: int) -> None:
        seen.append(number)
        if number:
            task.enqueue(number - 1)

    async def adown(number: int) -> None:
        seen.append(number)
        if number:
            await task.aenqueue(number - 1)

    task = app.task(name="down")(adown if asynchronous else down)
    for _ in range(ROUNDS):
        task.enqueue(LONG)
        assert app.run_worker({"default": 1}, burst=True) == 0
        assert seen == [*range(LONG, -1, -1)]
        seen.clear()
    counts = app.jobs.counts()
    assert (counts[State.SUCCEEDED], counts[State.READY], counts[State.SCHEDULED]) == (ROUNDS * (LONG + 1), 0, 0)


def test_a_burst_runs_each_of_the_jobs_that_were_lost_with_a_worker_one_after_the_other(
    app: Conveyor, hire: Hire
) -> None:
    together: list[int] = []
    running: set[int] = set()

    async def work(number: int) -> None:
        running.add(number)
        together.append(len(running))
        await asyncio.sleep(0)
        running.remove(number)

    task = app.task(name=TASK)(work)
    app.enqueue_many(task.bind(number) for number in range(LOST))
    dead = hire(app.store)
    dead.take(LOST)
    dead.die()
    assert rescue(app.store) == LOST
    task.enqueue(LOST)  # which nobody suspects
    assert app.run_worker(burst=True) == 0
    assert together == [1] * (LOST + 1)
    assert app.jobs.counts()[State.SUCCEEDED] == LOST + 1
