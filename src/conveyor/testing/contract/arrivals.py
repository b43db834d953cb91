"""How jobs come into a store."""

import pytest

from conveyor.core import ids
from conveyor.core.clock import MICROSECOND, stored
from conveyor.core.extras import Extras, marked
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Suite, in_a_loop, new_job, states
from conveyor.testing.hand import HOUR, QUEUE, TASK, Hand, enqueue, see


class Arrivals(Suite):
    """``enqueue`` and ``repeat_enqueue``, in both colours."""

    def test_an_enqueued_job_is_there_as_it_was_given(self, store: Store) -> None:
        """All of it, and nothing has happened to it yet."""
        job = new_job(7, priority=5, max_attempts=3, extras=Extras(tags=marked(("a", "b"))))
        assert not enqueue(store, job)
        info = see(store, job.id)
        assert (info.id, info.task, info.queue) == (ids.text(job.id), TASK, QUEUE)
        assert (info.priority, info.max_attempts, info.payload, info.tags) == (5, 3, b"[[7],{}]", ("a", "b"))
        assert (info.state, info.attempt, info.crashes, info.attempts) == (State.READY, 0, 0, ())
        assert (info.started_at, info.finished_at, info.result, info.runner) == (None, None, None, None)

    def test_a_job_that_is_not_there_is_none(self, store: Store) -> None:
        """And no error."""
        assert store.run(store.operations.get(ids.new())) is None

    def test_jobs_of_one_call_keep_their_order(self, store: Store, hand: Hand) -> None:
        """Also when there are many."""
        jobs = [new_job(number) for number in range(300)]
        enqueue(store, *jobs)
        taken = [job.id for job in hand.take(300)]
        assert taken == [job.id for job in jobs] if self.ordered else set(taken) == {job.id for job in jobs}

    def test_no_jobs_are_no_error(self, store: Store) -> None:
        """Nothing is stored."""
        assert not enqueue(store)
        assert store.run(store.operations.number(JobFilter())) == 0

    def test_a_job_for_later_is_scheduled(self, store: Store, hand: Hand) -> None:
        """By a wait or by a time, and it is not claimed before."""
        first = new_job()
        enqueue(store, first)
        now = see(store, first.id).enqueued_at
        jobs = [new_job(delay=HOUR), new_job(due=stored(now) + HOUR)]
        enqueue(store, *jobs)
        for job in jobs:
            info = see(store, job.id)
            assert info.state is State.SCHEDULED
            assert abs((info.run_after - now) / MICROSECOND - HOUR) < HOUR / 60
        assert [job.id for job in hand.take(1)] == [first.id]
        assert not hand.claim()

    def test_a_time_that_has_passed_is_at_once(self, store: Store, hand: Hand) -> None:
        """As if it had not been given."""
        enqueue(store, new_job(due=1))
        assert hand.take_one().attempt == 1

    def test_many_callers_in_one_event_loop_enqueue_at_a_time(self, store: Store) -> None:
        """Each of their jobs is there once."""
        jobs = [new_job(number) for number in range(50)]
        in_a_loop(store, *(store.operations.enqueue([job]) for job in jobs))
        assert states(store, *jobs) == [State.READY] * 50
        assert store.run(store.operations.number(JobFilter())) == 50

    def test_a_repeated_enqueue_stores_what_is_not_there(self, store: Store) -> None:
        """The first call may never have arrived."""
        jobs = [new_job(1), new_job(2)]
        enqueue(store, jobs[0])
        assert not store.run(store.operations.repeat_enqueue(jobs))
        assert states(store, *jobs) == [State.READY] * 2
        assert store.run(store.operations.number(JobFilter())) == 2

    @pytest.mark.parametrize("event", [None, Event.SUCCEED, Event.FAIL, Event.RETRY])
    def test_a_repeated_enqueue_changes_nothing_of_what_has_happened(
        self, store: Store, hand: Hand, event: Event | None
    ) -> None:
        """The job may run by now, or have ended."""
        job = new_job()
        enqueue(store, job)
        claimed = hand.take_one()
        if event is not None:
            hand.end(claimed, event, delay=HOUR)
        before = see(store, job.id)
        store.run(store.operations.repeat_enqueue([job]))
        assert see(store, job.id) == before
        assert store.run(store.operations.number(JobFilter())) == 1
