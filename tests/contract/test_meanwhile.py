"""PostgreSQL: what holds while others write the same rows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from conveyor.core.lifecycle import Event, State, ending
from conveyor.core.model import Completion
from conveyor.drivers.postgres import carry
from conveyor.plan import run
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from tests.support.jobs import Hand, Hire, enqueue, new_job, new_jobs, outcome, rescue, see
from tests.support.postgres import session, waiting
from tests.support.stores import number
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("url", ["postgres"], indirect=True)


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.RETRY])
@pytest.mark.parametrize("commits", [True, False])
def test_a_job_whose_row_is_rewritten_during_its_settle_is_settled_once(
    store: Store, url: str, hand: Hand, event: Event, commits: bool
) -> None:
    job, other = new_jobs(2)
    enqueue(store, job, other)
    outcomes = [outcome(claimed, hand.id, event) for claimed in hand.take(2)]
    with session(url) as operator, ThreadPoolExecutor(1) as pool:
        operator.execute("UPDATE conveyor_job SET priority = 9 WHERE args = %s", (job.args,))
        settled = pool.submit(hand.settle, *outcomes)
        until(lambda: waiting(url) == 1)
        if commits:
            operator.commit()
        else:
            operator.rollback()
        assert settled.result() == frozenset()
    for id_ in (job.id, other.id):
        assert see(store, id_).state is (ending(event) or State.READY)
    both = "SELECT count(*) FROM conveyor_job JOIN conveyor_history USING (id)"
    assert number(store, both) == 0


def test_a_claim_in_flight_is_passed_by_and_not_waited_for(store: Store, url: str, hire: Hire) -> None:
    first, second = hire(), hire()
    jobs = new_jobs(10)
    enqueue(store, *jobs)
    until(lambda: number(store, "SELECT count(*) FROM conveyor_job WHERE run_after <= conveyor_now()") == 10)
    with session(url) as claiming:
        plan = store.operations.claim(first.id, {"default": 4}, [job.task for job in jobs])
        taken = run(plan, carry(claiming))
        assert [job.id for job in second.claim(10)] == [job.id for job in jobs[4:]]
        claiming.rollback()
    assert [job.id for job in second.claim(10)] == [job.id for job in taken]


def test_two_rescuers_count_each_job_once(store: Store, opened: Callable[[], Store], url: str, hire: Hire) -> None:
    jobs = new_jobs(6)
    enqueue(store, *jobs)
    dead = hire()
    dead.take(6)
    dead.die()
    with session(url) as first:
        mine = run(store.operations.rescue(100), carry(first))
        assert (len(mine.jobs), rescue(opened())) == (6, 0)
        first.commit()
    assert rescue(store) == 0
    assert [see(store, job.id).crashes for job in jobs] == [0] * 6
    assert [len(see(store, job.id).attempts) for job in jobs] == [1] * 6


def test_a_claim_that_commits_after_its_runner_died_is_rescued(store: Store, url: str, hire: Hire) -> None:
    job = new_job()
    enqueue(store, job)
    slow = hire()
    with session(url) as claiming:
        until(lambda: bool(run(store.operations.claim(slow.id, {"default": 1}, [job.task]), carry(claiming))))
        slow.die()
        assert rescue(store) == 0
        claiming.commit()
    assert store.run(store.operations.dead_runners()) == 1
    assert rescue(store) == 1
    assert see(store, job.id).state is State.READY


def test_settles_of_the_same_jobs_in_any_order_do_not_deadlock(
    store: Store, opened: Callable[[], Store], hire: Hire
) -> None:
    enqueue(store, *new_jobs(400))
    hand = hire()
    outcomes = [outcome(job, hand.id, Event.SUCCEED) for job in hand.take(400)]
    settle = store.operations.settle
    others = [opened() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        orders = [outcomes, outcomes[::-1], outcomes[200:] + outcomes[:200], outcomes[::2] + outcomes[1::2]]
        answers = [pool.submit(one.run, settle(order)) for one, order in zip(others, orders, strict=True)]
        assert [answer.result() for answer in answers] == [Settled()] * 4
    assert number(store, "SELECT count(*) FROM conveyor_history") == 400


def test_a_completion_that_stands_still_holds_up_the_rescue_of_no_other_job(store: Store, url: str, hire: Hire) -> None:
    """Its process was stopped between the completion and the COMMIT, say, for longer than its lease."""
    jobs = new_jobs(3)
    enqueue(store, *jobs)
    stopped, dead = hire(), hire()
    one, other = stopped.take(2)
    dead.take_one()
    with session(url) as completing:
        done = Completion(one.id, one.token, stopped.id, b"1", None)
        assert run(store.operations.complete(done), carry(completing))
        stopped.die()
        dead.die()
        rescued = store.run(store.operations.rescue(10))
        assert sorted(held.id for held, _ in rescued.jobs) == sorted(job.id for job in jobs if job.id != one.id)
        assert [see(store, job.id).crashes for job in (one, other)] == [0, 0], "it was not alone"
        completing.commit()
    assert see(store, one.id).state is State.SUCCEEDED
    assert rescue(store) == 0
