"""Queues: pausing them, how full they are; and the dead letters, sorted."""

import pytest

from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.failure import Failure
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Attempt, FailureGroup, JobFilter, QueueInfo, appended
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, enqueue, new_job, new_jobs, outcome, rescue, see, tagged
from tests.support.stores import age, pass_time, rows
from tests.support.waiting import until


def queues(store: Store) -> list[QueueInfo]:
    return list(store.run(store.operations.queues()))


def pause(store: Store, queue: str) -> None:
    store.run(store.control.pause(queue))


def resume(store: Store, queue: str) -> None:
    store.run(store.control.resume(queue))


# -------------------------------------------------------------------- paused


def test_nothing_of_a_paused_queue_is_claimed_until_it_is_resumed(store: Store, hand: Hand) -> None:
    enqueue(store, new_job(queue="a"), new_job(queue="b"))
    pause(store, "a")
    enqueue(store, new_job(queue="a", priority=9))
    pass_time(store, 1)
    assert [job.queue for job in hand.claim({"a": 10, "b": 10})] == ["b"]
    resume(store, "a")
    assert len(hand.claim({"a": 10, "b": 10})) == 2


def test_what_runs_in_a_paused_queue_goes_on(store: Store, hand: Hand) -> None:
    enqueue(store, *new_jobs(3))
    first, second, third = hand.take(3)
    pause(store, QUEUE)
    hand.end(first, Event.SUCCEED)
    hand.end(second, Event.RETRY)
    assert hand.claim() == []
    hand.end(third, Event.FAIL)
    resume(store, QUEUE)
    assert hand.take_one().id == second.id


def test_a_queue_that_is_paused_twice_is_resumed_once_and_was_paused_at_first(store: Store) -> None:
    pause(store, "a")
    (before,) = queues(store)
    pause(store, "a")
    assert queues(store) == [before]
    assert before.paused_at is not None
    for _ in range(2):
        resume(store, "a")
        assert queues(store) == []


@pytest.mark.parametrize("name", ["tâche.Ω.😀:a'b\"c%s%(x)s{y}", "A", "a b"])
def test_any_name_can_be_paused_and_only_that_one_is(store: Store, hand: Hand, name: str) -> None:
    enqueue(store, new_job(queue=name), new_job(queue="a"))
    pass_time(store, 1)
    pause(store, name)
    assert [job.queue for job in hand.claim({name: 1, "a": 1})] == ["a"]
    assert [(queue.name, queue.paused_at is not None) for queue in queues(store) if queue.name == name] == [
        (name, True)
    ]


# ------------------------------------------------------------------ how full


def test_an_empty_store_has_no_queues(store: Store) -> None:
    assert queues(store) == []


def test_queues_say_what_is_in_them_by_name(store: Store, hand: Hand) -> None:
    enqueue(store, *(new_job(queue="b", priority=place) for place in range(3)), new_job(queue="b", delay=HOUR))
    enqueue(store, new_job(queue="a", delay=HOUR), new_job(queue="c"))
    pass_time(store, 60)
    enqueue(store, new_job(queue="b", priority=9))
    pause(store, "empty")
    taken = hand.claim({"c": 1})
    (retried,) = hand.claim({"b": 1})
    assert hand.settle(outcome(retried, hand.id, Event.RETRY, delay=HOUR)) == frozenset()
    a, b, c, empty = queues(store)
    assert [queue.name for queue in (a, b, c, empty)] == ["a", "b", "c", "empty"]
    assert (a.ready, a.scheduled, a.retryable, a.running, a.oldest) == (0, 1, 0, 0, None)
    assert (b.ready, b.scheduled, b.retryable, b.running) == (3, 1, 1, 0)
    assert b.oldest is not None
    assert 60 <= b.oldest.total_seconds() < 3_000
    assert (c.ready, c.scheduled, c.retryable, c.running, c.oldest) == (0, 0, 0, 1, None)
    assert (empty.ready, empty.paused_at is not None, b.paused_at) == (0, True, None)
    assert hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in taken)) == frozenset()
    assert [queue.name for queue in queues(store)] == ["a", "b", "empty"]


# --------------------------------------------------------------- dead letters


def failures(store: Store, where: JobFilter = JobFilter(), limit: int = 10) -> list[FailureGroup]:  # noqa: B008 - it is frozen
    return list(store.run(store.operations.failures(where, limit)))


def failed(store: Store, hand: Hand, fingerprint: str, message: str, *tags: str, task: str = TASK) -> bytes:
    """One job that has failed of that error."""
    job = new_job(task=task, extras=tagged(*tags))
    enqueue(store, job)
    until(lambda: see(store, job.id).state is State.READY)
    (claimed,) = hand.claim(1, [task])
    error = Failure(type="ValueError", message=message, fingerprint=fingerprint)
    record = appended(None, Attempt(1, "fail", 0, 1, hand.id.hex(), error))
    done = outcome(claimed, hand.id, Event.FAIL)._replace(record=record, fingerprint=fingerprint)
    assert hand.settle(done) == frozenset()
    return job.id


def test_jobs_without_an_error_are_no_failures(store: Store, hand: Hand) -> None:
    enqueue(store, *new_jobs(4))
    for claimed, event in zip(hand.take(4), [Event.SUCCEED, Event.CANCEL, Event.RETRY, Event.EXPIRE], strict=True):
        hand.end(claimed, event)
    assert failures(store) == []


def test_failures_are_grouped_by_their_error_the_largest_group_first(store: Store, hand: Hand) -> None:
    old = failed(store, hand, "b", "order 1")
    age(store, 100)
    made = {
        name: [failed(store, hand, name, f"{name} {n}") for n in range(count)] for name, count in (("c", 1), ("b", 2))
    }
    one = failed(store, hand, "a", "alone", task="other")
    b, a, c = failures(store)
    assert [(group.fingerprint, group.jobs) for group in (b, a, c)] == [("b", 3), ("a", 1), ("c", 1)]
    latest = max(old, *made["b"])
    assert b.sample == ids.text(latest)
    assert b.error == see(store, latest).error
    ends = sorted(
        stored(info.finished_at) for info in (see(store, id_) for id_ in (old, *made["b"])) if info.finished_at
    )
    assert (stored(b.first), stored(b.latest)) == (ends[0], ends[-1])
    assert (a.task, a.sample, a.error.message) == ("other", ids.text(one), "alone")
    assert [group.fingerprint for group in failures(store, limit=2)] == ["b", "a"]


def test_filters_narrow_the_failures(store: Store, hand: Hand) -> None:
    first, second = failed(store, hand, "a", "one", "x"), failed(store, hand, "a", "two", "y", task="other")
    failed(store, hand, "b", "three", "y")
    for where, groups in (
        (JobFilter(tag="x"), {"a": ids.text(first)}),
        (JobFilter(task="other"), {"a": ids.text(second)}),
        (JobFilter(ids=(first, second)), {"a": ids.text(max(first, second))}),
        (JobFilter(fingerprint="b", tag="x"), {}),
        (JobFilter(states=(State.FAILED,), queue=QUEUE, tag="x"), {"a": ids.text(first)}),
        (JobFilter(states=(State.READY,)), {}),
        (JobFilter(finished_before=1), {}),
    ):
        assert {group.fingerprint: group.sample for group in failures(store, where)} == groups


def test_a_job_that_is_wanted_once_more_is_no_failure_any_more(store: Store, hand: Hand) -> None:
    failed(store, hand, "a", "one")
    assert len(failures(store)) == 1
    store.run(store.control.revive(JobFilter(fingerprint="a"), 10, None))
    assert failures(store) == []


def test_a_lost_job_is_a_failure_too(store: Store, hand: Hand) -> None:
    enqueue(store, new_job(max_attempts=1))
    hand.take_one()
    hand.die()
    rescue(store)
    (group,) = failures(store)
    assert (group.jobs, group.error.type) == (1, "conveyor.core.errors.WorkerLost")
    assert group.fingerprint


def test_a_record_that_somebody_has_spoilt_hides_no_failure(store: Store, hand: Hand) -> None:
    failed(store, hand, "a", "one")
    rows(store, "UPDATE conveyor_history SET attempts = args")
    (group,) = failures(store)
    assert (group.fingerprint, group.jobs) == ("a", 1)
