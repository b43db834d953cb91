"""When a supervisor starts another runner, and when one ends: with runners that only say that they are there."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conveyor.core.scaling import Load
from conveyor.worker.letters import Leave, Stop
from conveyor.worker.supervisor import scaling
from conveyor.worker.supervisor.child import Child
from conveyor.worker.supervisor.replacing import START
from conveyor.worker.supervisor.scaling import PAUSE, Scaling
from conveyor.worker.supervisor.tending import Autoscale

TARGET = timedelta(seconds=10)


class Hall:
    """A supervisor with its runners, of which each new one is at work at once, or never."""

    def __init__(self, count: int = 1, *, most: int = 8, calm: float = 0.0, ready: int = 1_000) -> None:
        self.changing = False
        self.healthy = True
        self.ready = ready
        self.kills = 0
        self.said: list[object] = []
        self.children: list[Child] = []
        for _ in range(count):
            self.child(wanted=True)
        self.scaling = Scaling(cast(Any, self), Autoscale(most, TARGET, calm=calm), 1, self.load)

    @property
    def posts(self) -> int:
        return sum(child.wanted for child in self.children)

    def child(self, *, wanted: bool, running: int = 10) -> Child:
        made = SimpleNamespace(
            name=str(len(self.children)),
            pid=0,
            wanted=wanted,
            begun=time.monotonic(),
            at_work=asyncio.Event(),
            over=asyncio.Event(),
            board=SimpleNamespace(running=running),
            queues={"mail": 10},
            say=self.said.append,
            kill=self.killed,
        )
        if self.healthy:
            made.at_work.set()
        self.children.append(cast(Child, made))
        return self.children[-1]

    def killed(self) -> None:
        self.kills += 1

    async def add(self) -> Child:
        return self.child(wanted=False)

    async def load(self, _child: Child, _target: timedelta) -> Sequence[Load]:
        own = self.posts
        running = 10 * own if self.ready else 0
        return [Load("mail", False, self.ready, running, timedelta(0), None, None, own, 10 * own, 0)]

    async def look(self, times: int = 1) -> list[int]:
        """How many are wanted after each of some looks."""
        found: list[int] = []
        for _ in range(times):
            await self.scaling._look()
            found.append(self.posts)
        return found


async def test_it_grows_to_the_double_at_a_time_and_waits_until_they_work() -> None:
    hall = Hall(most=7)
    assert await hall.look(6) == [1, 2, 4, 7, 7, 7]  # one starts at the first look, and is wanted from the next on
    assert len(hall.children) == 7


async def test_one_that_does_not_come_to_work_has_no_successor_and_stops_growth_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Hall()
    hall.healthy = False
    await hall.look()
    hall.children[-1].over.set()
    hall.children.pop()
    assert await hall.look(3) == [1, 1, 1]
    assert len(hall.children) == 1
    now = time.monotonic()
    monkeypatch.setattr(scaling, "time", SimpleNamespace(monotonic=lambda: now + PAUSE + 1))
    hall.healthy = True
    assert await hall.look(2) == [1, 2]


async def test_one_that_hangs_at_its_start_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall()
    hall.healthy = False
    await hall.look(2)
    assert hall.kills == 0
    now = time.monotonic()
    monkeypatch.setattr(scaling, "time", SimpleNamespace(monotonic=lambda: now + START + 1))
    await hall.look()
    assert hall.kills == 1


async def test_one_that_started_before_new_code_came_is_sent_away() -> None:
    hall = Hall()
    await hall.look()
    hall.changing = True
    assert await hall.look() == [1]
    assert hall.said == [Stop()]


async def test_one_that_leaves_takes_its_place_until_it_is_gone() -> None:
    hall = Hall(2, most=3)
    hall.child(wanted=False)
    assert await hall.look(3) == [2, 2, 2]
    hall.children.pop()
    assert await hall.look(2) == [2, 3]


@pytest.mark.parametrize(("ready", "calm", "left"), [(0, 0.0, 1), (0, 60.0, 3), (1, 0.0, 3)])
async def test_the_one_with_the_fewest_jobs_leaves_when_fewer_would_do(ready: int, calm: float, left: int) -> None:
    hall = Hall(2, most=3, calm=calm, ready=ready)
    hall.child(wanted=True, running=1)
    await hall.look(1)
    assert [child.wanted for child in hall.children] == [True, True, left == 3]
    await hall.look(3)
    assert hall.posts == left
    assert hall.said == [Leave()] * (3 - left)
