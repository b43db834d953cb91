"""P09, P10: what hears no signal is ended in time all the same, and nothing that a job has made is left in the end."""

import signal
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor.core.lifecycle import State
from conveyor.worker.cell.alarm import HARD
from tests.faults.test_cells import FILE, ONE, TWO, failure, last, worker
from tests.support.say import say
from tests.support.stores import SHARED
from tests.support.waiting import until
from tests.support.yard import Process, Yard, dead

__all__ = ["say", "worker"]

SOON = 20.0
TIMEOUT = 0.3
TOLERATED = 10.0
"""Seconds after its timeout when a deaf job has ended, on a machine that is very busy; on a quiet one it is one."""
SPARE = 6
"""Descriptors and threads that may come and go: of a cell that is just being replaced."""


@ONE
@FILE
def test_what_a_job_has_started_and_left_behind_ends_with_its_cell(yard: Yard, worker: Process) -> None:
    (job,) = yard.enqueue("leave-behind")
    place = yard.is_(job, State.SUCCEEDED).result
    children = [int(pid) for pid in (yard.folder / f"{job}.left").read_text().split()]
    (after,) = yard.enqueue("quick")
    assert yard.is_(after, State.SUCCEEDED).result == place
    assert not any(map(dead, children))  # it is theirs whom it harms
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert [pid for pid in children if not dead(pid)] == []


LONG = [pytest.mark.soak, pytest.mark.timeout(3_600)]


@pytest.mark.parametrize(
    ("yard", "count"),
    [
        pytest.param("sqlite-file", 12, marks=pytest.mark.timeout(180)),
        *(pytest.param(store, 1_000, marks=LONG) for store in SHARED),
    ],
    indirect=["yard"],
)
@TWO
def test_code_that_hears_nothing_is_ended_in_time_and_leaves_nothing_in_its_runner(
    yard: Yard, worker: Process, count: int, say: Callable[[str], None]
) -> None:
    first = yard.enqueue("numb", timeout=TIMEOUT, max_attempts=1, count=2)
    for job in first:
        yard.is_(job, State.FAILED)
    runner = worker.runner
    before = held_by(runner)
    jobs = yard.enqueue("numb", timeout=TIMEOUT, max_attempts=1, count=count)
    late = []
    for job in jobs:
        info = yard.is_(job, State.FAILED, patience=SOON + count)
        assert "longer than its timeout of 0.3 s" in failure(info, "AttemptTimedOut")
        late.append((last(info).finished_at - last(info).started_at) / 1_000_000 - TIMEOUT)
        assert (info.crashes, info.attempt) == (0, 1)
    middle, most = statistics.median(late), max(late)
    say(f"{count} jobs that sleep in C ended {middle:.2f} s after their timeout, {most:.2f} s at most")
    assert min(late) > HARD / 2  # it was told softly first
    assert most < TOLERATED
    until(lambda: all(now <= then + SPARE for now, then in zip(held_by(runner), before, strict=True)), patience=SOON)
    assert worker.runner == runner


def held_by(pid: int) -> list[int]:
    """The descriptors and the threads of a process: how many there are."""
    return [sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir()) for what in ("fd", "task")]
