"""Fencing: what is written only while job, token and runner agree, and what a repeat is told."""

import os
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pytest

from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed, Outcome
from conveyor.store.contract import Store
from tests.support.jobs import Hand, Hire, enqueue, new_job, new_jobs, outcome, rescue, see

SETTLED = [Event.SUCCEED, Event.FAIL, Event.RETRY, Event.RELEASE]


class Spoil(Protocol):
    """Makes an outcome somebody else's."""

    def __call__(self, outcome: Outcome) -> Outcome: ...


WRONG: dict[str, Spoil] = {
    "an older token": lambda outcome: outcome._replace(token=outcome.token - 1),
    "a newer token": lambda outcome: outcome._replace(token=outcome.token + 1),
    "another runner": lambda outcome: outcome._replace(runner=os.urandom(16)),
    "another job": lambda outcome: outcome._replace(id=os.urandom(16)),
}


@pytest.mark.parametrize("event", SETTLED)
@pytest.mark.parametrize("wrong", WRONG)
def test_an_outcome_with_something_wrong_is_refused_and_named(
    store: Store, hand: Hand, wrong: str, event: Event
) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    before = see(store, job.id)
    bad = WRONG[wrong](outcome(claimed, hand.id, event))
    assert hand.settle(bad) == {bad.id}
    assert see(store, job.id) == before
    hand.end(claimed, event)


@pytest.mark.parametrize("event", SETTLED)
def test_a_job_that_never_ran_cannot_be_settled(store: Store, hand: Hand, event: Event) -> None:
    job = new_job()
    enqueue(store, job)
    assert hand.settle(Outcome(job.id, 1, hand.id, event)) == {job.id}
    assert see(store, job.id).state is State.READY


@pytest.mark.parametrize("event", SETTLED)
def test_a_repeated_settle_changes_nothing_and_is_not_refused(store: Store, hand: Hand, event: Event) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    written = outcome(claimed, hand.id, event)
    assert hand.settle(written) == frozenset()
    before = see(store, job.id)
    assert hand.settle(written) == frozenset()
    assert see(store, job.id) == before


def test_a_batch_of_which_a_part_was_written_before_is_written_whole(store: Store, hand: Hand) -> None:
    jobs = new_jobs(40)
    enqueue(store, *jobs)
    outcomes = [outcome(job, hand.id, SETTLED[place % 4]) for place, job in enumerate(hand.take(40))]
    assert hand.settle(*outcomes[:17]) == frozenset()
    assert hand.settle(*outcomes) == frozenset()
    states = [see(store, written.id).state for written in outcomes]
    assert states == [State.SUCCEEDED, State.FAILED, State.READY, State.READY] * 10


@pytest.mark.parametrize("event", SETTLED)
def test_the_late_outcome_of_an_attempt_that_another_runner_took_over_is_refused(
    hire: Hire, store: Store, hand: Hand, event: Event
) -> None:
    job = new_job()
    enqueue(store, job)
    slow = hire()
    old = slow.take_one()
    slow.die()
    assert rescue(store) == 1
    hand.take_one()
    before = see(store, job.id)
    assert slow.settle(outcome(old, slow.id, event)) == {job.id}
    assert see(store, job.id) == before


@pytest.mark.parametrize("event", SETTLED)
def test_the_late_outcome_of_a_rescued_attempt_is_refused(hire: Hire, store: Store, event: Event) -> None:
    job = new_job()
    enqueue(store, job)
    slow = hire()
    old = slow.take_one()
    slow.die()
    assert rescue(store) == 1
    before = see(store, job.id)
    assert slow.settle(outcome(old, slow.id, event)) == {job.id}
    assert see(store, job.id) == before


@pytest.mark.parametrize("event", SETTLED)
def test_the_late_outcome_of_an_attempt_whose_loss_ended_the_job_is_refused(
    hire: Hire, store: Store, event: Event
) -> None:
    job = new_job(max_attempts=1)
    enqueue(store, job)
    slow = hire()
    old = slow.take_one()
    slow.die()
    assert rescue(store) == 1
    before = see(store, job.id)
    assert before.state is State.FAILED
    assert slow.settle(outcome(old, slow.id, event)) == {job.id}
    assert see(store, job.id) == before


@pytest.mark.parametrize("late", SETTLED)
@pytest.mark.parametrize("first", SETTLED)
def test_the_first_of_two_different_outcomes_stays(store: Store, hand: Hand, first: Event, late: Event) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    hand.end(claimed, first)
    before = see(store, job.id)
    hand.settle(outcome(claimed, hand.id, late))
    assert see(store, job.id) == before


def test_a_refusal_does_not_hold_back_its_neighbours(store: Store, hand: Hand) -> None:
    jobs = new_jobs(10)
    enqueue(store, *jobs)
    outcomes = [outcome(job, hand.id, SETTLED[place % 4]) for place, job in enumerate(hand.take(10))]
    bad = [written._replace(token=written.token + 1) for written in outcomes[::3]]
    good = [written for place, written in enumerate(outcomes) if place % 3]
    assert hand.settle(*bad, *good) == {written.id for written in bad}
    assert all(see(store, written.id).state is State.RUNNING for written in bad)
    assert not any(see(store, written.id).state is State.RUNNING for written in good)


@pytest.mark.parametrize("claims", [1, 2, 5])
def test_only_the_newest_attempt_may_write(hire: Hire, store: Store, claims: int) -> None:
    job = new_job(max_attempts=100)
    enqueue(store, job, new_job(max_attempts=100))
    past: list[Callable[[], frozenset[bytes]]] = []
    for _ in range(claims):
        hand = hire()
        claimed: Claimed = next(taken for taken in hand.take(2) if taken.id == job.id)
        late = outcome(claimed, hand.id, Event.SUCCEED)
        past.append(partial(hand.settle, late))
        hand.die()
        rescue(store)
    newest = hire()
    held = next(taken for taken in newest.take(2) if taken.id == job.id)
    assert [settle() for settle in past] == [{job.id}] * claims
    newest.end(held, Event.SUCCEED)
    assert see(store, job.id).token == held.token
