"""Claim: who gets what, in which order, and what it costs."""

import random
from collections import Counter
from collections.abc import Callable
from threading import Barrier, Thread

import pytest

from conveyor.core.clock import stored
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, Hire, enqueue, new_job, new_jobs, rescue, see
from tests.support.stores import SHARED, pass_time, rows


def test_a_claim_makes_the_job_running_and_spends_an_attempt(store: Store, hand: Hand) -> None:
    job = new_job(priority=3, max_attempts=2)._replace(timeout=9_000_000)
    enqueue(store, job)
    claimed = hand.take_one()
    info = see(store, job.id)
    assert claimed == Claimed(
        id=job.id,
        task=job.task,
        queue=job.queue,
        priority=3,
        run_after=stored(info.run_after),
        attempt=1,
        max_attempts=2,
        crashes=0,
        token=info.token,
        timeout=9_000_000,
        args=job.args,
        attempts=None,
        last_attempted_at=claimed.token,
    )
    assert (info.state, info.attempt, info.runner) == (State.RUNNING, 1, hand.id.hex())
    assert info.started_at == info.last_attempted_at
    assert info.token > 0


def test_a_claimed_job_is_not_claimed_again(hire: Hire, store: Store, hand: Hand) -> None:
    enqueue(store, *new_jobs(3))
    hand.take(3)
    assert hand.claim() == []
    assert hire().claim() == []


def test_an_empty_queue_gives_nothing(store: Store, hand: Hand) -> None:
    assert hand.claim() == []
    assert hand.claim({}) == []
    assert hand.claim(tasks=()) == []


def test_higher_priority_first_then_the_earlier_time(store: Store, hand: Hand) -> None:
    chance = random.Random(7)
    jobs = [new_job(priority=chance.randint(-100, 100)) for _ in range(300)]
    enqueue(store, *jobs)
    expected = sorted(jobs, key=lambda job: -job.priority)  # stable: within one priority as enqueued
    pass_time(store, 1)
    taken = [*hand.claim(7), *hand.claim(100), *hand.claim(1), *hand.claim(500)]
    assert [job.id for job in taken] == [job.id for job in expected]


def test_the_order_holds_over_all_queues_of_one_claim(store: Store, hand: Hand) -> None:
    jobs = [new_job(queue=queue, priority=place % 2) for place in range(10) for queue in ("b", "a", "c")]
    enqueue(store, *jobs)
    pass_time(store, 1)
    taken = hand.claim({"a": 10, "b": 10, "c": 10})
    assert [job.id for job in taken] == [job.id for job in sorted(jobs, key=lambda job: -job.priority)]


def test_each_queue_gets_its_own_room(store: Store, hand: Hand) -> None:
    enqueue(store, *(new_job(queue=queue, priority=place % 5) for place in range(20) for queue in "abcd"))
    pass_time(store, 1)
    taken = hand.claim({"a": 3, "b": 0, "c": 50})
    assert Counter(job.queue for job in taken) == {"a": 3, "c": 20}
    assert all(job.priority == 4 for job in taken if job.queue == "a")


def test_a_task_that_the_worker_does_not_know_is_left_alone(store: Store, hand: Hand) -> None:
    strange, known = new_job(task="other.task", priority=9), new_job()
    enqueue(store, strange, known)
    assert hand.take_one().id == known.id
    assert hand.claim() == []
    info = see(store, strange.id)
    assert (info.state, info.attempt, info.token) == (State.READY, 0, 0)
    assert [job.id for job in hand.claim(tasks=[TASK, "other.task"])] == [strange.id]


def test_unknown_tasks_in_front_do_not_use_up_the_room(store: Store, hand: Hand) -> None:
    enqueue(store, *(new_job(task="other.task") for _ in range(50)))
    enqueue(store, *new_jobs(2))
    pass_time(store, 1)
    assert len(hand.claim(2)) == 2


def test_nothing_starts_before_its_time(store: Store, hand: Hand) -> None:
    job = new_job(delay=HOUR, priority=100)
    enqueue(store, job)
    assert hand.claim() == []
    pass_time(store, 3599)
    assert hand.claim() == []
    pass_time(store, 1)
    assert hand.take_one().id == job.id


def test_a_job_starts_once_its_short_delay_is_over(store: Store, hand: Hand) -> None:
    enqueue(store, new_job(delay=30_000))
    claimed = hand.take_one()
    assert claimed.last_attempted_at >= claimed.run_after


def test_no_claim_by_a_runner_that_never_registered(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    strange = b"\1" * 16
    assert store.run(store.operations.claim(strange, {QUEUE: 1}, [TASK])) == []
    hand.take_one()


def test_no_claim_once_the_lease_has_ended(hire: Hire, store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    dead = hire()
    dead.die()
    assert dead.claim() == []
    hand.take_one()


@pytest.mark.parametrize("event", [Event.RETRY, Event.RELEASE, Event.RESCUE])
def test_tokens_increase_whatever_made_the_job_ready_again(hire: Hire, store: Store, event: Event) -> None:
    job, company = new_job(max_attempts=100), new_job(max_attempts=100)
    enqueue(store, job, company)
    claims, between = [0], []
    for _ in range(10):
        hand = hire()
        claimed = {taken.id: taken for taken in hand.take(2)}
        claims.append(claimed[job.id].token)
        if event is not Event.RESCUE:
            hand.end(claimed[job.id], event)
            hand.end(claimed[company.id], event)
        hand.die()  # with both jobs or none: of a crash in company nobody is accused
        rescue(store)
        between.append(see(store, job.id).token)
    assert claims == sorted(set(claims))
    assert all(before <= token < after for before, token, after in zip(claims[1:], between, claims[2:], strict=False))


def test_a_token_increases_also_when_the_clock_was_ahead_once(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    ahead = hand.take_one().token + HOUR
    rows(store, f"UPDATE conveyor_job SET token = {ahead}, state = 'waiting', runner = NULL")
    assert hand.take_one().token == ahead + 1


def test_the_first_start_is_kept_and_the_latest_moves(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    first = hand.take_one()
    hand.end(first, Event.RETRY)
    second = hand.take_one()
    info = see(store, job.id)
    assert info.started_at is not None
    assert info.last_attempted_at is not None
    assert stored(info.started_at) == first.last_attempted_at
    assert stored(info.last_attempted_at) == second.last_attempted_at > first.last_attempted_at


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_many_claimers_share_without_taking_a_job_twice(hire: Hire, opened: Callable[[], Store]) -> None:
    stores = [opened() for _ in range(4)]
    enqueue(stores[0], *new_jobs(2000))
    pass_time(stores[0], 1)
    taken: list[list[bytes]] = [[] for _ in stores]
    start = Barrier(len(stores))

    def work(place: int) -> None:
        hand = hire(stores[place])
        start.wait()
        while jobs := hand.claim(25):
            taken[place] += [job.id for job in jobs]

    threads = [Thread(target=work, args=(place,)) for place in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [id_ for ours in taken for id_ in ours]
    assert len(ids) == len(set(ids)) == 2000
