"""Rescue: what becomes of the jobs of a dead runner."""

from collections.abc import Callable

import pytest

from conveyor.core.extras import decoded
from conveyor.core.lifecycle import Event, State, ending
from conveyor.core.model import JobFilter
from conveyor.store.answers import Rescued
from conveyor.store.contract import Store
from tests.support.jobs import TASK, Hand, Hire, enqueue, new_job, new_jobs, rescue, see, tagged
from tests.support.stores import SHARED, tables

pytestmark = pytest.mark.smoke


def test_the_job_of_a_dead_runner_is_ready_again_and_the_crash_is_counted(hire: Hire, store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    dead = hire()
    claimed = dead.take_one()
    dead.die()
    ((held, outcome),) = store.run(store.operations.rescue(10)).jobs
    assert (held.id, held.token, held.runner) == (job.id, claimed.token, dead.id)
    assert (outcome.event, outcome.crash) == (Event.RESCUE, True)
    info = see(store, job.id)
    assert (info.state, info.attempt, info.crashes, info.runner) == (State.READY, 1, 1, None)
    (attempt,) = info.attempts
    assert (attempt.number, attempt.event, attempt.runner) == (1, "rescue", dead.id.hex())
    assert attempt.started_at == claimed.last_attempted_at <= attempt.finished_at
    assert attempt.error is not None
    assert attempt.error.type == "conveyor.core.errors.WorkerLost"
    assert hand.take_one().attempt == 2


def test_of_several_jobs_none_is_charged_with_the_crash(hire: Hire, store: Store) -> None:
    jobs = new_jobs(5)
    enqueue(store, *jobs)
    dead = hire()
    dead.take(5)
    dead.die()
    assert rescue(store) == 5
    for job in jobs:
        info = see(store, job.id)
        assert (info.state, info.attempt, info.crashes) == (State.READY, 1, 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_of_several_jobs_none_is_charged_also_when_the_limit_parts_them(hire: Hire, store: Store, limit: int) -> None:
    jobs = new_jobs(5)
    enqueue(store, *jobs)
    dead = hire()
    dead.take(5)
    dead.die()
    while store.run(store.operations.rescue(limit)).more:
        pass
    assert [see(store, job.id).state for job in jobs] == [State.READY] * 5
    assert [see(store, job.id).crashes for job in jobs] == [0] * 5


def test_what_a_runner_has_settled_before_it_died_is_no_company(hire: Hire, store: Store) -> None:
    jobs = new_jobs(2)
    enqueue(store, *jobs)
    dead = hire()
    first, second = dead.take(2)
    dead.end(first, Event.SUCCEED)
    dead.die()
    assert rescue(store) == 1
    assert see(store, second.id).crashes == 1


def test_each_of_several_dead_runners_is_judged_by_itself(hire: Hire, store: Store) -> None:
    enqueue(store, *new_jobs(5))
    alone, two, others = hire(), hire(), hire()
    (single,) = alone.take(1)
    pair = two.take(2)
    living = others.take(2)
    alone.die()
    two.die()
    assert rescue(store) == 3
    assert see(store, single.id).crashes == 1
    assert [see(store, job.id).crashes for job in pair] == [0, 0]
    assert [see(store, job.id).state for job in living] == [State.RUNNING] * 2


@pytest.mark.parametrize("company", [0, 1])
def test_a_job_without_attempts_left_is_failed_as_lost(hire: Hire, store: Store, company: int) -> None:
    job = new_job(max_attempts=1)
    enqueue(store, job, *new_jobs(company))
    dead = hire()
    dead.take(1 + company)
    dead.die()
    assert rescue(store) == 1 + company
    info = see(store, job.id)
    assert (info.state, info.attempt, info.crashes) == (State.FAILED, 1, 1 - company)
    assert [attempt.event for attempt in info.attempts] == ["lose"]
    assert info.error is not None
    assert info.error.type.endswith("WorkerLost")
    assert info.finished_at is not None
    assert tables(store) == (company, 1)


def test_the_third_crash_puts_the_job_into_quarantine(hire: Hire, store: Store) -> None:
    job = new_job(max_attempts=10)
    enqueue(store, job)
    for crash in (1, 2, 3):
        assert see(store, job.id).state is State.READY
        dead = hire()
        dead.take_one()
        dead.die()
        assert rescue(store) == 1
        assert see(store, job.id).crashes == crash
    info = see(store, job.id)
    assert (info.state, info.attempt) == (State.QUARANTINED, 3)
    assert [attempt.event for attempt in info.attempts] == ["rescue", "rescue", "quarantine"]
    assert tables(store) == (0, 1)


def test_the_job_of_a_living_runner_is_left_alone(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    hand.take_one()
    before = see(store, job.id)
    assert store.run(store.operations.rescue(10)) == Rescued((), more=False)
    assert see(store, job.id) == before


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_jobs_that_were_asked_to_stop_end_with_their_runner_and_each_is_told_of(
    hire: Hire, store: Store, asked: int
) -> None:
    """Beside one that is lost for good and one that goes on, in one rescue."""
    jobs = [new_job(max_attempts=limit) for limit in (1, 5, 5)]
    enqueue(store, *jobs)
    dead = hire()
    dead.take(3)
    wanted = tuple(job.id for job in jobs[:asked])
    assert store.run(store.control.ask(JobFilter(ids=wanted), "stop", 10, None)).changed == asked
    dead.die()
    rescued = store.run(store.operations.rescue(10))
    ends = [Event.LOSE, *[Event.CANCEL] * (asked - 1), *[Event.RESCUE] * (3 - asked)]
    assert {held.id: end.event for held, end in rescued.jobs} == dict(zip([job.id for job in jobs], ends, strict=True))
    infos = [see(store, job.id) for job in jobs]
    assert [info.state for info in infos] == [ending(event) or State.READY for event in ends]
    assert [info.cancelled for info in infos] == ["stop" if event is Event.CANCEL else None for event in ends]
    assert [info.attempts[-1].event for info in infos] == ["lose", "rescue", "rescue"]
    assert store.run(store.operations.rescue(10)).jobs == ()


def test_a_pass_takes_so_many_runners_and_says_whether_there_are_more(hire: Hire, store: Store) -> None:
    enqueue(store, *new_jobs(10))
    for _ in range(5):
        dead = hire()
        dead.take(2)
        dead.die()
    passes = [store.run(store.operations.rescue(2)) for _ in range(4)]
    assert [len(rescued.jobs) for rescued in passes] == [4, 4, 2, 0]
    assert [rescued.more for rescued in passes] == [True, True, False, False]


def test_rescue_names_each_job_that_came_back_and_what_became_of_it(hire: Hire, store: Store) -> None:
    jobs = [new_job(queue=name, max_attempts=limit, extras=tagged(name)) for name, limit in (("a", 1), ("b", 2))]
    enqueue(store, *jobs, new_job(queue="c"))
    dead = hire()
    for name in "ab":
        while not dead.claim({name: 1}):
            pass
    dead.die()
    rescued = store.run(store.operations.rescue(10))
    found = sorted((held.queue, held.task, decoded(held.extras).tag_list, end.event) for held, end in rescued.jobs)
    assert found == [("a", TASK, ("a",), Event.LOSE), ("b", TASK, ("b",), Event.RESCUE)]
    assert [see(store, job.id).state for job in jobs] == [State.FAILED, State.READY]


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_runner_is_rescued_through_another_connection(hire: Hire, opened: Callable[[], Store]) -> None:
    here, there = opened(), opened()
    job = new_job()
    enqueue(here, job)
    dead = hire(there)
    dead.take_one()
    assert rescue(here) == 0
    dead.die()
    assert rescue(here) == 1
    assert see(there, job.id).state is State.READY
