"""Any order of operations, by several runners over two connections, ends as the table of moves says."""

import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from conveyor.core.lifecycle import Event, State, ending, shown
from conveyor.core.model import Claimed, JobFilter, NewJob, read_attempts
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, Hand, new_job, outcome
from tests.support.model import Modelled
from tests.support.stores import rows

Look = Callable[[str], Sequence[tuple[object, ...]]]

TASKS = ("shop.tasks.mail", "shop.tasks.bill")
OUTCOMES = (Event.SUCCEED, Event.FAIL, Event.RETRY, Event.RELEASE)
EXAMPLES = {"sqlite-memory": 120, "sqlite-file": 80, "postgres": 80}
STEPS = 30
COLUMNS = "id, state, attempt, crashes, token, attempts"
SIDES = st.sampled_from((0, 1))


class LifecycleMachine(RuleBasedStateMachine):
    """Two openings of one store, and the model that they must equal."""

    def __init__(self, stores: Sequence[Store], look: Look) -> None:
        super().__init__()
        self.stores, self.look = stores, look
        for table in ("conveyor_job", "conveyor_history", "conveyor_runner"):
            rows(stores[0], f"DELETE FROM {table} RETURNING 1")
        self.jobs: dict[bytes, Modelled] = {}
        self.given: list[NewJob] = []
        self.claims: list[tuple[Hand, Claimed]] = []
        """All that were ever made: an old one is a late settle's."""
        self.living = [Hand(store) for store in stores]
        self.dead: set[bytes] = set()
        self.moments = 0

    def teardown(self) -> None:
        for hand in self.living:
            hand.die()

    def moment(self) -> int:
        self.moments += 1
        return self.moments

    # -- what happens

    @rule(
        side=SIDES,
        wishes=st.lists(
            st.tuples(st.sampled_from(TASKS), st.integers(-1, 1), st.integers(1, 4), st.booleans()),
            min_size=1,
            max_size=4,
        ),
        repeats=st.booleans(),
    )
    def enqueue(self, side: int, wishes: list[tuple[str, int, int, bool]], repeats: bool) -> None:
        operations, jobs = self.stores[side].operations, []
        for task, priority, attempts, later in wishes:
            job = new_job(task=task, priority=priority, max_attempts=attempts, delay=HOUR if later else 0)
            state = State.SCHEDULED if later else State.READY
            self.jobs[job.id] = Modelled(job.id, task, priority, attempts, state, self.moment())
            jobs.append(job)
        plan = operations.repeat_enqueue(jobs) if repeats else operations.enqueue(jobs)
        self.stores[side].run(plan)
        self.given += jobs

    @precondition(lambda self: self.given)
    @rule(side=SIDES, data=st.data())
    def repeat(self, side: int, data: st.DataObject) -> None:
        again = data.draw(st.lists(st.sampled_from(self.given), min_size=1, max_size=5, unique=True))
        self.stores[side].run(self.stores[side].operations.repeat_enqueue(again))

    @rule(who=SIDES, room=st.integers(1, 4), tasks=st.sampled_from([TASKS, TASKS[:1], TASKS[1:]]))
    def claim(self, who: int, room: int, tasks: tuple[str, ...]) -> None:
        hand = self.living[who]
        ready = [job for job in self.jobs.values() if job.state is State.READY and job.task in tasks]
        expected = sorted(ready, key=lambda job: job.order)[:room]
        claimed = hand.claim({QUEUE: room}, tasks)
        assert [job.id for job in claimed] == [job.id for job in expected]
        for job, modelled in zip(claimed, expected, strict=True):
            modelled.claim(hand.id, job.token)
            assert (job.attempt, job.crashes) == (modelled.attempt, modelled.crashes)
            self.claims.append((hand, job))

    @precondition(lambda self: self.claims)
    @rule(side=SIDES, data=st.data())
    def settle(self, side: int, data: st.DataObject) -> None:
        """Outcomes of any claim ever made, in one batch; those that are late must be refused."""
        held = data.draw(
            st.lists(st.sampled_from(self.claims), min_size=1, max_size=4, unique_by=lambda claim: claim[1].id)
        )
        outcomes, refused = [], set()
        for hand, job in held:
            event, later = data.draw(st.sampled_from(OUTCOMES)), data.draw(st.booleans())
            later = later and ending(event) is None
            modelled = self.jobs[job.id]
            outcomes.append(outcome(job, hand.id, event, delay=HOUR if later else 0))
            if modelled.holds(hand.id, job.token):
                modelled.settle(event, 0, later=later)
            elif modelled.state is State.RUNNING or modelled.token != job.token:
                refused.add(job.id)
        for written in sorted(outcomes):  # a store writes them in this order, and so they come due
            self.jobs[written.id].place = self.jobs[written.id].place or self.moment()
        assert self.stores[side].run(self.stores[side].operations.settle(outcomes)) == refused

    @rule(who=SIDES)
    def die(self, who: int) -> None:
        hand = self.living[who]
        hand.die()
        self.dead.add(hand.id)
        self.living[who] = Hand(self.stores[who])

    @rule(side=SIDES, limit=st.sampled_from([1, 2, 1000]))
    def rescue(self, side: int, limit: int) -> None:
        lost = [job for job in self.jobs.values() if job.state is State.RUNNING and job.runner in self.dead]
        holding = Counter(job.runner for job in lost)
        total, more = 0, True
        while more:
            rescued = self.stores[side].run(self.stores[side].operations.rescue(limit))
            total, more = total + rescued.jobs, rescued.more
        assert total == len(lost)
        tokens = {row[0]: row[4] for row in self.look(f"SELECT {COLUMNS} FROM conveyor_job")}
        tokens |= {row[0]: row[4] for row in self.look(f"SELECT {COLUMNS} FROM conveyor_history")}
        for job in sorted(lost, key=lambda job: job.id):
            job.lose(self.moment(), alone=holding[job.runner] == 1)
            token = cast(int, tokens[job.id])
            assert token >= job.token
            job.token = token
        self.in_step([job for job in lost if job.state is State.READY])

    @precondition(lambda self: any(job.waits_for_time for job in self.jobs.values()))
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        waiting = [job for job in self.jobs.values() if job.waits_for_time]
        job = data.draw(st.sampled_from(waiting))
        job.come_due(self.moment())
        when = self.look("SELECT max(run_after) FROM conveyor_job WHERE run_after < 9e18")
        del when

    # -- what must hold

    @invariant()
    def the_store_equals_the_model(self) -> None:
        hot = self.look(f"SELECT {COLUMNS}, run_after FROM conveyor_job")
        past = self.look(f"SELECT {COLUMNS}, 0 FROM conveyor_history")
        assert sorted(cast(bytes, row[0]) for row in (*hot, *past)) == sorted(self.jobs), "lost or doubled"
