"""An app, and a worker of it in the test's own event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from conveyor import Conveyor, Job, State
from conveyor.core.model import JobInfo
from conveyor.worker.runner import Runner, Settings

PATIENCE = 20.0
"""Seconds that anything may take on a busy machine."""


@asynccontextmanager
async def working(app: Conveyor, slots: int = 10, **settings: float) -> AsyncGenerator[Runner]:
    """A worker that works while the block lasts, with short pauses between its rounds."""
    chosen: dict[str, Any] = {"sweep": 0.02, "report": 0.02, "rescue": 0.1, "grace": 0.0} | settings
    runner = app.worker(Settings(queues={"default": slots}, **chosen))
    work = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        runner.stop()
        async with asyncio.timeout(PATIENCE):
            await work
        await app.aclose()


async def seen(job: Job[Any], condition: Callable[[JobInfo], bool]) -> JobInfo:
    """Wait until *job* is as *condition* has it."""
    pause = asyncio.Event()
    async with asyncio.timeout(PATIENCE):
        while not condition(info := await job.arefresh()):
            try:
                await asyncio.wait_for(pause.wait(), 0.005)
            except TimeoutError:
                continue
        return info


async def ended(job: Job[Any]) -> JobInfo:
    """Wait for the end of *job*."""
    return await seen(job, lambda info: info.state.final)


async def in_state(job: Job[Any], state: State) -> JobInfo:
    """Wait until *job* is in *state*."""
    return await seen(job, lambda info: info.state is state)
