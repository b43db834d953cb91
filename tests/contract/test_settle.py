"""Settle: what each event makes of a running job, and what is kept of it."""

import pytest

from conveyor.core.clock import MICROSECOND, stored
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import GIVEN_BACK, Event, State, ending, targets
from conveyor.core.model import ATTEMPTS_KEPT, Outcome
from conveyor.store.contract import Store
from tests.support.jobs import CHANGED_ITS_MIND, HOUR, Hand, enqueue, new_job, new_jobs, outcome, see
from tests.support.stores import pass_time, tables

pytestmark = pytest.mark.smoke


def test_a_success_moves_the_job_to_history_with_its_result(store: Store, hand: Hand) -> None:
    job = new_job(priority=5, args=b'[["x"],{}]')
    enqueue(store, job)
    before = see(store, job.id)
    claimed = hand.take_one()
    running = see(store, job.id)
    hand.end(claimed, Event.SUCCEED)
    info = see(store, job.id)
    assert tables(store) == (0, 1)
    assert (info.state, info.result, info.attempts, info.error) == (State.SUCCEEDED, b"42", (), None)
    assert (info.attempt, info.crashes, info.token) == (1, 0, claimed.token)
    assert info.run_time == 7 * MICROSECOND
    assert info.finished_at is not None
    assert info.started_at is not None
    assert info.finished_at >= info.started_at
    for name in ("id", "task", "queue", "priority", "max_attempts", "timeout", "payload", "enqueued_at"):
        assert getattr(info, name) == getattr(before, name), name
    for name in ("run_after", "started_at", "last_attempted_at", "runner"):
        assert getattr(info, name) == getattr(running, name), name


def test_a_success_without_a_result_has_none(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    assert hand.settle(outcome(claimed, hand.id, Event.SUCCEED)._replace(result=None)) == frozenset()
    assert see(store, job.id).result is None


def test_a_failure_moves_the_job_to_history_with_its_error(store: Store, hand: Hand) -> None:
    job = new_job(max_attempts=1)
    enqueue(store, job)
    hand.end(hand.take_one(), Event.FAIL)
    info = see(store, job.id)
    assert tables(store) == (0, 1)
    assert (info.state, info.result, info.attempt) == (State.FAILED, None, 1)
    assert [attempt.event for attempt in info.attempts] == ["fail"]
    assert str(info.error) == "ValueError: attempt 1"


def test_a_retry_waits_for_its_delay_and_keeps_the_attempt_spent(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    hand.end(claimed, Event.RETRY, delay=HOUR)
    info = see(store, job.id)
    assert tables(store) == (1, 0)
    assert (info.state, info.attempt, info.crashes, info.runner) == (State.RETRYABLE, 1, 0, None)
    assert stored(info.run_after) >= claimed.last_attempted_at + HOUR
    assert [attempt.number for attempt in info.attempts] == [1]
    assert hand.claim() == []
    pass_time(store, 3600)
    again = hand.take_one()
    assert (again.attempt, again.attempts is not None) == (2, True)


def test_a_retry_without_delay_is_ready_at_once(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    hand.end(claimed, Event.RETRY)
    assert see(store, job.id).state is State.READY
    assert hand.take_one().attempt == 2


def test_a_release_gives_the_attempt_back_and_leaves_no_record(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    hand.end(claimed, Event.RELEASE)
    info = see(store, job.id)
    assert (info.state, info.attempt, info.crashes, info.attempts) == (State.READY, 0, 0, ())
    assert stored(info.run_after) > claimed.run_after
    assert hand.take_one().attempt == 1


def test_a_release_of_a_job_that_failed_before_keeps_its_record(store: Store, hand: Hand) -> None:
    job = new_job()
    enqueue(store, job)
    hand.end(hand.take_one(), Event.RETRY)
    hand.end(hand.take_one(), Event.RELEASE)
    info = see(store, job.id)
    assert (info.attempt, [attempt.number for attempt in info.attempts]) == (1, [1])


def test_a_release_with_a_pause_waits(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    hand.end(hand.take_one(), Event.RELEASE, delay=HOUR)
    assert hand.claim() == []
    pass_time(store, 3600)
    assert hand.take_one().attempt == 1


@pytest.mark.parametrize("event", [event for event in Event if targets(State.RUNNING, event)])
@pytest.mark.parametrize("crash", [False, True])
def test_every_event_ends_or_continues_the_job_as_the_table_says(
    store: Store, hand: Hand, event: Event, crash: bool
) -> None:
    job = new_job()
    enqueue(store, job)
    claimed = hand.take_one()
    assert hand.settle(outcome(claimed, hand.id, event)._replace(crash=crash)) == frozenset()
    info = see(store, job.id)
    assert info.state is (ending(event) or State.READY)
    assert info.crashes == crash
    assert info.attempt == (0 if event in GIVEN_BACK or event is Event.EXPIRE else 1)
    assert info.cancelled == {Event.CANCEL: CHANGED_ITS_MIND, Event.EXPIRE: EXPIRED}.get(event)
    assert tables(store) == ((0, 1) if info.state.final else (1, 0))


def test_one_batch_may_hold_every_kind_of_outcome(store: Store, hand: Hand) -> None:
    jobs = new_jobs(105)
    enqueue(store, *jobs)
    events = [Event.SUCCEED, Event.RETRY, Event.FAIL, Event.RELEASE, Event.CANCEL, Event.SNOOZE, Event.EXPIRE]
    taken = hand.take(105)
    given = {job.id: events[place % 7] for place, job in enumerate(taken)}
    outcomes = [outcome(job, hand.id, given[job.id]) for job in taken]
    strange = Outcome(new_job().id, 1, hand.id, Event.SUCCEED)
    assert hand.settle(*reversed(outcomes), strange) == {strange.id}
    assert tables(store) == (45, 60)
    for id_, event in given.items():
        info = see(store, id_)
        assert info.state is (ending(event) or State.READY)
        assert info.attempt == (0 if event in GIVEN_BACK or event is Event.EXPIRE else 1)
        assert (info.result == b"42") is (event is Event.SUCCEED)
        assert (info.error is None) is (event not in {Event.RETRY, Event.FAIL})


def test_no_outcomes_is_no_error(hand: Hand) -> None:
    assert hand.settle() == frozenset()


def test_the_record_of_attempts_keeps_its_first_and_its_latest(store: Store, hand: Hand) -> None:
    job = new_job(max_attempts=100)
    enqueue(store, job)
    for _ in range(25):
        hand.end(hand.take_one(), Event.RETRY)
    numbers = [attempt.number for attempt in see(store, job.id).attempts]
    assert len(numbers) == ATTEMPTS_KEPT == 20
    assert numbers == [1, *range(7, 26)]
    hand.end(hand.take_one(), Event.SUCCEED)
    info = see(store, job.id)
    assert (info.state, info.attempt) == (State.SUCCEEDED, 26)
    assert [attempt.number for attempt in info.attempts] == numbers


def test_a_large_batch_is_written_whole(store: Store, hand: Hand) -> None:
    enqueue(store, *new_jobs(3000))
    taken = hand.take(3000)
    assert hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in taken)) == frozenset()
    assert tables(store) == (0, 3000)
