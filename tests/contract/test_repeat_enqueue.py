"""A repeated enqueue: each job is there once, whatever became of the first try, and of the job since."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from conveyor.core.lifecycle import Event
from conveyor.core.model import NewJob
from conveyor.drivers.postgres import carry
from conveyor.plan import run
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, Hand, Hire, enqueue, new_job, new_jobs, outcome, rescue, see
from tests.support.postgres import session, waiting
from tests.support.stores import tables
from tests.support.threads import together
from tests.support.waiting import until

ON_POSTGRES = pytest.mark.parametrize("url", ["postgres"], indirect=True)


def repeat(store: Store, *jobs: NewJob) -> None:
    store.run(store.operations.repeat_enqueue(jobs))


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_what_never_arrived_is_stored_in_order(store: Store, hand: Hand, count: int) -> None:
    jobs = new_jobs(count)
    repeat(store, *jobs)
    assert [job.id for job in hand.take(count)] == [job.id for job in jobs]


@pytest.mark.parametrize("count", [1, 1000])
def test_what_did_arrive_is_left_as_it_is(store: Store, count: int) -> None:
    jobs = new_jobs(count)
    enqueue(store, *jobs)
    before = [see(store, job.id) for job in jobs[:10]]
    repeat(store, *jobs)
    assert [see(store, job.id) for job in jobs[:10]] == before
    assert tables(store) == (count, 0)


def test_a_part_that_did_arrive_is_completed(store: Store) -> None:
    jobs = new_jobs(10)
    enqueue(store, *jobs[2:5])
    repeat(store, *jobs)
    assert tables(store) == (10, 0)


def test_a_due_time_is_kept(store: Store, hand: Hand) -> None:
    repeat(store, new_job(delay=HOUR))
    assert hand.claim() == []


def test_a_running_job_is_left_alone(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    before = see(store, job.id)
    repeat(store, job)
    assert see(store, job.id) == before
    hand.end(claimed, Event.SUCCEED)
    assert tables(store) == (0, 1)


@pytest.mark.parametrize("event", [Event.RETRY, Event.RELEASE, Event.SUCCEED, Event.FAIL, Event.QUARANTINE])
def test_a_job_that_has_run_since_stays_as_it_is(store: Store, hand: Hand, event: Event) -> None:
    job = new_job()
    enqueue(store, job)
    hand.end(hand.take_one(), event)
    before = see(store, job.id)
    repeat(store, job)
    assert see(store, job.id) == before
    assert sum(tables(store)) == 1


def test_every_kind_of_past_may_stand_in_one_repeat(store: Store, hire: Hire, hand: Hand) -> None:
    jobs = new_jobs(6)
    enqueue(store, *jobs[:5])
    dead = hire()
    for place, event in enumerate([Event.SUCCEED, Event.FAIL, Event.RETRY]):
        hand.end(hand.take_one(), event, delay=HOUR if place == 2 else 0)
    dead.take(2)
    dead.die()
    rescue(store)
    before = [see(store, job.id) for job in jobs[:5]]
    for _ in range(3):
        repeat(store, *jobs)
    assert [see(store, job.id) for job in jobs[:5]] == before
    assert tables(store) == (4, 2)


def test_repeats_against_a_running_settler_make_no_job_twice(
    store: Store, opened: Callable[[], Store], hire: Hire, url: str
) -> None:
    stores = [store if "memory" in url else opened() for _ in range(8)]
    hands = [hire(one) for one in stores[:2]]
    jobs = new_jobs(300)
    claims: Counter[bytes] = Counter()

    def repeats(place: int) -> None:
        parts = [jobs[start : start + 20] for start in range(0, 300, 20)] * 3
        random.Random(place).shuffle(parts)
        for part in parts:
            repeat(stores[place], *part)

    def settles(hand: Hand) -> None:
        while len(claims) < len(jobs):
            taken = hand.claim(10)
            claims.update(job.id for job in taken)
            assert hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in taken)) == frozenset()

    calls = [lambda place=place: repeats(place) for place in range(8)]
    together([*calls, *(lambda hand=hand: settles(hand) for hand in hands)])
    assert tables(store) == (0, 300)
    assert set(claims.values()) == {1}


@ON_POSTGRES
@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.RETRY])
@pytest.mark.parametrize("commits", [True, False])
def test_a_settle_in_flight_is_waited_for(store: Store, url: str, hire: Hire, event: Event, commits: bool) -> None:
    job, before, after = new_jobs(3)
    enqueue(store, job)
    hand = hire()
    claimed = hand.take_one()
    with session(url) as settling, ThreadPoolExecutor(1) as pool:
        written = outcome(claimed, hand.id, event, delay=HOUR)
        assert run(store.operations.settle([written]), carry(settling)) == Settled()
        repeated = pool.submit(repeat, store, before, job, after)
        until(lambda: waiting(url) == 1)
        assert not repeated.done()
        if commits:
            settling.commit()
        else:
            settling.rollback()
        repeated.result()
    finished = commits and event is not Event.RETRY
    assert tables(store) == ((2, 1) if finished else (3, 0))
    assert see(store, job.id).token == claimed.token
    assert (see(store, job.id).runner == hand.id.hex()) is (finished or not commits)


@ON_POSTGRES
@pytest.mark.parametrize("commits", [True, False])
def test_an_enqueue_in_flight_is_waited_for(store: Store, url: str, commits: bool) -> None:
    jobs = new_jobs(3)
    with session(url) as first, ThreadPoolExecutor(1) as pool:
        run(store.operations.enqueue(jobs), carry(first))
        repeated = pool.submit(repeat, store, *jobs)
        until(lambda: waiting(url) == 1)
        if commits:
            first.commit()
        else:
            first.rollback()
        repeated.result()
    assert tables(store) == (3, 0)


@ON_POSTGRES
def test_no_one_sees_the_job_that_a_repeat_takes_back(store: Store, url: str, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    hand.end(hand.take_one(), Event.SUCCEED)
    with session(url) as repeating:
        run(store.operations.repeat_enqueue([job]), carry(repeating))
        assert hand.claim() == []
        repeating.commit()
    assert hand.claim() == []
    assert tables(store) == (0, 1)
