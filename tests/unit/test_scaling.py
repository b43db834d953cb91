"""How many workers a queue needs, and what is told of it."""

import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import Conveyor, UsageError
from conveyor.cli import main
from conveyor.core.model import Ended, QueueInfo, Runner, RunnerInfo
from conveyor.core.scaling import LATELY, QUICKEST, Load, desired_workers, loads, needed_runners
from tests.support.stores import sqlite_url
from tests.unit.test_why import NOON

SECOND = timedelta(seconds=1)
TARGET = 10 * SECOND
MAIL = QueueInfo("mail", None, ready=300, scheduled=0, retryable=0, running=20, oldest=45 * SECOND)


@pytest.mark.parametrize(
    ("ready", "running", "run_time", "slots", "workers"),
    [
        (0, 0, 1.0, 10, 0),
        (0, 1, 1.0, 10, 1),
        (0, 20, 1.0, 10, 2),  # as many as are busy
        (100, 20, 1.0, 10, 3),  # and ten slots more, each of which runs ten of them in the time
        (101, 20, 1.0, 10, 4),
        (1, 0, 60.0, 10, 1),
        (10, 0, 60.0, 10, 6),  # jobs that outlast the target need slots for the part of them that must have ended
        (1_000, 0, 0.0001, 10, 1),  # a job costs its claim at least
        (10_001, 0, None, 10, 101),
    ],
)
def test_the_rule(ready: int, running: int, run_time: float | None, slots: int, workers: int) -> None:
    ran = None if run_time is None else run_time * SECOND
    assert desired_workers(ready, running, ran, slots, TARGET) == workers


@given(st.integers(0, 10_001), st.integers(0, 500), st.floats(0, 3_600), st.integers(1, 200), st.floats(1, 600))
def test_what_is_asked_for_does_the_work_in_time_and_one_worker_less_would_not(
    ready: int, running: int, run_time: float, slots: int, target: float
) -> None:
    many = desired_workers(ready, running, run_time * SECOND, slots, target * SECOND)
    each = max(run_time, QUICKEST.total_seconds())
    needed = running + ready * each / target
    assert many * slots >= needed * (1 - 1e-4) - 1e-4  # a timedelta is exact to the microsecond
    assert many == 0 or (many - 1) * slots <= needed * (1 + 1e-3) + 1e-3


def ended(*waits: float, ago: timedelta = SECOND, queue: str = "mail", ran: float = 2.0) -> list[Ended]:
    start = NOON - ago
    return [Ended(queue, start - wait * SECOND, start, ran * SECOND) for wait in waits]


def load(*ended_: Ended, queue: QueueInfo = MAIL, runners: tuple[Runner, ...] = ()) -> Load:
    (found,) = loads([queue], runners, ended_, TARGET, NOON)
    return found


def test_a_queues_load_is_told_from_its_own_jobs_and_workers() -> None:
    info = RunnerInfo("box", 1, {"mail": 4, "other": 50}, (), "0")
    runners = tuple(
        Runner(name, replace_queues(info, slots), name != "dead", NOON)
        for name, slots in {"a": {"mail": 4}, "b": {"mail": 8}, "c": {"other": 50}, "dead": {"mail": 99}}.items()
    )
    told = load(*ended(*range(1, 101)), *ended(9_999, queue="other", ran=500), runners=runners)
    assert told == replace(
        queue(ready=300, running=20, oldest=45 * SECOND, workers=2, slots=12, desired=math.ceil((20 + 60) / 6)),
        wait_p95=95 * SECOND,
        run_time=2 * SECOND,
    )


def replace_queues(info: RunnerInfo, queues: dict[str, int]) -> RunnerInfo:
    return RunnerInfo(info.host, info.pid, queues, info.tasks, info.version)


def test_what_started_long_ago_says_nothing_of_waits_and_nothing_is_made_up() -> None:
    told = load(*ended(5, ago=LATELY + SECOND))
    assert (told.wait_p95, told.run_time) == (None, 2 * SECOND)
    told = load()
    assert (told.wait_p95, told.run_time, told.workers, told.desired) == (None, None, 0, 5)


def test_a_paused_queue_needs_workers_for_what_runs_alone() -> None:
    assert load(queue=replace(MAIL, paused_at=NOON)).desired == 2


def test_status_tells_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = Conveyor(sqlite_url(tmp_path))
    work = app.task(name="work", queue="mail")(print)
    work.enqueue()
    app.run_worker(burst=True)
    work.enqueue()
    with pytest.raises(UsageError, match="target_wait must be above 0"):
        app.queues.load(0)
    assert main(["status", "--store", app.url, "--json", "--target-wait", "1min"]) == 0
    told = json.loads(capsys.readouterr().out)
    app.close()
    (queue,) = told["queues"]
    assert (queue["queue"], queue["ready"], queue["running"], queue["workers"]) == ("mail", 1, 0, 0)
    assert 0 <= queue["wait_p95"] < 60
    assert (told["target_wait"], told["desired"], queue["desired"]) == (60.0, 1, 1)


# ---------------------------------------------------------------- runners of one worker


def queue(**facts: Any) -> Load:
    """A queue without work, which one runner of ten slots serves."""
    empty = Load("mail", False, 0, 0, None, None, None, workers=1, slots=10, desired=0)
    return replace(empty, **facts)


BACKLOG = queue(ready=100, running=10, oldest=SECOND, run_time=3 * SECOND)
LATE = queue(ready=5, running=10, oldest=11 * SECOND, desired=1)


@pytest.mark.parametrize(
    ("queues", "own", "cores", "needed"),
    [
        ([], 1, 0.0, 1),
        ([], 3, 0.0, 1),
        ([queue()], 3, 0.0, 1),
        ([BACKLOG], 1, 0.0, 4),
        ([replace(BACKLOG, running=8)], 1, 0.0, 1),  # with room for more, it is not runners that are missing
        ([replace(BACKLOG, running=2)], 1, 0.95, 4),  # but a runner that is busy with its own work has none
        ([replace(BACKLOG, paused=True)], 1, 0.0, 1),
        ([replace(BACKLOG, queue="others")], 1, 0.0, 1),
        ([replace(BACKLOG, workers=3, slots=30, running=28)], 1, 0.0, 4),  # two of which are somebody else's
        ([LATE], 1, 0.0, 2),  # whatever the rule says, it is too slow
        ([replace(LATE, workers=2, slots=20, running=20)], 2, 0.0, 3),
        ([queue(workers=3, slots=30, running=12)], 3, 0.0, 2),  # 12 of 14, and not of 7
        ([queue(workers=3, slots=30, running=20)], 3, 0.0, 3),
        ([queue(workers=3, slots=30)], 3, 1.5, 3),
        ([queue(workers=3, slots=30)], 3, 1.3, 2),
        ([queue(workers=5, slots=50, running=30)], 3, 0.0, 3),
        ([queue(workers=5, slots=50, running=14)], 3, 0.0, 1),  # the others have room for them
    ],
)
def test_how_many_runners_a_worker_needs(queues: list[Load], own: int, cores: float, needed: int) -> None:
    assert needed_runners(queues, {"mail": 10}, own, cores, TARGET) == needed


def test_what_others_have_is_reckoned_in_slots_not_in_workers() -> None:
    many = queue(workers=5, slots=2 * 50 + 3, running=90)
    assert needed_runners([many], {"mail": 50}, 2, 0.0, TARGET) == 2  # three of one slot do not do for one of fifty
    behind = queue(ready=1_000, running=60, workers=11, slots=50 + 10, oldest=SECOND)
    assert needed_runners([behind], {"mail": 50}, 1, 0.0, TARGET) == 3  # nor do ten of them want as many again
