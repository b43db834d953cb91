"""How everything comes out of a store, and into another one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

import pytest

from conveyor.core import ids
from conveyor.core.clock import stored
from conveyor.core.errors import StoreClosed
from conveyor.core.extras import Extras, marked
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter, JobInfo
from conveyor.core.moving import Mark, Record
from conveyor.core.schedules import Edit, Move, Planned, Scheduled, Spec, written
from conveyor.plan import Plan
from conveyor.store.contract import Store
from conveyor.store.moving import Busy, Over
from conveyor.testing.contract.hands import Hire, Suite, ask, new_job, states
from conveyor.testing.hand import HOUR, QUEUE, Hand, enqueue, outcome, see

T = TypeVar("T")

ALL: Final = JobFilter()
SOURCE: Final = Mark("source", "f00", "elsewhere://it's 100% :moved")
TARGET: Final = Mark("target", "f00", "elsewhere://")
HOSTILE: Final = "x'\"\\ :a %s {b} \N{SNOWMAN}\U0001f9f3 ' || --"


def everything(store: Store, limit: int = 100) -> list[Record]:
    """All that is exported, page by page."""
    found: list[Record] = []
    after: bytes | None = None
    while page := store.run(store.moving.exported(after, limit)):
        found.extend(page)
        after = page[-1].id
    return found


def infos(store: Store) -> list[JobInfo]:
    """What is shown of all jobs."""
    found = store.run(store.operations.list(ALL, limit=1_000, after=None, direction="oldest"))
    return list(found)


def of_all_states(store: Store, hand: Hand) -> None:
    """Jobs in all states that last, with all that a job may have."""
    ends = [Event.SUCCEED, Event.FAIL, Event.QUARANTINE, Event.CANCEL, Event.RETRY, Event.RELEASE, Event.SNOOZE]
    extras = Extras(tags=marked(("a", HOSTILE)), schedule="s", tick=7)
    for number, event in enumerate(ends):
        enqueue(store, new_job(number, priority=number - 3, max_attempts=9, keep=HOUR * number, extras=extras))
        hand.end(hand.take_one(), event, delay=HOUR, reason="enough" if event is Event.CANCEL else None)
    enqueue(store, new_job(keep=-1))
    hand.end(hand.take_one(), Event.SUCCEED)
    enqueue(store, new_job(expires=HOUR), new_job(delay=HOUR, keep=0, expires=HOUR), new_job(unique="k", delay=HOUR))
    enqueue(
        store, new_job(unique="u", until_start=True, delay=HOUR), new_job(task=f"t:{HOSTILE}", queue=f"q:1:{HOSTILE}")
    )
    enqueue(store, new_job(queue="stopped", unique="gone", extras=extras))
    store.run(store.control.cancel(JobFilter(queue="stopped"), HOSTILE, 10, None))


def shown(info: JobInfo) -> JobInfo:
    """*info*, whatever its time has become meanwhile."""
    return replace(info, state=State.READY) if info.state in {State.SCHEDULED, State.RETRYABLE} else info


def empty(store: Store) -> None:
    """Have it hold no jobs."""
    store.run(store.moving.dropped([record.id for record in everything(store)]))
    assert everything(store) == []


class Moving(Suite):
    """``Store.moving``: what is exported, imported and dropped, and what a closed store refuses."""

    def test_what_is_exported_is_imported_as_it_was(self, store: Store, hand: Hand) -> None:
        """In all that is shown of a job, and in all that is kept of it."""
        of_all_states(store, hand)
        records, before = everything(store, 3), infos(store)
        assert [record.id for record in records] == sorted(ids.parse(info.id) for info in before)
        assert {record.state for record in records} >= {"waiting", "succeeded", "failed", "quarantined", "cancelled"}
        empty(store)
        assert not store.run(store.moving.imported(records))
        assert everything(store) == records
        assert list(map(shown, infos(store))) == list(map(shown, before))

    def test_every_value_that_may_be_stored_comes_through(self, store: Store) -> None:
        """Also what somebody has spoilt."""
        who, numbers = (ids.new(), 2**53, 1, 2, 3, 4, 5, 6, 7, bytes(range(16))), (-100, 32767, 32767, 32767)
        texts = ("failed", HOSTILE, HOSTILE, b"\x00\xff{", b"\xfe", b"", HOSTILE, HOSTILE, "", b"\x00", "f:0")
        spoilt = Record._make((*who, *numbers, *texts, 2**52, None, None, False))
        waits = spoilt._replace(
            id=ids.new(), state="waiting", finished_at=None, run_time=None, runner=None, result=None
        )
        waits = waits._replace(fingerprint=None, delete_after=None, expires_at=2**52, keep=-1, until_start=True)
        bare = waits._replace(id=ids.new(), attempts=None, extras=None, unique_key=None, cancelled=None, progress=None)
        bare = bare._replace(timeout=None, started_at=None, last_attempted_at=None, expires_at=None, keep=None)
        records = sorted([spoilt, waits, bare])
        assert not store.run(store.moving.imported(records))
        assert everything(store) == records

    def test_what_was_imported_goes_on(self, store: Store, hand: Hand) -> None:
        """It is claimed by priority, with its attempts and its token; it is revived, it expires, its key is held."""
        of_all_states(store, hand)
        records = everything(store)
        empty(store)
        store.run(store.moving.imported(records))
        before = {record.id: record for record in records}
        store.run(store.control.hasten(ALL, 100, None))
        taken = hand.claim(100)
        assert [job.priority for job in taken] == sorted((job.priority for job in taken), reverse=True)
        for job in taken:
            was = before[job.id]
            assert (job.attempt, job.crashes, job.args) == (was.attempt + 1, was.crashes, was.args)
            assert (job.attempts, job.extras, job.expires_at) == (was.attempts, was.extras, was.expires_at)
            assert job.token > was.token
        assert store.run(store.operations.holder("u")) is None
        assert store.run(store.operations.holder("k")) is not None
        assert hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in taken)) == frozenset()
        assert store.run(store.operations.holder("k")) is None
        assert store.run(store.control.revive(JobFilter(states=(State.FAILED,)), 10, None)).changed == 1
        assert not store.run(store.operations.failures(ALL, 10))

    def test_an_import_is_repeated_without_harm(self, store: Store, hand: Hand) -> None:
        """What is there stays as it is by now."""
        jobs = [new_job(1, unique="k"), new_job(2), new_job(3)]
        enqueue(store, *jobs)
        records = everything(store)
        hand.end(hand.take(1)[0], Event.SUCCEED)
        running = hand.take_one()
        before = infos(store)
        assert not store.run(store.moving.imported(records))
        assert infos(store) == before
        assert states(store, running) == [State.RUNNING]

    def test_nothing_is_imported_once_a_move_has_ended(self, store: Store) -> None:
        """Whoever is late cannot bring back what has ended, and been deleted, since."""
        enqueue(store, new_job(1))
        records = everything(store)
        empty(store)
        store.run(store.moving.close(TARGET))
        assert not store.run(store.moving.imported(records, TARGET.other))
        store.run(store.moving.open())
        empty(store)
        store.run(store.moving.note(TARGET))
        with pytest.raises(Over):
            store.run(store.moving.imported(records, TARGET.other))
        for mark in (Mark("target", "another", ""), Mark("source", TARGET.other, "")):
            store.run(store.moving.close(mark))
            with pytest.raises(Over):
                store.run(store.moving.imported(records, TARGET.other))
            store.run(store.moving.open())
        assert (everything(store), store.run(store.moving.mark())) == ([], None)

    def test_a_job_whose_key_is_held_is_not_imported(self, store: Store) -> None:
        """The holder is told, and the others are there."""
        first, other, holder = new_job(1, unique="k"), new_job(2), new_job(3, unique="k")
        enqueue(store, first, other)
        records = everything(store)
        empty(store)
        enqueue(store, holder)
        assert store.run(store.moving.imported(records)) == {first.id: holder.id}
        assert {record.id for record in everything(store)} == {other.id, holder.id}

    def test_jobs_are_found_by_their_ids(self, store: Store, hand: Hand) -> None:
        """Wherever they stand, in the order of ids."""
        jobs = [new_job(number) for number in range(5)]
        enqueue(store, *jobs)
        hand.end(hand.take_one(), Event.SUCCEED)
        wanted = [jobs[4].id, jobs[0].id, ids.new()]
        found = store.run(store.moving.found(wanted))
        assert [record.id for record in found] == sorted(wanted[:2])
        assert list(found) == [one for one in everything(store) if one.id in wanted]

    def test_schedules_and_pauses_come_through(self, store: Store) -> None:
        """With their cursors; those that are known stay as they are."""
        made, paused = self._scheduled(store), {HOSTILE: 7, QUEUE: 8}
        store.run(store.moving.dropped((), [schedule.name for schedule in made]))
        assert store.run(store.schedules.all()) == []
        store.run(store.moving.restored(made, paused))
        store.run(store.moving.restored([one._replace(fired=99) for one in made], dict.fromkeys(paused, 9)))
        assert _timeless(store) == [one._replace(now=0) for one in made]
        queues = {queue.name: queue.paused_at for queue in store.run(store.operations.queues())}
        assert {name: since and stored(since) for name, since in queues.items()} == paused
        (due,) = store.run(store.schedules.coming(10)).due
        move = Move(due.name, due.version, due.next_at or 0, None, due.next_at or 0, (new_job(),))
        assert store.run(store.schedules.fire([move])) == {due.name: 1}

    def _scheduled(self, store: Store) -> list[Scheduled]:
        job = Planned.of(new_job())
        specs = [Spec({"every": 1}, job, times=5, overlap="skip"), Spec({"cron": HOSTILE}, job)]
        names = ["a", f"b {HOSTILE}"]
        pauses = [None, 77]
        edits = [
            Edit(name, 0, written(spec), None if pause is None else "{}", 1, pause, spec.times, spec.overlap)
            for name, spec, pause in zip(names, specs, pauses, strict=True)
        ]
        store.run(store.schedules.save(edits))
        store.run(store.schedules.fire([Move("a", 1, 1, 2, 1, (new_job(delay=HOUR),))]))
        store.run(store.moving.dropped([record.id for record in everything(store)]))
        return [one._replace(now=0) for one in store.run(store.schedules.all())]

    def test_a_closed_source_refuses_all_changes(self, store: Store, second: Store, hire: Hire) -> None:
        """And says where its jobs are; what is there can be read, and once it is open it is as it was."""
        self._scheduled(store)
        key, old = new_job(1, unique="k"), hire()
        enqueue(store, key, new_job(2, delay=HOUR), new_job(3, delay=HOUR))
        old.end(old.take_one(), Event.SUCCEED)
        old.die()
        before = everything(store)
        store.run(store.moving.close(SOURCE))
        assert second.run(second.moving.mark()) == SOURCE
        changes = _changes(second)
        for refused in changes:
            with pytest.raises(StoreClosed, match="it's 100% :moved"):
                refused()
        assert everything(second) == before
        note = Mark("source", "f00", "elsewhere://", over=True, left=("0",))
        store.run(store.moving.note(note))
        assert second.run(second.moving.mark()) == note
        store.run(store.moving.open())
        assert second.run(second.moving.mark()) is None
        for allowed in changes:
            allowed()

    def test_a_store_that_is_filled_takes_jobs_and_runs_none(self, store: Store, second: Store, hire: Hire) -> None:
        """Nothing that is there is changed."""
        made, old = self._scheduled(store), hire()
        enqueue(store, new_job(1), new_job(2, delay=HOUR), new_job(3))
        old.end(old.take_one(), Event.SUCCEED)
        old.die()
        records = everything(store)
        store.run(store.moving.close(TARGET))
        enqueue_plan, *changes = _changes(second)
        enqueue_plan()
        for refused in changes:
            with pytest.raises(StoreClosed, match="is being filled from elsewhere://"):
                refused()
        assert store.run(store.operations.claim(old.id, {QUEUE: 10}, ["shop.mail"])) == []
        store.run(store.moving.dropped([record.id for record in everything(store)], [one.name for one in made]))
        assert not store.run(store.moving.imported(records))
        store.run(store.moving.restored(made, {}))
        assert everything(second) == records
        with pytest.raises(StoreClosed):
            hire(second)
        store.run(store.moving.open())
        assert hire(second).take_one()

    def test_a_store_is_not_closed_while_workers_live(self, store: Store, hand: Hand) -> None:
        """Nor while a dead one's jobs run, where it is the source."""
        enqueue(store, new_job(1))
        hand.take_one()
        for mark in (SOURCE, TARGET):
            with pytest.raises(Busy, match="1 runners live there"):
                store.run(store.moving.close(mark))
        hand.die()
        with pytest.raises(Busy, match="0 runners live there, and 1 jobs run"):
            store.run(store.moving.close(SOURCE))
        assert store.run(store.moving.mark()) is None
        enqueue(store, new_job(2))
        store.run(store.moving.close(TARGET))
        store.run(store.moving.open())

    def test_a_running_job_has_all_that_is_kept_of_it(self, store: Store, hand: Hand) -> None:
        """Its runner, and the wish to cancel it."""
        enqueue(store, new_job(1))
        claimed = hand.take_one()
        ask(store, ALL, HOSTILE)
        (record,) = everything(store)
        assert (record.state, record.runner, record.token) == ("running", hand.id, claimed.token)
        assert record.cancelled == see(store, claimed.id).cancelled == HOSTILE


def _timeless(store: Store) -> list[Scheduled]:
    return [one._replace(now=0) for one in store.run(store.schedules.all())]


def _changes(store: Store) -> list[Callable[[], object]]:
    """All kinds of changes, by whoever may make them: enqueueing, and others."""
    job, planned = new_job(9, delay=HOUR), Planned.of(new_job())
    edit = Edit("new", 0, written(Spec({"every": 1}, planned)), None, 1, None, None, "allow")
    move = Move("a", 2, 2, 3, 2, (new_job(delay=HOUR),))

    def does(plan: Plan[T]) -> Callable[[], object]:
        return lambda: store.run(plan)

    return [
        does(store.operations.enqueue([job])),
        lambda: Hand(store).die(),
        does(store.control.hasten(ALL, 1, None)),
        does(store.control.cancel(ALL, "", 1, None)),
        does(store.control.revive(ALL, 10, None)),
        does(store.control.delete_waiting(ALL, 1, None)),
        does(store.control.delete_ended(ALL, 1, None)),
        does(store.schedules.save([edit])),
        does(store.schedules.fire([move])),
        does(store.schedules.remove("a")),
    ]
