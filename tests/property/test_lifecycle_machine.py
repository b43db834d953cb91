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

from conveyor.cli.chaos.keys import HOT, PAST, Keys, keys
from conveyor.cli.chaos.sound import unsound
from conveyor.core import ids
from conveyor.core.errors import DuplicateJob, UsageError
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import Event, State, ending, shown
from conveyor.core.model import Claimed, Completion, JobFilter, NewJob, Report, read_attempts
from conveyor.core.unique import Hold, OnConflict
from conveyor.plan import Plan
from conveyor.store.answers import Pass
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, new_job, outcome
from tests.support.model import Modelled, Wish
from tests.support.stores import KINDS, age, mended, pass_time, rows, wipe

Look = Callable[[str], Sequence[tuple[object, ...]]]
Turn = Callable[[int, bytes | None], Plan[Pass]]

TASKS = (TASK, "shop.bill")
OUTCOMES = (
    Event.SUCCEED,
    Event.FAIL,
    Event.RETRY,
    Event.RELEASE,
    Event.SNOOZE,
    Event.CANCEL,
    Event.EXPIRE,
)
EXAMPLES = {"sqlite-memory": 120, "sqlite-file": 80, "postgres": 80, "redis": 40}
STEPS = 40
COLUMNS = "id, state, attempt, max_attempts, crashes, token, unique_key, cancelled, progress, attempts"
EVERYTHING = (
    f"SELECT {COLUMNS}, run_after, unique_key FROM conveyor_job "
    f"UNION ALL SELECT {COLUMNS}, 0, NULL FROM conveyor_history"
)
"""In one look: the looks are most of what a story does."""
FIELDS = (*COLUMNS.replace("unique_key", "unique").split(", ")[1:], "run_after")
"""The same on Redis."""
SIDES = st.sampled_from((0, 1))
LIMITS = st.sampled_from((1, 2, 1000))
WISHES = st.builds(
    Wish,
    task=st.sampled_from(TASKS),
    priority=st.integers(-1, 1),
    max_attempts=st.integers(1, 4),
    delay=st.sampled_from((0, 0, 1)),
    expires=st.sampled_from((None, None, 0.5)),
    keep=st.sampled_from((None, 0.5)),
    key=st.sampled_from((None, "a", "b")),
    until_start=st.booleans(),
)
"""Half an hour and whole ones: whatever time a test itself takes, it is never in doubt which came first."""
CONFLICTS = st.sampled_from(("existing", "replace", "raise"))


class Stored(NamedTuple):
    """One job, as plain SQL finds it."""

    state: State
    attempt: int
    max_attempts: int
    crashes: int
    token: int
    key: str | None
    cancelled: str | None
    progress: bytes | None
    last_event: tuple[str, ...]


class LifecycleMachine(RuleBasedStateMachine):
    """Two openings of one store, and the model that they must equal."""

    def __init__(self, stores: Sequence[Store], look: Look) -> None:
        super().__init__()
        self.stores, self.look = stores, look
        wipe(stores[0])
        self.jobs: dict[bytes, Modelled] = {}
        self.given: list[tuple[NewJob, Wish]] = []
        self.claims: list[tuple[Hand, Claimed]] = []
        """All that were ever made: an old one is a late settle's."""
        self.moments = self.names = 0
        self.now = 0.0
        """In hours."""
        self.paused = False
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

    # -- arriving

    @rule(side=SIDES, wishes=st.lists(st.tuples(WISHES, CONFLICTS), min_size=1, max_size=4), repeats=st.booleans())
    def enqueue(self, side: int, wishes: list[tuple[Wish, str]], repeats: bool) -> None:
        made = [(self.made(wish, on_conflict), wish) for wish, on_conflict in wishes]
        self.arrive(side, made, repeats=repeats)
        self.given += made

    @precondition(lambda self: self.given)
    @rule(side=SIDES, data=st.data())
    def repeat(self, side: int, data: st.DataObject) -> None:
        places = st.integers(0, len(self.given) - 1)
        again = data.draw(st.lists(places, min_size=1, max_size=5, unique=True))
        self.arrive(side, [self.given[place] for place in again], repeats=True)

    def made(self, wish: Wish, on_conflict: str) -> NewJob:
        unique = None if wish.key is None else Hold(wish.key, wish.until_start, cast("OnConflict", on_conflict))
        job = new_job(
            task=wish.task,
            priority=wish.priority,
            max_attempts=wish.max_attempts,
            delay=wish.delay * HOUR,
            unique=unique,
        )
        expires = None if wish.expires is None else round(wish.expires * HOUR)
        return job._replace(
            id=self.name(), expires=expires, keep=None if wish.keep is None else round(wish.keep * HOUR)
        )

    def arrive(self, side: int, made: Sequence[tuple[NewJob, Wish]], *, repeats: bool) -> None:
        """Enqueue, and do in the model what that should do."""
        store, jobs = self.stores[side], [job for job, _ in made]
        plan = store.operations.repeat_enqueue(jobs) if repeats else store.operations.enqueue(jobs)
        fresh = [(job, wish) for job, wish in made if job.id not in self.jobs]
        keys = {job.key: job.id for job in self.jobs.values() if job.key and not job.final}
        holders: dict[bytes, bytes] = {}
        for job, wish in fresh:
            if wish.key and keys.setdefault(wish.key, job.id) != job.id:
                holders[job.id] = keys[wish.key]
        second = [(job, wish) for job, wish in fresh if job.id in holders]
        if refused := [job.id for job, _ in second if job.unique and job.unique.on_conflict == "raise"]:
            with pytest.raises(DuplicateJob) as raised:
                store.run(plan)
            assert raised.value.job_id == ids.text(holders[refused[0]])
            return
        assert store.run(plan) == holders
        for job, wish in fresh:
            if job.id not in holders:
                self.jobs[job.id] = Modelled.enqueued(job.id, wish, self.moment(), self.now)
        place = self.moment()
        for wish in {w.key: w for job, w in second if job.unique and job.unique.on_conflict == "replace"}.values():
            holder = self.jobs[keys[wish.key or ""]]
            if holder.waits:
                holder.write(wish, place, self.now)

    # -- working

    @rule(who=SIDES, room=st.integers(1, 4), tasks=st.sampled_from([TASKS, TASKS[:1], TASKS[1:]]))
    def claim(self, who: int, room: int, tasks: tuple[str, ...]) -> None:
        hand = self.living[who]
        ready = [job for job in self.jobs.values() if job.state is State.READY and job.wish.task in tasks]
        expected = [] if self.paused else sorted(ready, key=lambda job: job.order)[:room]
        claimed = hand.claim({QUEUE: room}, tasks)
        chosen = [self.jobs[job.id] for job in claimed]
        assert all(modelled in ready for modelled in chosen)
        assert [modelled.order for modelled in chosen] == [modelled.order for modelled in expected]
        for job, modelled in zip(claimed, chosen, strict=True):
            modelled.claim(hand.id, job.token)
            assert (job.attempt, job.max_attempts) == (modelled.attempt, modelled.max_attempts)
            assert (job.crashes, job.cancelled) == (modelled.crashes, None)
            over = job.expires_at is not None and job.expires_at <= job.last_attempted_at
            assert over == modelled.expired(self.now)
            self.claims.append((hand, job))

    @precondition(lambda self: self.claims)
    @rule(side=SIDES, data=st.data())
    def settle(self, side: int, data: st.DataObject) -> None:
        """Outcomes of any claim ever made, in one batch; those that come too late must be refused."""
        held = data.draw(
            st.lists(st.sampled_from(self.claims), min_size=1, max_size=4, unique_by=lambda claim: claim[1].id)
        )
        outcomes, refused, stopped, place = [], set(), set(), self.moment()
        for hand, job in held:
            event, wish = data.draw(st.tuples(st.sampled_from(OUTCOMES), st.booleans()))
            later = wish and ending(event) is None
            outcomes.append(outcome(job, hand.id, event, delay=HOUR if later else 0))
            modelled = self.jobs.get(job.id)
            if modelled is not None and modelled.holds(hand.id, job.token):
                modelled.settle(event, place, self.now, later=later)
            elif modelled is None or modelled.state is State.RUNNING or modelled.token != job.token:
                refused.add(job.id)
                continue
            if ending(event) is None and modelled.state is State.CANCELLED:
                stopped.add(job.id)
        assert self.stores[side].run(self.stores[side].operations.settle(outcomes)) == (refused, stopped)

    @precondition(lambda self: self.claims)
    @rule(side=SIDES, data=st.data(), says=st.sampled_from((None, b"{}")))
    def complete(self, side: int, data: st.DataObject, says: bytes | None) -> None:
        """The end that is part of a transaction; and whether it is found afterwards."""
        hand, job = data.draw(st.sampled_from(self.claims))
        operations, modelled = self.stores[side].operations, self.jobs.get(job.id)
        mine = modelled is not None and modelled.holds(hand.id, job.token)
        done = Completion(job.id, job.token, hand.id, b"42", says)
        if self.stores[side].kind == "redis":
            with pytest.raises(UsageError):
                self.stores[side].run(operations.complete(done))
            mine = False
        else:
            assert self.stores[side].run(operations.complete(done)) is mine
        if modelled is not None and mine:
            modelled.progress = says or modelled.progress
            modelled.settle(Event.SUCCEED, 0, self.now, later=False)
        ended = modelled is not None and modelled.final and modelled.token == job.token
        assert self.stores[side].run(operations.confirm(job.id, job.token)) is ended

    @precondition(lambda self: self.claims)
    @rule(side=SIDES, data=st.data())
    def report(self, side: int, data: st.DataObject) -> None:
        told = data.draw(st.lists(st.sampled_from(self.claims), min_size=1, max_size=3, unique_by=lambda c: c[1].id))
        reports = []
        for hand, job in told:
            progress = b'{"value":0.%d}' % data.draw(st.integers(1, 9))
            reports.append(Report(job.id, job.token, hand.id, progress))
            modelled = self.jobs.get(job.id)
            if modelled is not None and modelled.holds(hand.id, job.token):
                modelled.progress = progress
        self.stores[side].run(self.stores[side].operations.report(reports))

    @rule(who=SIDES)
    def die(self, who: int) -> None:
        hand = self.living[who]
        hand.die()
        self.dead.add(hand.id)
        self.living[who] = Hand(self.stores[who], id=self.name())

    @rule(side=SIDES, limit=LIMITS)
    def rescue(self, side: int, limit: int) -> None:
        lost = [job for job in self.jobs.values() if job.state is State.RUNNING and job.runner in self.dead]
        holding, place = Counter(job.runner for job in lost), self.moment()
        told: dict[bytes, Event] = {}
        more = True
        while more:
            rescued = self.stores[side].run(self.stores[side].operations.rescue(limit))
            more = rescued.more
            told |= {held.id: end.event for held, end in rescued.jobs}
        stored = self.stored()
        for job in lost:
            asked = job.cancelled is not None
            job.lose(place, self.now, alone=holding[job.runner] == 1)
            taken_back = Event(job.record[-1])
            assert told.pop(job.id) is (taken_back if ending(taken_back) or not asked else Event.CANCEL)
            assert stored[job.id].token > job.token
            job.token = stored[job.id].token
        assert told == {}

    # -- what people and upkeep do

    @rule(side=SIDES, data=st.data(), limit=LIMITS)
    def cancel(self, side: int, data: st.DataObject, limit: int) -> None:
        control, where = self.stores[side].control, self.drawn(data)
        meant = [job for job in self.jobs.values() if job.waits and matches(where, job)]
        assert self.passes(side, lambda n, after: control.cancel(where, "enough", n, after), limit) == len(meant)
        for job in meant:
            job.end(Event.CANCEL, "enough", self.now)

    @rule(side=SIDES, data=st.data(), limit=LIMITS)
    def ask(self, side: int, data: st.DataObject, limit: int) -> None:
        control, where = self.stores[side].control, self.drawn(data)
        meant = [job for job in self.jobs.values() if job.state is State.RUNNING and matches(where, job)]
        meant = [job for job in meant if job.cancelled is None]
        assert self.passes(side, lambda n, after: control.ask(where, "stop", n, after), limit) == len(meant)
        for job in meant:
            job.cancelled = "stop"

    @rule(side=SIDES, data=st.data(), limit=LIMITS)
    def call_off(self, side: int, data: st.DataObject, limit: int) -> None:
        """Both at once."""
        control, where = self.stores[side].control, self.drawn(data)
        meant = [job for job in self.jobs.values() if not job.final and matches(where, job)]
        meant = [job for job in meant if job.waits or job.cancelled is None]
        assert self.passes(side, lambda n, after: control.call_off(where, "off", n, after), limit) == len(meant)
        for job in meant:
            if job.waits:
                job.end(Event.CANCEL, "off", self.now)
            else:
                job.cancelled = "off"

    @rule(side=SIDES, data=st.data(), limit=LIMITS)
    def revive(self, side: int, data: st.DataObject, limit: int) -> None:
        control, where = self.stores[side].control, self.drawn(data)
        ended = sorted((job for job in self.jobs.values() if job.final and matches(where, job)), key=lambda j: j.id)
        back = 0
        for start in range(0, len(ended), limit):
            place = self.moment()
            for job in ended[start : start + limit]:
                if job.key is None or job.key not in self.held_keys():
                    job.revive(place)
                    back += 1
        assert self.passes(side, lambda n, after: control.revive(where, n, after), limit, len(ended)) == back

    @rule(side=SIDES, data=st.data(), limit=LIMITS)
    def hasten(self, side: int, data: st.DataObject, limit: int) -> None:
        control, where = self.stores[side].control, self.drawn(data)
        later = [job for job in self.jobs.values() if job.waits_for_time and matches(where, job)]
        assert self.passes(side, lambda n, after: control.hasten(where, n, after), limit) == len(later)
        later.sort(key=lambda job: job.id)
        for start in range(0, len(later), limit):
            place = self.moment()
            for job in later[start : start + limit]:
                job.revive(place)

    @rule(side=SIDES, data=st.data(), limit=LIMITS, ended=st.booleans())
    def delete(self, side: int, data: st.DataObject, limit: int, ended: bool) -> None:
        control, where = self.stores[side].control, self.drawn(data)
        turn = control.delete_ended if ended else control.delete_waiting
        gone = [job for job in self.jobs.values() if (job.final if ended else job.waits) and matches(where, job)]
        assert self.passes(side, lambda n, after: turn(where, n, after), limit) == len(gone)
        for job in gone:
            del self.jobs[job.id]

    @rule(side=SIDES, limit=LIMITS)
    def upkeep(self, side: int, limit: int) -> None:
        store = self.stores[side]
        over = [job for job in self.jobs.values() if job.waits and job.expired(self.now)]
        assert self.passes(side, lambda n, _: store.control.expire(n), limit, in_order=False) == len(over)
        for job in over:
            job.end(Event.EXPIRE, EXPIRED, self.now)
        old = [job.id for job in self.jobs.values() if job.outstays(self.now)]
        pruned = 0
        while gone := store.run(store.control.prune(limit)):
            pruned += gone
        assert pruned == len(old)
        for id_ in old:
            del self.jobs[id_]

    @rule(side=SIDES, paused=st.booleans())
    def pause_or_resume(self, side: int, paused: bool) -> None:
        control = self.stores[side].control
        self.stores[side].run(control.pause(QUEUE) if paused else control.resume(QUEUE))
        self.paused = paused

    @rule()
    def an_hour_passes(self) -> None:
        pass_time(self.stores[0], 3600)
        age(self.stores[0], 3600)
        self.now += 1
        waiting = sorted((job for job in self.jobs.values() if job.waits_for_time), key=lambda job: job.place)
        for _, together in groupby(waiting, key=lambda job: job.place):
            place = self.moment()
            for job in together:
                job.come_due(place)

    def drawn(self, data: st.DataObject) -> JobFilter:
        """Any jobs; some of a task or a state; or these."""
        named = st.lists(st.sampled_from(sorted(self.jobs)), max_size=3).map(tuple) if self.jobs else st.just(())
        states = st.lists(st.sampled_from(list(State)), max_size=3, unique=True).map(tuple)
        kinds = [
            st.just(JobFilter()),
            st.builds(JobFilter, states=states, task=st.sampled_from((None, *TASKS))),
            st.builds(JobFilter, ids=named),
        ]
        return data.draw(st.one_of(kinds))

    def passes(self, side: int, turn: Turn, limit: int, picked: int | None = None, *, in_order: bool = True) -> int:
        """Passes until one picks nothing; how many jobs they changed. They pick *picked*, if it is given."""
        total = changed = 0
        after: bytes | None = None
        while (found := self.stores[side].run(turn(limit, after))).picked:
            assert found.picked <= limit
            assert not in_order or after is None or found.last is None or bytes(found.last) > after
            total, changed = total + found.picked, changed + found.changed
            after = found.last
        assert total == (changed if picked is None else picked)
        return changed

    def held_keys(self) -> set[str]:
        return {job.key for job in self.jobs.values() if job.key and not job.final}

    # -- what must hold

    @rule(side=SIDES)
    def look_through_the_store(self, side: int) -> None:
        """What ``get``, ``list``, ``counts`` and others say is what the model says."""
        store, operations = self.stores[side], self.stores[side].operations
        listed = store.run(operations.list(JobFilter(), limit=1000, after=None, direction="oldest"))
        expected = {ids.text(id_): self.jobs[id_] for id_ in sorted(self.jobs)}
        assert [info.id for info in listed] == list(expected)
        assert [info.state for info in listed] == [job.state for job in expected.values()]
        for info in listed[:3]:
            assert store.run(operations.get(ids.parse(info.id))) == info
        states = Counter(job.state for job in self.jobs.values())
        assert {state: count for state, count in store.run(operations.counts(JobFilter())).items() if count} == states
        assert store.run(operations.number(JobFilter())) == len(self.jobs)
        for hand in self.living:
            mine = [job for job in self.jobs.values() if job.state is State.RUNNING and job.runner == hand.id]
            asked = {bytes(id_): (token, reason) for id_, token, reason in store.run(operations.asked(hand.id))}
            assert asked == {job.id: (job.token, job.cancelled) for job in mine if job.cancelled is not None}

    @invariant()
    def every_job_is_in_one_table_and_is_what_the_model_says(self) -> None:
        assert self.stored() == {
            job.id: Stored(
                job.state,
                job.attempt,
                job.max_attempts,
                job.crashes,
                job.token,
                job.key,
                job.cancelled,
                job.progress,
                tuple(job.record[-1:]),
            )
            for job in self.jobs.values()
        }

    @invariant()
    def there_is_nothing_to_be_mended(self) -> None:
        assert list(mended(self.stores[0])) == []

    def stored(self) -> dict[bytes, Stored]:
        """All jobs as plain SQL finds them, each in one table, and none with the key of another (I6)."""
        seen = self.look(EVERYTHING)
        found = [_stored(row[:-1]) for row in seen]
        jobs = dict(found)
        assert len(jobs) == len(found), "a job is in both tables"
        held = [key for *_, key in seen if key is not None]
        assert len(held) == len(set(held)), "two jobs hold one key"
        return jobs


def matches(where: JobFilter, job: Modelled) -> bool:
    """Whether *job* is meant."""
    return (
        (not where.states or job.state in where.states)
        and where.task in {None, job.wish.task}
        and (where.ids is None or job.id in where.ids)
    )


def _stored(row: Sequence[object]) -> tuple[bytes, Stored]:
    id_, state, attempt, limit, crashes, token, key, cancelled, progress, record, run_after = row
    events = [attempt.event for attempt in read_attempts(cast("bytes | None", record))]
    due = cast("int", run_after) <= time.time_ns() // 1000
    seen = shown(cast("str", state), due=due, failed_before=bool(events))
    numbers = cast("tuple[int, int, int, int]", (attempt, limit, crashes, token))
    texts = cast("tuple[str | None, str | None]", (key, cancelled))
    said = None if progress is None else bytes(cast("bytes", progress))
    return bytes(cast("bytes", id_)), Stored(seen, *numbers, *texts, said, tuple(events[-1:]))


def _looked(here: Keys) -> Sequence[tuple[object, ...]]:
    """The rows of ``EVERYTHING`` on Redis; and its indexes are what the jobs would make of them."""
    assert unsound(here) == []
    return [_row(index in HOT, row) for index, row in here.look((*HOT, *PAST), *FIELDS)]


def _row(hot: bool, cells: Sequence[bytes | None]) -> tuple[object, ...]:
    texts = dict(zip(("id", *FIELDS), cells, strict=True))
    words = {name: (texts[name] or b"").decode() or None for name in ("id", "state", "unique", "cancelled")}
    numbers = [int(texts[name] or 0) for name in FIELDS[1:5]]
    id_ = bytes.fromhex(words["id"] or "")
    kept = (words["unique"], words["cancelled"], texts["progress"], texts["attempts"])
    return (id_, words["state"], *numbers, *kept, *((int(texts["run_after"] or 0), kept[0]) if hot else (0, None)))


@pytest.fixture
def look(url: str, folder: Path, opened: Callable[[], Store]) -> Iterator[Callable[[Store], Look]]:
    """Looks at a store with plain SQL, through a connection that is none of its own where there can be one."""
    with contextlib.ExitStack() as stack:

        def made(store: Store) -> Look:
            if "memory" in url:
                return partial(rows, store)
            if url.startswith("redis"):
                here = stack.enter_context(keys(url))
                return lambda _: _looked(here)
            if url.startswith("sqlite"):
                file = stack.enter_context(contextlib.closing(sqlite3.connect(folder / "jobs.db")))
                return lambda text: file.execute(text).fetchall()
            server = stack.enter_context(psycopg.connect(url, autocommit=True))
            return lambda text: [
                tuple(cell.bytes if isinstance(cell, UUID) else cell for cell in row) for row in server.execute(text)
            ]

        yield made


@pytest.mark.parametrize("url", [*KINDS, "redis"], indirect=True)
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
