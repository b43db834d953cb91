"""What becomes of attempts, and who may say so."""

import pytest

from conveyor.context import encoded
from conveyor.core.lifecycle import GIVEN_BACK, Event, State
from conveyor.core.model import Progress, Report
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Hire, Suite, new_job, rescue, states
from conveyor.testing.hand import HOUR, Hand, enqueue, outcome, see

ENDS = {
    Event.SUCCEED: State.SUCCEEDED,
    Event.FAIL: State.FAILED,
    Event.CANCEL: State.CANCELLED,
    Event.EXPIRE: State.CANCELLED,
}


class Settling(Suite):
    """``settle``, ``confirm`` and ``report``: only while job, token and runner agree."""

    @pytest.mark.parametrize(("event", "state"), ENDS.items())
    def test_an_end_is_written(self, store: Store, hand: Hand, event: Event, state: State) -> None:
        """With what came of it."""
        job = new_job()
        enqueue(store, job)
        claimed = hand.take_one()
        assert not store.run(store.operations.confirm(job.id, claimed.token))
        hand.end(claimed, event, reason="no more" if state is State.CANCELLED else None)
        info = see(store, job.id)
        assert info.state is state
        assert info.finished_at is not None
        assert info.run_time is not None
        assert info.result == (b"42" if event is Event.SUCCEED else None)
        assert info.cancelled == ("no more" if state is State.CANCELLED else None)
        assert bool(info.attempts) == (event is Event.FAIL)
        assert store.run(store.operations.confirm(job.id, claimed.token))
        assert not store.run(store.operations.held(hand.id))

    @pytest.mark.parametrize("event", [Event.RETRY, Event.RELEASE, Event.SNOOZE])
    def test_a_job_waits_again(self, store: Store, hand: Hand, event: Event) -> None:
        """At once or later; a release and a snooze give the attempt back."""
        jobs = [new_job(1), new_job(2)]
        enqueue(store, *jobs)
        first, second = hand.take(2)
        hand.end(first, event)
        hand.end(second, event, delay=HOUR)
        spent = int(event not in GIVEN_BACK)
        later = State.RETRYABLE if event is Event.RETRY else State.SCHEDULED
        assert states(store, *jobs) == [State.READY, later]
        assert [see(store, job.id).attempt for job in jobs] == [spent, spent]
        assert hand.take_one().attempt == 1 + spent

    def test_one_batch_may_hold_all_kinds_of_outcomes(self, store: Store, hand: Hand) -> None:
        """Each applies to its own job."""
        events = [Event.SUCCEED, Event.RETRY, Event.FAIL, Event.RELEASE, Event.CANCEL, Event.SNOOZE]
        jobs = [new_job(number) for number in range(len(events))]
        enqueue(store, *jobs)
        claimed = {job.id: job for job in hand.take(len(jobs))}
        pairs = zip(jobs, events, strict=True)
        assert not hand.settle(*(outcome(claimed[job.id], hand.id, event, delay=HOUR) for job, event in pairs))
        assert states(store, *jobs) == [
            State.SUCCEEDED,
            State.RETRYABLE,
            State.FAILED,
            State.SCHEDULED,
            State.CANCELLED,
            State.SCHEDULED,
        ]

    def test_no_outcomes_are_no_error(self, store: Store) -> None:
        """Nothing is refused."""
        assert store.run(store.operations.settle([])) == Settled()

    @pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.CANCEL])
    def test_a_repeated_settle_changes_nothing_and_is_not_refused(self, store: Store, hand: Hand, event: Event) -> None:
        """The answer to the first one may have been lost."""
        job = new_job()
        enqueue(store, job)
        ended = outcome(hand.take_one(), hand.id, event)
        assert not hand.settle(ended)
        before = see(store, job.id)
        assert not hand.settle(ended)
        assert see(store, job.id) == before

    @pytest.mark.parametrize("wrong", ["token", "runner"])
    def test_an_outcome_of_another_attempt_is_refused(self, store: Store, hand: Hand, hire: Hire, wrong: str) -> None:
        """The job stays as it is, and others of the batch are written."""
        jobs = [new_job(1), new_job(2)]
        enqueue(store, *jobs)
        first, second = hand.take(2)
        other = outcome(first, hand.id, Event.SUCCEED)
        other = other._replace(token=first.token - 1) if wrong == "token" else other._replace(runner=hire().id)
        assert hand.settle(other, outcome(second, hand.id, Event.SUCCEED)) == {first.id}
        assert states(store, first, second) == [State.RUNNING, State.SUCCEEDED]
        assert not store.run(store.operations.confirm(first.id, first.token))

    def test_a_runner_back_from_the_dead_writes_nothing(self, store: Store, hire: Hire, hand: Hand) -> None:
        """Neither an end nor its progress, once the job is another's."""
        job = new_job()
        enqueue(store, job)
        dead = hire()
        lost = dead.take_one()
        dead.die()
        rescue(store)
        claimed = hand.take_one()
        assert claimed.token > lost.token
        assert dead.settle(outcome(lost, dead.id, Event.SUCCEED)) == {job.id}
        store.run(store.operations.report([Report(job.id, lost.token, dead.id, encoded(Progress(0.9)))]))
        assert (see(store, job.id).state, see(store, job.id).progress) == (State.RUNNING, None)
        hand.end(claimed, Event.SUCCEED)
        assert not store.run(store.operations.confirm(job.id, lost.token))

    def test_progress_is_kept_while_the_job_runs_and_after(self, store: Store, hand: Hand) -> None:
        """The latest of it."""
        enqueue(store, new_job())
        job = hand.take_one()
        for value in (0.25, 0.5):
            said = encoded(Progress(value, "rows"))
            store.run(store.operations.report([Report(job.id, job.token, hand.id, said)]))
        assert see(store, job.id).progress == Progress(0.5, "rows")
        hand.end(job, Event.SUCCEED)
        assert see(store, job.id).progress == Progress(0.5, "rows")
