"""Enqueue: in order, in any number, all or nothing."""

import pytest

from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.errors import StoreRefused
from conveyor.core.lifecycle import State
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, Hand, Hire, enqueue, new_job, new_jobs, see
from tests.support.stores import Loop, tables


def test_a_job_is_stored_as_it_was_given(store: Store) -> None:
    job = new_job(task="a.b", queue="q", priority=-7, max_attempts=3, args=b'[["\xc3\xa9"],{}]')
    enqueue(store, job._replace(timeout=1_500_000))
    info = see(store, job.id)
    assert (info.id, info.task, info.queue, info.priority) == (ids.text(job.id), "a.b", "q", -7)
    assert (info.max_attempts, info.payload) == (3, job.args)
    assert info.timeout is not None
    assert info.timeout.total_seconds() == 1.5
    assert (info.attempt, info.crashes, info.token, info.attempts) == (0, 0, 0, ())
    assert (info.started_at, info.finished_at, info.run_time, info.runner, info.result) == (None,) * 5


@pytest.mark.parametrize("count", [0, 1, 1000, 5000])
def test_any_number_of_jobs_goes_in_at_once_and_comes_out_in_order(hire: Hire, store: Store, count: int) -> None:
    jobs = new_jobs(count)
    enqueue(store, *jobs)
    assert tables(store) == (count, 0)
    taken = hire().take(count)
    assert [job.id for job in taken] == [job.id for job in jobs]
    assert [job.args for job in taken] == [job.args for job in jobs]


def test_jobs_of_later_calls_come_out_later(store: Store, hand: Hand) -> None:
    jobs = new_jobs(20)
    for job in jobs:
        enqueue(store, job)
    assert [job.id for job in hand.take(20)] == [job.id for job in jobs]


def test_a_due_time_and_a_delay_are_kept_to_the_microsecond(store: Store) -> None:
    soon = new_job(delay=HOUR)
    enqueue(store, soon)
    info = see(store, soon.id)
    assert stored(info.run_after) - stored(info.enqueued_at) == HOUR
    due = stored(info.run_after) + 12_345
    later = new_job()._replace(due=due)
    enqueue(store, later)
    assert stored(see(store, later.id).run_after) == due
    assert see(store, later.id).state is State.SCHEDULED


def test_a_due_time_in_the_past_means_now(store: Store, hand: Hand) -> None:
    first, second = new_job(), new_job()._replace(due=1)
    enqueue(store, first)
    enqueue(store, second)
    info = see(store, second.id)
    assert info.run_after >= info.enqueued_at
    assert [job.id for job in hand.take(2)] == [first.id, second.id]


@pytest.mark.parametrize("place", [0, 50, 99])
def test_all_are_stored_or_none(store: Store, place: int) -> None:
    known = new_job()
    enqueue(store, known)
    jobs = new_jobs(99)
    jobs.insert(place, known)
    with pytest.raises(StoreRefused):
        enqueue(store, *jobs)
    assert tables(store) == (1, 0)


def test_a_refused_enqueue_does_not_take_its_neighbours_along(store: Store) -> None:
    known = new_job()
    enqueue(store, known)
    good = [new_job() for _ in range(20)]
    batches = [[job] for job in good] + [[known, new_job()]]
    with Loop(store) as loop:
        answers = loop.gather([store.operations.enqueue(batch) for batch in batches])
    assert [isinstance(answer, StoreRefused) for answer in answers] == [False] * 20 + [True]
    assert tables(store) == (21, 0)


@pytest.mark.parametrize("value", [-100, 100])
def test_priorities_reach_both_ends(store: Store, value: int) -> None:
    job = new_job(priority=value)
    enqueue(store, job)
    assert see(store, job.id).priority == value


def test_names_come_back_unchanged(store: Store, hand: Hand) -> None:
    name = "tâche.Ω.😀:a'b\"c%s%(x)s{y}"
    enqueue(store, new_job(task=name, queue=name))
    (claimed,) = hand.claim({name: 1}, [name])
    assert (claimed.task, claimed.queue) == (name, name)


@pytest.mark.parametrize("payload", [b"", b"\0", b"[[],{}]", bytes(range(256)) * 100])
def test_any_bytes_come_back_unchanged_and_hold_back_no_neighbour(store: Store, hand: Hand, payload: bytes) -> None:
    """A row that was damaged, or is encrypted, is no text; its queue goes on."""
    enqueue(store, new_job(), new_job(args=payload), new_job())
    assert [bytes(job.args) for job in hand.take(3)] == [b"[[],{}]", payload, b"[[],{}]"]
