"""P05: a job that kills its worker is found out, and is the only one to be charged; the innocent are not harmed."""

import pytest

from conveyor.core.judge import CRASHES_ALLOWED
from conveyor.core.lifecycle import State
from tests.faults.tasks import DEATHS
from tests.support.history import read_tables
from tests.support.waiting import until
from tests.support.yard import SETTLING, Process, Yard

SHORT = ("--lease", "1.5", "--beat", "0.3", "--rescue", "0.1")


def kept_up(yard: Yard) -> int:
    """Start a worker whenever the last one has died, until all is done; how many died."""
    deaths = 0
    while dies(yard, yard.short(*SHORT)):
        deaths += 1
    return deaths


def dies(yard: Yard, worker: Process) -> bool:
    """Whether *worker* does, before all is done."""
    until(lambda: not worker.lives or not read_tables(yard.url).hot, patience=3 * SETTLING)
    died = not worker.lives
    worker.kill()
    return died


def test_a_poison_job_is_charged_alone_and_quarantined_while_the_innocent_go_on(yard: Yard) -> None:
    (poison,) = yard.enqueue("poison", "kill")
    innocent = yard.enqueue("nap", 0.01, count=5)
    once = yard.enqueue("nap", 0.01, count=2, max_attempts=1)
    assert kept_up(yard) == 1 + CRASHES_ALLOWED
    info = yard.see(poison)
    assert (info.state, info.crashes, info.attempt) == (State.QUARANTINED, CRASHES_ALLOWED, 1 + CRASHES_ALLOWED)
    assert [(attempt.event, attempt.company) for attempt in info.attempts] == [
        ("rescue", 8),
        ("rescue", 1),
        ("rescue", 1),
        ("quarantine", 1),
    ]
    for job in innocent:
        info = yard.see(job)
        assert (info.state, info.crashes, info.attempt) == (State.SUCCEEDED, 0, 2)
    for job in once:
        assert (yard.see(job).state, yard.see(job).crashes) == (State.FAILED, 0)
        assert len(yard.starts(job)) <= 1
    report = yard.report()
    assert (report.lost, report.overlaps, report.in_both) == ((), (), ())


@pytest.mark.parametrize("yard", ["sqlite-file"], indirect=True)
def test_a_poison_has_the_runner_once(yard: Yard) -> None:
    """From then on it runs in a cell of its own: else each of its crashes would cost all that runs beside it."""
    worker = yard.worker()
    (poison,) = yard.enqueue("poison", "kill")
    yard.is_(poison, State.QUARANTINED, patience=SETTLING)
    assert worker.said.count("has ended: killed by SIGKILL") == 1


@pytest.mark.soak
def test_of_a_thousand_jobs_those_that_kill_are_quarantined_and_no_other_is_harmed(yard: Yard) -> None:
    poison, innocent = [], []
    for how in DEATHS:
        innocent += yard.enqueue("nap", 0, count=250)
        poison += yard.enqueue("poison", how)
    innocent += yard.enqueue("nap", 0, count=250)
    assert kept_up(yard) <= len(poison) * (1 + CRASHES_ALLOWED)
    states = {row.job: row.state for row in read_tables(yard.url).past}
    assert {states[job] for job in poison} == {"quarantined"}
    assert {states[job] for job in innocent} == {"succeeded"}
    report = yard.report()
    assert (report.lost, report.overlaps, report.in_both) == ((), (), ())
