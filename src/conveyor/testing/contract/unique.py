"""At most one unfinished job for each unique key."""

import pytest

from conveyor.core import ids
from conveyor.core.errors import DuplicateJob
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Suite, new_job, states
from conveyor.testing.hand import HOUR, Hand, enqueue, outcome, see


class UniqueKeys(Suite):
    """What the second job of a key does, and when a key is free again."""

    def test_the_second_job_of_a_key_is_dropped_and_its_holder_named(self, store: Store) -> None:
        """In one call, too; others of the call are stored."""
        first, second, third = new_job(1, unique="k"), new_job(2, unique="k"), new_job(3, unique="k")
        other = new_job(4)
        assert enqueue(store, first, second, other) == {second.id: first.id}
        assert enqueue(store, third) == {third.id: first.id}
        assert store.run(store.operations.get(second.id)) is None
        assert states(store, first, other) == [State.READY] * 2

    def test_a_repeated_enqueue_finds_its_own_job_and_not_a_holder(self, store: Store) -> None:
        """It holds the key itself."""
        job = new_job(unique="k")
        enqueue(store, job)
        assert not store.run(store.operations.repeat_enqueue([job]))
        assert store.run(store.operations.number(JobFilter())) == 1

    def test_replace_changes_the_holder_while_it_waits(self, store: Store, hand: Hand) -> None:
        """It stays where it was, with what the second one brings; a running one stays as it is."""
        first = new_job(1, unique="k", delay=HOUR)
        enqueue(store, first)
        second = new_job(2, unique="k", on_conflict="replace", priority=3)
        assert enqueue(store, second) == {second.id: first.id}
        info = see(store, first.id)
        assert (info.payload, info.priority, info.state) == (b"[[2],{}]", 3, State.READY)
        assert store.run(store.operations.holder("k")) == first.id
        assert store.run(store.operations.holder("nobody's")) is None
        hand.take_one()
        third = new_job(3, unique="k", on_conflict="replace")
        assert enqueue(store, third) == {third.id: first.id}
        assert see(store, first.id).payload == b"[[2],{}]"

    def test_raise_refuses_the_whole_call(self, store: Store) -> None:
        """Nothing of it is stored, and the error names the holder."""
        holder = new_job(1, unique="k")
        enqueue(store, holder)
        with pytest.raises(DuplicateJob) as refused:
            enqueue(store, new_job(2), new_job(3, unique="k", on_conflict="raise"), new_job(4, unique="other"))
        assert refused.value.job_id == ids.text(holder.id)
        assert store.run(store.operations.number(JobFilter())) == 1

    @pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.CANCEL])
    def test_the_key_of_an_ended_job_is_free(self, store: Store, hand: Hand, event: Event) -> None:
        """However it has ended."""
        enqueue(store, new_job(unique="k"))
        hand.end(hand.take_one(), event)
        assert not enqueue(store, new_job(unique="k"))

    @pytest.mark.parametrize("event", [Event.RETRY, Event.RELEASE, Event.SNOOZE])
    def test_a_job_that_waits_again_still_holds_its_key(self, store: Store, hand: Hand, event: Event) -> None:
        """It has not ended."""
        job = new_job(unique="k")
        enqueue(store, job)
        hand.end(hand.take_one(), event, delay=HOUR)
        second = new_job(unique="k")
        assert enqueue(store, second) == {second.id: job.id}

    def test_a_key_until_the_start_is_free_once_the_job_has_started(self, store: Store, hand: Hand) -> None:
        """And is not taken back when the job waits again."""
        job = new_job(unique="k", until_start=True)
        enqueue(store, job)
        claimed = hand.take_one()
        second = new_job(unique="k", until_start=True)
        assert not enqueue(store, second)
        assert not hand.settle(outcome(claimed, hand.id, Event.RETRY, delay=HOUR))
        assert states(store, job, second) == [State.RETRYABLE, State.READY]
