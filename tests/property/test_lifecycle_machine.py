"""Any order of operations, by several runners over two connections, ends as the table of moves says."""

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, cast
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from conveyor.core import ids
from conveyor.core.lifecycle import Event, State, ending, shown
from conveyor.core.model import Claimed, JobFilter, NewJob, read_attempts
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, Hand, new_job, outcome
from tests.support.model import Modelled
from tests.support.stores import pass_time, rows

Look = Callable[[str], Sequence[tuple[object, ...]]]

TASKS = ("shop.tasks.mail", "shop.tasks.bill")
OUTCOMES = (Event.SUCCEED, Event.FAIL, Event.RETRY, Event.RELEASE)
EXAMPLES = {"sqlite-memory": 120, "sqlite-file": 80, "postgres": 80}
STEPS = 30
COLUMNS = "id, state, attempt, crashes, token, attempts"
SIDES = st.sampled_from((0, 1))


class Stored(NamedTuple):
    """One job, as plain SQL finds it."""

    state: State
    attempt: int
    crashes: int
    token: int
    last_event: tuple[str, ...]


class LifecycleMachine(RuleBasedStateMachine):
    """Two openings of one store, and the model that they must equal."""

    def __init__(self, stores: Sequence[Store], look: Look) -> None:
        super().__init__()
        self.stores, self.look = stores, look
        for table in ("conveyor_job", "conveyor_history", "conveyor_runner"):
            rows(stores[0], f"DELETE FROM {table}")
        self.jobs: dict[bytes, Modelled] = {}
        self.given: list[NewJob] = []
        self.claims: list[tuple[Hand, Claimed]] = []
        """All that were ever made: an old one is a late settle's."""
        self.moments = self.names = 0
        self.living = [Hand(store, id=self.name()) for store in stores]
        self.dead: set[bytes] = set()

    def teardown(self) -> None:
        for hand in self.living:
            hand.die()

    def name(self) -> bytes:
        """An id of its own. Hypothesis repeats a story to shorten it, so that chance must not come into it."""
        self.names += 1
        return self.names.to_bytes(16)

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
            job = job._replace(id=self.name())
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
        chosen = [self.jobs[job.id] for job in claimed]
        assert all(modelled in ready for modelled in chosen)
        assert [modelled.order for modelled in chosen] == [modelled.order for modelled in expected]
        for job, modelled in zip(claimed, chosen, strict=True):
            modelled.claim(hand.id, job.token)
            assert (job.attempt, job.crashes) == (modelled.attempt, modelled.crashes)
            self.claims.append((hand, job))

    @precondition(lambda self: self.claims)
    @rule(side=SIDES, data=st.data())
    def settle(self, side: int, data: st.DataObject) -> None:
        """Outcomes of any claim ever made, in one batch; those that come too late must be refused."""
        held = data.draw(
            st.lists(st.sampled_from(self.claims), min_size=1, max_size=4, unique_by=lambda claim: claim[1].id)
        )
        outcomes, refused, place = [], set(), self.moment()
        for hand, job in held:
            event, wish = data.draw(st.tuples(st.sampled_from(OUTCOMES), st.booleans()))
            later = wish and ending(event) is None
            outcomes.append(outcome(job, hand.id, event, delay=HOUR if later else 0))
            modelled = self.jobs[job.id]
            if modelled.holds(hand.id, job.token):
                modelled.settle(event, place, later=later)
            elif modelled.state is State.RUNNING or modelled.token != job.token:
                refused.add(job.id)
        assert self.stores[side].run(self.stores[side].operations.settle(outcomes)) == refused

    @rule(who=SIDES)
    def die(self, who: int) -> None:
        hand = self.living[who]
        hand.die()
        self.dead.add(hand.id)
        self.living[who] = Hand(self.stores[who], id=self.name())

    @rule(side=SIDES, limit=st.sampled_from([1, 2, 1000]))
    def rescue(self, side: int, limit: int) -> None:
        lost = [job for job in self.jobs.values() if job.state is State.RUNNING and job.runner in self.dead]
        holding, place = Counter(job.runner for job in lost), self.moment()
        total, more = 0, True
        while more:
            rescued = self.stores[side].run(self.stores[side].operations.rescue(limit))
            total, more = total + rescued.jobs, rescued.more
        assert total == len(lost)
        stored = self.stored()
        for job in lost:
            job.lose(place, alone=holding[job.runner] == 1)
            assert stored[job.id].token >= job.token
            job.token = stored[job.id].token

    @rule()
    def an_hour_passes(self) -> None:
        pass_time(self.stores[0], 3600)
        waiting = sorted((job for job in self.jobs.values() if job.waits_for_time), key=lambda job: job.place)
        for _, together in groupby(waiting, key=lambda job: job.place):
            place = self.moment()
            for job in together:
                job.come_due(place)

    @rule(side=SIDES)
    def look_through_the_store(self, side: int) -> None:
        """What ``get``, ``list`` and ``counts`` say is what the model says."""
        store, operations = self.stores[side], self.stores[side].operations
        listed = store.run(operations.list(JobFilter(), limit=1000, after=None, direction="oldest"))
        expected = {ids.text(id_): self.jobs[id_] for id_ in sorted(self.jobs)}
        assert [info.id for info in listed] == list(expected)
        assert [info.state for info in listed] == [job.state for job in expected.values()]
        for info in listed[:3]:
            assert store.run(operations.get(ids.parse(info.id))) == info
        states = Counter(job.state for job in self.jobs.values())
        assert {state: count for state, count in store.run(operations.counts(JobFilter())).items() if count} == states

    # -- what must hold

    @invariant()
    def every_job_is_in_one_table_and_is_what_the_model_says(self) -> None:
        assert self.stored() == {
            job.id: Stored(job.state, job.attempt, job.crashes, job.token, tuple(job.record[-1:]))
            for job in self.jobs.values()
        }

    def stored(self) -> dict[bytes, Stored]:
        """All jobs as plain SQL finds them."""
        hot = self.look(f"SELECT {COLUMNS}, run_after FROM conveyor_job")
        past = self.look(f"SELECT {COLUMNS}, 0 FROM conveyor_history")
        found = [_stored(row) for row in (*hot, *past)]
        jobs = dict(found)
        assert len(jobs) == len(found), "a job is in both tables"
        return jobs


def _stored(row: Sequence[object]) -> tuple[bytes, Stored]:
    id_, state, attempt, crashes, token, record, run_after = row
    events = [attempt.event for attempt in read_attempts(cast("bytes | None", record))]
    due = cast("int", run_after) <= time.time_ns() // 1000
    seen = shown(cast("str", state), due=due, failed_before=bool(events))
    numbers = cast("tuple[int, int, int]", (attempt, crashes, token))
    return bytes(cast("bytes", id_)), Stored(seen, *numbers, tuple(events[-1:]))


@pytest.fixture
def look(url: str, folder: Path, opened: Callable[[], Store]) -> Iterator[Callable[[Store], Look]]:
    """Looks at a store with plain SQL, through a connection that is none of its own where there can be one."""
    with contextlib.ExitStack() as stack:

        def made(store: Store) -> Look:
            if "memory" in url:
                return partial(rows, store)
            if url.startswith("sqlite"):
                file = stack.enter_context(contextlib.closing(sqlite3.connect(folder / "jobs.db")))
                return lambda text: file.execute(text).fetchall()
            server = stack.enter_context(psycopg.connect(url, autocommit=True))
            return lambda text: [
                tuple(cell.bytes if isinstance(cell, UUID) else cell for cell in row) for row in server.execute(text)
            ]

        yield made


@pytest.mark.timeout(300)  # to shorten a failing story takes its time
def test_any_order_of_operations_ends_as_the_table_says(
    url: str, opened: Callable[[], Store], look: Callable[[Store], Look], request: pytest.FixtureRequest
) -> None:
    first = opened()
    stores = (first, first if "memory" in url else opened())
    seen = look(first)
    kind = request.node.callspec.params["url"]
    run_state_machine_as_test(
        lambda: LifecycleMachine(stores, seen),  # type: ignore[arg-type]  # it takes what makes one, too
        settings=settings(
            max_examples=EXAMPLES[kind],
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
