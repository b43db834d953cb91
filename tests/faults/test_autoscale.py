"""A worker that has as many runners as its queue needs, and runners that end once they are not needed."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from conveyor import Conveyor
from conveyor.core.lifecycle import State
from conveyor.worker.runner import Runner, Settings
from tests.support.stores import sqlite_url
from tests.support.waiting import until
from tests.support.yard import Yard

GROWN = 3


@pytest.mark.parametrize("yard", ["sqlite-file", "postgres"], indirect=True)
def test_runners_come_while_jobs_wait_and_go_when_none_do(yard: Yard) -> None:
    options = ("-q", "default=2", "--autoscale", f"1,{GROWN}", "--target-wait", "1s", "--grace", "0")
    worker = yard.start("tests.support.scaled", *options).working()
    jobs = yard.enqueue("held", count=2 * GROWN)  # as many as have room in all of them
    for job in jobs:
        yard.started(job)
    assert len(worker.runners) == GROWN
    first = worker.runners[0]
    os.kill(first, signal.SIGKILL)  # its successor takes its place, and no more
    yard.history.write("gone", pid=first)
    until(lambda: first not in worker.runners and len(worker.runners) == GROWN, patience=20)
    (yard.folder / "go").touch()
    infos = [yard.is_(job, State.SUCCEEDED) for job in jobs]
    until(lambda: len(worker.runners) == 1, patience=20)
    assert sum(info.attempt for info in infos) == 2 * GROWN + 2  # two ran in the one that was killed
    assert worker.said.count("fewer runners would do") == GROWN - 1
    assert (yard.report().lost, yard.report().overlaps) == ((), ())
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0


# ---------------------------------------------------------------- a runner that is needed no more


class Held:
    """A runner, and a job in it that ends when it may."""

    def __init__(self, folder: Path) -> None:
        self.app = Conveyor(sqlite_url(folder))
        self.app.migrate()
        self.started, self.may_end = asyncio.Event(), asyncio.Event()

        @self.app.task(name="held")
        async def held() -> str:
            self.started.set()
            await self.may_end.wait()
            return "done"

        self.task = held

    async def runs(self, grace: float) -> tuple[Runner, asyncio.Task[int], str]:
        runner = self.app.worker(Settings({"default": 1}, grace=grace))
        job = await self.task.aenqueue()
        running = asyncio.create_task(runner.run())
        await self.started.wait()
        return runner, running, job.id


async def test_a_runner_that_is_to_leave_claims_nothing_more_and_waits_for_its_jobs(tmp_path: Path) -> None:
    held = Held(tmp_path)
    runner, running, job = await held.runs(grace=0.0)
    runner.leave()
    later = await held.task.aenqueue()
    ended, _ = await asyncio.wait([running], timeout=1.5)  # it waits: as long as its grace it would not have
    assert not ended
    held.may_end.set()
    assert await running == 0
    assert (await held.app.jobs.aget(job)).state is State.SUCCEEDED
    assert (await held.app.jobs.aget(later.id)).state is State.READY
    held.app.close()


async def test_a_runner_that_is_to_leave_can_still_be_told_to_stop(tmp_path: Path) -> None:
    held = Held(tmp_path)
    runner, running, job = await held.runs(grace=0.0)
    runner.leave()
    await asyncio.sleep(0)
    runner.stop()
    assert await running == 0
    info = await held.app.jobs.aget(job)
    assert (info.state, info.attempt) == (State.READY, 0)
    held.app.close()
