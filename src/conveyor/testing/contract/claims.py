"""Who gets which job, and when."""

from conveyor.core.extras import Extras, marked
from conveyor.core.lifecycle import Event, State
from conveyor.store.contract import Store
from conveyor.store.sight import Sight
from conveyor.testing.contract.hands import Hire, Suite, in_a_loop, new_job, states
from conveyor.testing.hand import HOUR, QUEUE, SECOND, TASK, Hand, enqueue, see


class Claims(Suite):
    """``claim``, ``held``, ``next_due``, and queues that are paused."""

    def test_a_claim_makes_a_job_the_runners_and_spends_an_attempt(self, store: Store, hand: Hand) -> None:
        """It carries all that a worker needs."""
        job = new_job(3, priority=2, max_attempts=4, expires=HOUR, extras=Extras(tags=marked(("a",))))
        enqueue(store, job)
        claimed = hand.take_one()
        assert (claimed.id, claimed.task, claimed.queue, claimed.priority) == (job.id, TASK, QUEUE, 2)
        assert (claimed.attempt, claimed.max_attempts, claimed.crashes, claimed.args) == (1, 4, 0, b"[[3],{}]")
        assert claimed.token > 0
        assert (claimed.attempts, claimed.extras, claimed.cancelled) == (None, job.extras, None)
        assert claimed.expires_at is not None
        assert claimed.expires_at - claimed.run_after == HOUR
        info = see(store, job.id)
        assert (info.state, info.attempt, info.token, info.runner) == (State.RUNNING, 1, claimed.token, hand.id.hex())
        assert info.started_at == info.last_attempted_at is not None
        ((id_, token),) = store.run(store.operations.held(hand.id))
        assert (id_, token) == (job.id, claimed.token)

    def test_higher_priorities_come_first_then_earlier_times(self, store: Store, hand: Hand) -> None:
        """Of equal ones the one that came first."""
        low, high, middle, later = new_job(priority=-1), new_job(priority=9), new_job(), new_job()
        for job in (low, high, middle, later):
            enqueue(store, job)
        taken = [job.id for job in hand.take(4)]
        wanted = [high.id, middle.id, later.id, low.id]
        assert taken == wanted if self.ordered else set(taken) == set(wanted)

    def test_a_claim_takes_no_more_than_there_is_room_for_in_each_queue(self, store: Store, hand: Hand) -> None:
        """And nothing from others."""
        enqueue(store, *(new_job(queue=queue) for queue in ("a", "b", "c") for _ in range(3)))
        taken = [*hand.claim({"a": 1, "b": 2}), *hand.claim({"c": 1})]
        assert sorted(job.queue for job in taken) == ["a", "b", "b", "c"]

    def test_a_claim_takes_known_tasks_only(self, store: Store, hand: Hand) -> None:
        """The rest stays for whoever knows it."""
        stranger = new_job(task="shop.other")
        enqueue(store, stranger, new_job())
        assert [job.task for job in hand.take(1)] == [TASK]
        assert not hand.claim()
        assert states(store, stranger) == [State.READY]

    def test_without_a_lease_nothing_is_claimed(self, store: Store, hire: Hire) -> None:
        """A lost one is none."""
        dead = hire()
        dead.die()
        enqueue(store, new_job())
        assert not dead.claim()

    def test_each_claim_bears_a_higher_token(self, store: Store, hand: Hand) -> None:
        """So that whoever held the job before cannot write of it any more."""
        enqueue(store, new_job())
        tokens: list[int] = []
        for _ in range(3):
            claimed = hand.take_one()
            tokens.append(claimed.token)
            hand.end(claimed, Event.RELEASE)
        assert tokens == sorted(set(tokens))

    def test_no_job_is_claimed_twice(self, store: Store, second: Store, hire: Hire) -> None:
        """By two runners that take turns, nor by many claims at a time."""
        enqueue(store, *(new_job() for _ in range(60)))
        hands = [hire(), hire(second)]
        taken = [job.id for _ in range(3) for hand in hands for job in hand.claim(5)]
        plans = [store.operations.claim(hands[0].id, {QUEUE: 5}, [TASK]) for _ in range(6)]
        taken += [job.id for jobs in in_a_loop(store, *plans) for job in jobs]
        assert len(set(taken)) == len(taken) == 60

    def test_the_next_due_job_is_told_by_the_time_until_then(self, store: Store) -> None:
        """Of the queues that are asked for, and of what is scheduled only."""
        due = store.operations.next_due
        enqueue(store, new_job())
        assert store.run(due([QUEUE])) is None
        enqueue(store, new_job(delay=HOUR), new_job(delay=2 * HOUR), new_job(queue="other", delay=60 * SECOND))
        wait = store.run(due([QUEUE]))
        assert wait is not None
        assert HOUR * 0.9 < wait <= HOUR
        assert store.run(due(["nothing here"])) is None

    def test_a_job_that_comes_due_just_after_an_empty_claim_is_told_of(self, store: Store, hand: Hand) -> None:
        """Else nobody would look for it until something else happens."""
        sight = Sight()
        claim, due = store.operations.claim(hand.id, {QUEUE: 1}, [TASK], sight), store.operations.next_due
        assert not store.run(claim)
        job = new_job()
        enqueue(store, job)
        wait = store.run(due([QUEUE], sight))
        assert wait is not None
        assert wait <= 0
        assert [taken.id for taken in store.run(claim)] == [job.id]
        assert store.run(due([QUEUE], sight)) is None

    def test_nothing_of_a_paused_queue_is_claimed(self, store: Store, hand: Hand) -> None:
        """Until it is resumed; both may be said again."""
        enqueue(store, new_job(), new_job(queue="other"))
        for _ in range(2):
            store.run(store.control.pause(QUEUE))
        assert [job.queue for job in hand.claim({QUEUE: 5, "other": 5})] == ["other"]
        for _ in range(2):
            store.run(store.control.resume(QUEUE))
        assert hand.take_one().queue == QUEUE
