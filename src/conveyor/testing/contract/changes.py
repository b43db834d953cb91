"""What people and upkeep do to jobs."""

import pytest

from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter, NewJob
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Hire, Suite, ask, new_job, states
from conveyor.testing.hand import HOUR, Hand, enqueue, outcome, see, until

ALL = JobFilter()


def one(job: NewJob) -> JobFilter:
    """That job."""
    return JobFilter(ids=(job.id,))


class Changes(Suite):
    """``Control``: cancelling, asking, reviving, hastening, deleting, expiring and pruning."""

    def test_waiting_jobs_are_cancelled_and_running_ones_are_not(self, store: Store, hand: Hand) -> None:
        """With the reason; their attempts stay what they were."""
        running, ready, later = new_job(1), new_job(2), new_job(3, delay=HOUR)
        enqueue(store, running)
        hand.take_one()
        enqueue(store, ready, later)
        done = store.run(store.control.cancel(ALL, "enough", 10, None))
        assert (done.picked, done.changed) == (2, 2)
        assert states(store, running, ready, later) == [State.RUNNING, State.CANCELLED, State.CANCELLED]
        assert (see(store, ready.id).cancelled, see(store, ready.id).attempt) == ("enough", 0)

    def test_a_running_job_is_asked_to_stop(self, store: Store, hand: Hand, hire: Hire) -> None:
        """Its runner finds that, and it may still end as it likes."""
        running, ready = new_job(1), new_job(2, delay=HOUR)
        enqueue(store, running, ready)
        claimed = hand.take_one()
        assert ask(store, ALL).changed == 1
        ((id_, token, reason),) = store.run(store.operations.asked(hand.id))
        assert (id_, token, reason) == (running.id, claimed.token, "enough")
        assert not store.run(store.operations.asked(hire().id))
        assert (see(store, running.id).state, see(store, running.id).cancelled) == (State.RUNNING, "enough")
        hand.end(claimed, Event.SUCCEED)
        assert states(store, running, ready) == [State.SUCCEEDED, State.SCHEDULED]
        assert not store.run(store.operations.asked(hand.id))

    def test_whatever_a_job_does_it_is_called_off(self, store: Store, hand: Hand) -> None:
        """Cancelled while it waits, asked while it runs; what has ended stays as it is."""
        ended, running, waiting = new_job(1), new_job(2), new_job(3)
        enqueue(store, ended)
        hand.end(hand.take_one(), Event.SUCCEED)
        enqueue(store, running)
        claimed = hand.take_one()
        enqueue(store, waiting)
        done = store.run(store.control.call_off(ALL, "enough", 10, None))
        assert (done.changed, done.asked) == (2, 1)
        assert states(store, ended, running, waiting) == [State.SUCCEEDED, State.RUNNING, State.CANCELLED]
        assert [token for _, token, _ in store.run(store.operations.asked(hand.id))] == [claimed.token]

    @pytest.mark.parametrize("event", [Event.RETRY, Event.RELEASE, Event.SNOOZE])
    def test_a_job_that_was_asked_to_stop_does_not_wait_again(self, store: Store, hand: Hand, event: Event) -> None:
        """It ends as cancelled, and whoever settles it is told."""
        job = new_job()
        enqueue(store, job)
        claimed = hand.take_one()
        ask(store, one(job))
        settled = store.run(store.operations.settle([outcome(claimed, hand.id, event)]))
        assert settled == Settled(stopped=frozenset({job.id}))
        assert (see(store, job.id).state, see(store, job.id).cancelled) == (State.CANCELLED, "enough")

    @pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.CANCEL, Event.QUARANTINE])
    def test_an_ended_job_is_revived(self, store: Store, hand: Hand, event: Event) -> None:
        """It is ready, and has one more attempt at least."""
        job = new_job(max_attempts=1)
        enqueue(store, job)
        hand.end(hand.take_one(), event)
        assert store.run(store.control.revive(one(job), 10, None)).changed == 1
        info = see(store, job.id)
        assert (info.state, info.finished_at, info.result, info.cancelled) == (State.READY, None, None, None)
        assert info.max_attempts > info.attempt
        hand.end(hand.take_one(), Event.SUCCEED)
        assert states(store, job) == [State.SUCCEEDED]

    def test_a_job_is_not_revived_while_another_holds_its_key(self, store: Store, hand: Hand) -> None:
        """It was looked at, and stays."""
        old, new = new_job(1, unique="k"), new_job(2, unique="k")
        enqueue(store, old)
        hand.end(hand.take_one(), Event.FAIL)
        enqueue(store, new)
        done = store.run(store.control.revive(one(old), 10, None))
        assert (done.picked, done.changed) == (1, 0)
        assert states(store, old, new) == [State.FAILED, State.READY]

    def test_what_waits_for_its_time_is_hastened(self, store: Store, hand: Hand) -> None:
        """Scheduled or to be tried again; the rest is left alone."""
        failed, later = new_job(1), new_job(2, delay=HOUR)
        enqueue(store, failed, later)
        hand.end(hand.take_one(), Event.RETRY, delay=HOUR)
        assert store.run(store.control.hasten(ALL, 10, None)).changed == 2
        assert {job.id for job in hand.take(2)} == {failed.id, later.id}
        assert store.run(store.control.hasten(ALL, 10, None)).changed == 0

    def test_waiting_and_ended_jobs_are_deleted_and_running_ones_are_not(self, store: Store, hand: Hand) -> None:
        """Each by its own operation."""
        ended, running, waiting = new_job(1), new_job(2), new_job(3)
        enqueue(store, ended)
        hand.end(hand.take_one(), Event.SUCCEED)
        enqueue(store, running)
        hand.take_one()
        enqueue(store, waiting)
        assert store.run(store.control.delete_waiting(ALL, 10, None)).changed == 1
        assert states(store, ended, running) == [State.SUCCEEDED, State.RUNNING]
        assert store.run(store.control.delete_ended(ALL, 10, None)).changed == 1
        assert [store.run(store.operations.get(job.id)) for job in (ended, waiting)] == [None, None]
        assert states(store, running) == [State.RUNNING]

    def test_passes_go_on_behind_the_last_job(self, store: Store) -> None:
        """In the order of ids, so that an end is reached."""
        jobs = [new_job(number, delay=HOUR) for number in range(5)]
        enqueue(store, *jobs)
        after: bytes | None = None
        changed: list[int] = []
        for _ in range(4):
            done = store.run(store.control.hasten(ALL, 2, after))
            after = done.last
            changed.append(done.changed)
        assert changed == [2, 2, 1, 0]
        assert states(store, *jobs) == [State.READY] * 5

    def test_a_change_is_of_the_jobs_that_are_meant(self, store: Store) -> None:
        """By task, queue and state."""
        jobs = [new_job(task="a"), new_job(queue="b"), new_job(delay=HOUR), new_job(4)]
        enqueue(store, *jobs)
        for where in (JobFilter(task="a"), JobFilter(queue="b"), JobFilter(states=(State.SCHEDULED,))):
            assert store.run(store.control.cancel(where, "", 10, None)).changed == 1
        assert states(store, *jobs) == [State.CANCELLED] * 3 + [State.READY]

    def test_a_job_whose_time_is_over_is_cancelled(self, store: Store) -> None:
        """One that has time left is not."""
        over, left = new_job(1, expires=1), new_job(2, expires=HOUR)
        enqueue(store, over, left)
        until(lambda: store.run(store.control.expire(10)).changed)
        assert (see(store, over.id).state, see(store, over.id).cancelled) == (State.CANCELLED, EXPIRED)
        assert states(store, left) == [State.READY]

    def test_an_ended_job_stays_for_as_long_as_it_says(self, store: Store, hand: Hand) -> None:
        """Not at all, for the usual time, or for ever."""
        jobs = [new_job(1, keep=0), new_job(2), new_job(3, keep=-1)]
        enqueue(store, *jobs)
        for job in hand.take(3):
            hand.end(job, Event.SUCCEED)
        usual, ever = (see(store, job.id).delete_after for job in jobs[1:])
        assert usual is not None
        assert ever is None
        until(lambda: store.run(store.operations.prunable()) == 1)
        assert store.run(store.control.prune(10)) == 1
        assert store.run(store.control.prune(10)) == 0
        assert store.run(store.operations.get(jobs[0].id)) is None
        assert states(store, *jobs[1:]) == [State.SUCCEEDED] * 2
