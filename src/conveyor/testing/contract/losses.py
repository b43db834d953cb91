"""Runners that live and die, and what becomes of what they held."""

import pytest

from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Hire, Suite, ask, new_job, rescue, states
from conveyor.testing.hand import INFO, Hand, enqueue, see, until


class Losses(Suite):
    """Leases, ``rescue``, ``runners`` and ``dead_runners``."""

    def test_a_lease_is_renewed_while_it_lives(self, store: Store, second: Store, hand: Hand) -> None:
        """Everybody can see that."""
        assert hand.renews()
        for looking in (store, second):
            (runner,) = looking.run(looking.operations.runners())
            assert (runner.id, runner.alive, runner.info) == (hand.id.hex(), True, INFO)
            assert looking.run(looking.operations.dead_runners()) == 0

    def test_a_lease_that_is_ended_makes_its_runner_dead_at_once(self, store: Store, second: Store, hire: Hire) -> None:
        """For everybody."""
        dead = hire()
        dead.die()
        for looking in (store, second):
            assert looking.run(looking.operations.dead_runners()) == 1
            assert [runner.alive for runner in looking.run(looking.operations.runners())] == [False]

    def test_a_lease_that_is_not_renewed_runs_out(self, store: Store, hire: Hire) -> None:
        """And cannot be renewed any more."""
        silent = hire(seconds=0.05)
        until(lambda: store.run(store.operations.dead_runners()) == 1)
        assert not silent.renews()
        assert not silent.claim()

    def test_a_runner_that_leaves_clean_is_not_looked_for(self, store: Store, hire: Hire) -> None:
        """It holds nothing, so nobody need know it."""
        leaving = hire()
        leaving.retire(clean=True)
        leaving.lives = False
        assert store.run(store.operations.dead_runners()) == 0
        assert not store.run(store.operations.runners())

    def test_jobs_of_the_dead_are_ready_again_and_those_of_the_living_are_not(
        self, store: Store, second: Store, hire: Hire, hand: Hand
    ) -> None:
        """Whoever looks; the attempt is spent, and its record says why."""
        jobs = [new_job(1), new_job(2)]
        enqueue(store, jobs[0])
        dead = hire()
        dead.take_one()
        enqueue(store, jobs[1])
        hand.take_one()
        dead.die()
        assert rescue(second) == [jobs[0].id]
        info = see(store, jobs[0].id)
        assert (info.state, info.attempt, info.crashes, info.runner) == (State.READY, 1, 1, None)
        (attempt,) = info.attempts
        assert (attempt.number, attempt.event, attempt.runner) == (1, "rescue", dead.id.hex())
        assert states(store, jobs[1]) == [State.RUNNING]
        assert not rescue(store)
        assert hand.take_one().attempt == 2

    def test_jobs_that_the_dead_hold_are_counted_until_they_are_rescued(self, store: Store, hire: Hire) -> None:
        """Those of the living are not."""
        enqueue(store, new_job(1), new_job(2))
        living, dead = hire(), hire()
        living.take_one()
        dead.take_one()
        assert store.run(store.operations.stranded()) == 0
        dead.die()
        assert store.run(store.operations.stranded()) == 1
        rescue(store)
        assert store.run(store.operations.stranded()) == 0

    def test_of_several_jobs_none_is_charged_with_the_crash(self, store: Store, hire: Hire) -> None:
        """Nobody can say which one it was."""
        jobs = [new_job(number) for number in range(3)]
        enqueue(store, *jobs)
        dead = hire()
        dead.take(3)
        dead.die()
        assert sorted(rescue(store)) == sorted(job.id for job in jobs)
        assert [see(store, job.id).crashes for job in jobs] == [0, 0, 0]

    def test_a_job_that_was_to_run_once_has_failed(self, store: Store, hire: Hire) -> None:
        """Its attempt is spent."""
        job = new_job(max_attempts=1)
        enqueue(store, job)
        dead = hire()
        dead.take_one()
        dead.die()
        ((held, ended),) = store.run(store.operations.rescue(10)).jobs
        assert (held.id, ended.event) == (job.id, Event.LOSE)
        assert states(store, job) == [State.FAILED]

    def test_a_job_that_kills_each_time_is_put_into_quarantine(self, store: Store, hire: Hire) -> None:
        """After three crashes of its own, whatever attempts are left."""
        job = new_job(max_attempts=10)
        enqueue(store, job)
        for _ in range(3):
            victim = hire()
            victim.take_one()
            victim.die()
            rescue(store)
        assert (see(store, job.id).state, see(store, job.id).crashes) == (State.QUARANTINED, 3)

    @pytest.mark.parametrize("limit", [1, 2])
    def test_a_pass_says_whether_there_may_be_more(self, store: Store, hire: Hire, limit: int) -> None:
        """It takes so many runners at most."""
        for number in range(3):
            enqueue(store, new_job(number))
            dead = hire()
            dead.take_one()
            dead.die()
        found = store.run(store.operations.rescue(limit))
        assert (len(found.jobs), found.more) == (limit, True)
        assert len(rescue(store)) == 3 - limit

    def test_a_job_that_is_to_be_cancelled_ends_when_its_runner_dies(self, store: Store, hire: Hire) -> None:
        """It is not run again."""
        job = new_job()
        enqueue(store, job)
        dead = hire()
        dead.take_one()
        assert ask(store, JobFilter(ids=(job.id,))).changed == 1
        dead.die()
        rescue(store)
        assert (see(store, job.id).state, see(store, job.id).cancelled) == (State.CANCELLED, "enough")
