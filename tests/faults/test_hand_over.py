"""P02: a process of a worker dies at a step of what its processes hand each other; no job is lost by it, or miscounted.

The steps of claim, effect, COMMIT, renewal and release at the store are in ``test_every_n``, those around the commit of
a transactional job in ``test_transactional_kills`` and ``test_cells``.
"""

import os
import signal

import pytest

from conveyor.core.lifecycle import State
from tests.support.fragile import POINTS
from tests.support.history import read_tables
from tests.support.waiting import until
from tests.support.yard import Process, Yard

SHORT = ("--lease", "2", "--beat", "0.4", "--cells", "1")
BRIEF = 0.1
SOON = 60.0


def start(yard: Yard) -> Process:
    return yard.start("tests.support.fragile", *SHORT).working(SOON)


@pytest.mark.parametrize(
    "yard",
    [
        "sqlite-file",
        pytest.param("redis", marks=pytest.mark.soak),
        pytest.param("postgres", marks=[pytest.mark.soak, pytest.mark.postgres]),
    ],
    indirect=True,
)
@pytest.mark.timeout(180)
def test_a_process_that_dies_at_any_step_of_a_hand_over_loses_no_job(yard: Yard) -> None:
    worker = start(yard)
    jobs: list[str] = []
    for point in POINTS:
        mark = yard.folder / point
        mark.touch()
        new = yard.enqueue("nap", BRIEF, count=2) + yard.enqueue("doze", BRIEF, count=2)
        if point.startswith("lease ended"):
            os.kill(worker.runner, signal.SIGKILL)
        until(lambda mark=mark: not mark.exists(), patience=SOON)
        if point.startswith("lease"):  # that was the supervisor
            worker.ends()
            worker = start(yard)
        infos = [yard.is_(job, State.SUCCEEDED, patience=SOON) for job in new]
        assert sum(info.crashes for info in infos) <= 1, point
        jobs += new
    assert read_tables(yard.url).hot == []
    report = yard.report()
    assert (report.accepted, report.completed) == (len(jobs), len(jobs))
    assert (report.lost, report.in_both, report.stale, report.misnumbered) == ((), (), (), ())
    assert len(jobs) == 4 * len(POINTS)
