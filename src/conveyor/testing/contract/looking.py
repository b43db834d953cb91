"""What can be seen of jobs and queues."""

from operator import attrgetter

import pytest

from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.extras import Extras, marked
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed, Direction, Ended, JobFilter, NewJob
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Suite, new_job
from conveyor.testing.hand import HOUR, Hand, enqueue, outcome, see, until


def listed(store: Store, where: JobFilter, direction: Direction = "oldest") -> list[str]:
    """The ids of the jobs that are meant."""
    return [info.id for info in store.run(store.operations.list(where, limit=100, after=None, direction=direction))]


class Looking(Suite):
    """``list``, ``counts``, ``number``, ``queues``, ``latest``, ``failures``, ``ahead``, ``identity``, ``schema``."""

    @pytest.mark.parametrize("direction", ["oldest", "newest"])
    def test_pages_follow_each_other_without_a_gap(self, store: Store, hand: Hand, direction: Direction) -> None:
        """In the order of ids, ended jobs and others together."""
        jobs = [new_job(number) for number in range(7)]
        enqueue(store, *jobs)
        for job in hand.take(3):
            hand.end(job, Event.SUCCEED)
        pages: list[str] = []
        while True:
            after = ids.parse(pages[-1]) if pages else None
            page = store.run(store.operations.list(JobFilter(), limit=3, after=after, direction=direction))
            pages += [info.id for info in page]
            if len(page) < 3:
                break
        wanted = sorted(ids.text(job.id) for job in jobs)
        assert pages == (wanted if direction == "oldest" else wanted[::-1])

    def test_a_list_holds_the_jobs_that_are_meant(self, store: Store, hand: Hand) -> None:
        """By each condition, and by several at a time."""
        a = new_job(1, task="a", extras=Extras(tags=marked(("red", "round"))))
        b = new_job(2, queue="b", extras=Extras(tags=marked(("red",))))
        later, ended = new_job(3, delay=HOUR), new_job(4)
        enqueue(store, a, b, later, ended)
        hand.end(hand.take_one(), Event.SUCCEED)
        found = {
            (a,): JobFilter(task="a"),
            (b,): JobFilter(queue="b"),
            (a, b): JobFilter(tag="red"),
            (later,): JobFilter(states=(State.SCHEDULED,)),
            (ended, later): JobFilter(states=(State.SUCCEEDED, State.SCHEDULED)),
            (b, ended): JobFilter(ids=(b.id, ended.id, ids.new())),
            (): JobFilter(task="a", queue="b"),
        }
        for jobs, where in found.items():
            assert set(listed(store, where)) == {ids.text(job.id) for job in jobs}
            assert store.run(store.operations.number(where)) == len(jobs)

    def test_times_bound_what_is_listed(self, store: Store, hand: Hand) -> None:
        """The earlier bound belongs to it, the later one does not."""
        first, second = new_job(1), new_job(2)
        enqueue(store, first)
        enqueue(store, second)
        begun, later = (stored(see(store, job.id).enqueued_at) for job in (first, second))
        assert listed(store, JobFilter(enqueued_after=begun, enqueued_before=later)) == [ids.text(first.id)]
        for job in hand.take(2):
            if job.id == first.id:
                hand.end(job, Event.SUCCEED)
        finished = see(store, first.id).finished_at
        assert finished is not None
        assert not listed(store, JobFilter(finished_before=stored(finished)))
        assert listed(store, JobFilter(finished_before=stored(finished) + 1)) == [ids.text(first.id)]

    def test_jobs_are_counted_by_their_states(self, store: Store, hand: Hand) -> None:
        """All states are named, also those of no job."""
        enqueue(store, *(new_job(number) for number in range(4)), new_job(9, delay=HOUR))
        first, second, _ = hand.take(3)
        hand.end(first, Event.SUCCEED)
        hand.end(second, Event.RETRY, delay=HOUR)
        counts = store.run(store.operations.counts(JobFilter()))
        assert {state for state, count in counts.items() if count == 1} == {
            State.SCHEDULED,
            State.READY,
            State.RETRYABLE,
            State.RUNNING,
            State.SUCCEEDED,
        }
        assert sum(counts.values()) == 5
        assert sum(store.run(store.operations.counts(JobFilter(states=(State.READY,)))).values()) == 1

    def test_queues_that_have_jobs_or_are_paused_are_listed(self, store: Store, hand: Hand) -> None:
        """By name, with what waits and runs in them."""
        enqueue(store, *(new_job(queue="b") for _ in range(3)), new_job(queue="c", delay=HOUR))
        hand.claim({"b": 1})
        store.run(store.control.pause("a"))
        found = store.run(store.operations.queues())
        assert [queue.name for queue in found] == ["a", "b", "c"]
        a, b, c = found
        assert (a.paused_at is not None, b.paused_at, c.paused_at) == (True, None, None)
        assert [(queue.ready, queue.scheduled, queue.retryable, queue.running) for queue in found] == [
            (0, 0, 0, 0),
            (2, 0, 0, 1),
            (0, 1, 0, 0),
        ]
        assert (a.oldest, c.oldest) == (None, None)
        assert b.oldest is not None
        assert store.run(store.operations.queue("b")).ready == 2
        nothing = store.run(store.operations.queue("unheard of"))
        assert (nothing.name, nothing.ready, nothing.paused_at, nothing.oldest) == ("unheard of", 0, None, None)

    def test_due_jobs_of_a_queue_are_counted_by_task(self, store: Store) -> None:
        """The task whose job waits longest comes first; what is scheduled is not due."""
        for task in ("a", "b", "a"):
            enqueue(store, new_job(task=task))
        enqueue(store, new_job(task="c", delay=HOUR), new_job(task="d", queue="other"))
        found = store.run(store.operations.due_tasks("default", 100))
        assert [(due.task, due.jobs) for due in found] == [("a", 2), ("b", 1)]
        if self.ordered:
            first = store.run(store.operations.due_tasks("default", 2))
            assert [(due.task, due.jobs) for due in first] == [("a", 1), ("b", 1)]

    def test_the_latest_that_succeeded_or_failed_tell_how_long_they_waited_and_ran(
        self, store: Store, hand: Hand
    ) -> None:
        """The newest by their ids, of all queues; what was cancelled tells nothing, nor what has not ended."""
        assert store.run(store.operations.latest(10)) == []
        jobs = sorted((new_job(number, queue="ab"[number % 2]) for number in range(7)), key=attrgetter("id"))
        enqueue(store, *jobs)
        taken: dict[bytes, Claimed] = {}

        def all_taken() -> bool:
            taken.update((job.id, job) for job in hand.claim({"a": 9, "b": 9}))
            return len(taken) == len(jobs)

        until(all_taken)
        events = [Event.SUCCEED, Event.FAIL, Event.CANCEL, Event.RETRY, Event.SUCCEED, Event.FAIL]
        for job, event in zip(jobs, events, strict=False):
            hand.end(taken[job.id], event, delay=HOUR if event is Event.RETRY else 0)
        seen = [see(store, jobs[place].id) for place in (5, 4, 1, 0)]
        ended = [Ended(info.queue, info.run_after, info.last_attempted_at, info.run_time) for info in seen]
        assert all(job.last_attempted_at is not None and job.run_time is not None for job in ended)
        assert store.run(store.operations.latest(10)) == ended
        assert store.run(store.operations.latest(3)) == ended[:3]

    def test_failures_are_grouped_by_what_they_failed_of(self, store: Store, hand: Hand) -> None:
        """The largest group first."""
        prints = ["a" * 16, "b" * 16, "b" * 16]
        enqueue(store, *(new_job(number) for number in range(4)))
        from_claims = hand.take(4)
        for job, fingerprint in zip(from_claims, prints, strict=False):
            failed = outcome(job, hand.id, Event.FAIL)
            assert not hand.settle(failed._replace(fingerprint=fingerprint))
        hand.end(from_claims[3], Event.SUCCEED)
        groups = store.run(store.operations.failures(JobFilter(), 10))
        assert [(group.fingerprint, group.jobs) for group in groups] == [("b" * 16, 2), ("a" * 16, 1)]
        assert groups[0].error.type == "ValueError"
        assert groups[1].sample == ids.text(from_claims[0].id)
        assert len(store.run(store.operations.failures(JobFilter(), 1))) == 1
        assert listed(store, JobFilter(fingerprint="a" * 16)) == [ids.text(from_claims[0].id)]

    def test_what_is_ahead_of_a_job_is_counted(self, store: Store) -> None:
        """Of its queue, up to a limit."""
        jobs: list[NewJob] = [new_job(number) for number in range(4)]
        enqueue(store, *jobs, new_job(priority=1), new_job(queue="other"))
        last = see(store, jobs[-1].id)
        before = store.run(store.operations.ahead(last, 100))
        assert before == 4 if self.ordered else 1 <= before <= 4
        assert store.run(store.operations.ahead(last, 1)) == 1

    def test_a_store_tells_its_time_and_how_it_is(self, store: Store) -> None:
        """Its clock goes forward, and what it finds wrong with itself it says, and does not raise."""
        before, after = (store.run(store.operations.clock()) for _ in range(2))
        assert 0 < before <= after
        for deep in (False, True):
            assert all(finding.text for finding in store.examine(deep=deep))

    def test_a_store_keeps_its_identity(self, store: Store, second: Store) -> None:
        """However it is opened; its tables are of this version."""
        assert store.run(store.operations.identity()) == second.run(second.operations.identity()) != ""
        assert store.run(store.operations.schema()) == store.migrations
        assert store.migrate() == []
