"""Schedules: a cursor moves once, and the job is made with that."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from conveyor.core.extras import decoded
from conveyor.core.lifecycle import Event
from conveyor.core.model import JobFilter, JobInfo
from conveyor.core.schedules import Edit, Move, Planned, Scheduled, Spec, read_spec, written
from conveyor.core.unique import Hold
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Suite, new_job
from conveyor.testing.hand import HOUR, SECOND, Hand

WATCHERS: Final = 8


def spec(**changes: object) -> Spec:
    """One that makes the usual job each hour."""
    return Spec({"rule": "every", "period": HOUR, "start": None}, Planned.of(new_job()), **changes)  # type: ignore[arg-type]  # as given


def edit(name: str, next_at: int | None, made: Spec | None = None, version: int = 0) -> Edit:
    """A schedule whose next tick is at *next_at*."""
    it = made or spec()
    return Edit(name, version, written(it), None, next_at, None, it.times, it.overlap)


def move(row: Scheduled, *, ticks: int = 1) -> Move:
    """Over *ticks* ticks, each of which fires; *row* is due."""
    due, it = row.next_at or 0, read_spec(row.spec)
    jobs = tuple(it.job.at(row.name, due + number * HOUR, 0) for number in range(ticks))
    return Move(row.name, row.version, due, due + ticks * HOUR, due + (ticks - 1) * HOUR, jobs)


def now(store: Store) -> int:
    """The store's clock."""
    return store.run(store.operations.clock())


def save(store: Store, *edits: Edit) -> frozenset[str]:
    """The names of those that were saved."""
    return store.run(store.schedules.save(edits))


def due(store: Store, limit: int = 10) -> dict[str, Scheduled]:
    """Those whose tick has come."""
    return {row.name: row for row in store.run(store.schedules.coming(limit)).due}


def one(store: Store, name: str) -> Scheduled:
    """A schedule that there is."""
    (row,) = store.run(store.schedules.all([name]))
    return row


def jobs(store: Store) -> list[JobInfo]:
    """All, the oldest first."""
    found = store.run(store.operations.list(JobFilter(), limit=100, after=None, direction="oldest"))
    return list(found)


class Schedules(Suite):
    """What is due, who moves it, and what that makes."""

    def test_what_is_due_is_told_whole_and_of_the_rest_when_it_comes(self, store: Store) -> None:
        """The oldest first; what is paused, or has ended, never."""
        at = now(store)
        paused = edit("paused", at - SECOND)._replace(paused_at=at)
        save(store, edit("late", at - HOUR), edit("b", at - 2 * HOUR), edit("soon", at + HOUR), paused)
        save(store, edit("later", at + 2 * HOUR), edit("ended", None))
        coming = store.run(store.schedules.coming(10))
        assert [row.name for row in coming.due] == ["b", "late"]
        assert read_spec(coming.due[0].spec).job.task == "shop.mail"
        assert (coming.soonest, coming.now >= at) == (at + HOUR, True)
        assert [row.name for row in store.run(store.schedules.coming(1)).due] == ["b"]
        names = [row.name for row in store.run(store.schedules.all())]
        assert names == ["b", "ended", "late", "later", "paused", "soon"]

    def test_nothing_is_due_where_there_is_nothing(self, store: Store) -> None:
        """The clock is told all the same."""
        coming = store.run(store.schedules.coming(10))
        assert (coming.due, coming.soonest) == ((), None)
        assert coming.now > 0

    def test_a_tick_makes_its_job_and_moves_the_cursor(self, store: Store, hand: Hand) -> None:
        """The job is like any other, and knows its tick."""
        tick = now(store) - 5 * SECOND
        save(store, edit("hourly", tick))
        row = due(store)["hourly"]
        assert store.run(store.schedules.fire([move(row)])) == {"hourly": 1}
        after = one(store, "hourly")
        assert (after.next_at, after.tick, after.fired) == (tick + HOUR, tick, 1)
        (info,) = jobs(store)
        assert (info.schedule, info.extras.tick, info.task) == ("hourly", tick, "shop.mail")
        assert after.job is not None
        assert after.job.hex() == info.id.replace("-", "")
        hand.end(hand.take_one(), Event.SUCCEED)
        assert not due(store)

    def test_who_comes_second_moves_nothing(self, store: Store) -> None:
        """Also with the answer of a look that was true once."""
        save(store, edit("hourly", now(store) - SECOND))
        row = due(store)["hourly"]
        assert store.run(store.schedules.fire([move(row)])) == {"hourly": 1}
        assert store.run(store.schedules.fire([move(row)])) == {}
        assert len(jobs(store)) == 1

    def test_of_many_who_fire_at_once_one_does_it(self, opened: Callable[[], Store], store: Store) -> None:
        """With several schedules, each tick makes one job."""
        at = now(store) - SECOND
        save(store, *(edit(f"s{number}", at) for number in range(5)))
        rows = due(store)
        stores = [opened() for _ in range(WATCHERS)] if self.shared else [store] * WATCHERS

        def fire(watcher: Store) -> dict[str, int]:
            made = watcher.run(watcher.schedules.fire([move(row) for row in rows.values()]))
            return dict(made)

        with ThreadPoolExecutor(WATCHERS) as pool:
            made = list(pool.map(fire, stores))
        assert sorted(name for each in made for name in each) == sorted(rows)
        assert sorted(info.schedule for info in jobs(store)) == sorted(rows)

    def test_one_that_is_paused_gone_or_edited_meanwhile_does_not_fire_and_the_others_do(self, store: Store) -> None:
        """Each by its own cursor."""
        at = now(store) - SECOND
        save(store, *(edit(name, at) for name in ("paused", "gone", "edited", "fine")))
        rows = due(store)
        save(store, edit("paused", at, version=rows["paused"].version)._replace(paused_at=at))
        save(store, edit("edited", at, spec(jitter=1), version=rows["edited"].version))
        assert store.run(store.schedules.remove("gone"))
        assert not store.run(store.schedules.remove("gone"))
        assert store.run(store.schedules.fire([move(row) for row in rows.values()])) == {"fine": 1}
        assert [info.schedule for info in jobs(store)] == ["fine"]

    def test_several_ticks_make_several_jobs_in_their_order(self, store: Store, hand: Hand) -> None:
        """In one step."""
        save(store, edit("hourly", now(store) - 3 * HOUR))
        row = due(store)["hourly"]
        assert store.run(store.schedules.fire([move(row, ticks=3)])) == {"hourly": 3}
        at = row.next_at or 0
        assert [decoded(job.extras).tick for job in hand.take(3)] == [at, at + HOUR, at + 2 * HOUR]

    def test_without_a_job_the_cursor_moves_all_the_same(self, store: Store) -> None:
        """What was missed is passed over."""
        save(store, edit("hourly", now(store) - 3 * HOUR))
        row = due(store)["hourly"]
        assert store.run(store.schedules.fire([move(row)._replace(jobs=())])) == {"hourly": 0}
        after = one(store, "hourly")
        assert (after.fired, after.job, after.next_at) == (0, None, (row.next_at or 0) + HOUR)
        assert jobs(store) == []

    def test_it_skips_while_the_job_before_has_not_ended(self, store: Store, hand: Hand) -> None:
        """Waiting, or running; then it fires again."""
        at = now(store) - 10 * HOUR
        save(store, edit("hourly", at, spec(overlap="skip")))
        made = [store.run(store.schedules.fire([move(due(store)["hourly"])])) for _ in range(2)]
        job = hand.take_one()
        made.append(store.run(store.schedules.fire([move(due(store)["hourly"])])))
        hand.end(job, Event.SUCCEED)
        made.append(store.run(store.schedules.fire([move(due(store)["hourly"])])))
        assert made == [{"hourly": 1}, {"hourly": 0}, {"hourly": 0}, {"hourly": 1}]
        assert (one(store, "hourly").fired, len(jobs(store))) == (2, 2)

    def test_it_ends_with_the_last_job_that_it_may_make(self, store: Store) -> None:
        """However many ticks are to come."""
        save(store, edit("twice", now(store) - 10 * HOUR, spec(times=2)))
        for _ in range(2):
            assert store.run(store.schedules.fire([move(due(store)["twice"])])) == {"twice": 1}
        assert one(store, "twice").next_at is None
        assert not due(store)

    def test_a_job_whose_key_is_held_is_not_made_and_the_tick_is_over(self, store: Store, hand: Hand) -> None:
        """As a second enqueue of it is dropped."""
        unique = Spec({"rule": "x"}, Planned.of(new_job()._replace(unique=Hold("k", False, "raise"))))  # noqa: FBT003 - as a tuple has it
        save(store, edit("hourly", now(store) - 10 * HOUR, unique))
        for _ in range(2):
            store.run(store.schedules.fire([move(due(store)["hourly"])]))
        (info,) = jobs(store)
        row = one(store, "hourly")
        assert (row.fired, row.job and row.job.hex()) == (1, info.id.replace("-", ""))
        hand.end(hand.take_one(), Event.SUCCEED)
        assert store.run(store.schedules.fire([move(due(store)["hourly"])])) == {"hourly": 1}
        assert len(jobs(store)) == 2

    def test_an_edit_of_an_older_version_changes_nothing(self, store: Store) -> None:
        """Neither one that others have edited since, nor one that has fired, nor one that is gone, nor a second new."""
        at = now(store) - SECOND
        assert save(store, edit("a", at), edit("b", at), edit("c", at)) == {"a", "b", "c"}
        assert save(store, edit("a", at)) == frozenset()
        rows = due(store)
        store.run(store.schedules.fire([move(rows["a"])]))
        store.run(store.schedules.remove("b"))
        edits = [edit(name, at + HOUR, version=rows[name].version) for name in "abc"]
        assert save(store, *edits) == {"c"}
        assert [row.name for row in store.run(store.schedules.all())] == ["a", "c"]
        assert one(store, "c").next_at == at + HOUR

    @pytest.mark.parametrize("name", ["a" * 200, "n'\"; --", "имя 🕰", "%s {where} :now"])
    def test_any_name_will_do(self, store: Store, name: str) -> None:
        """It is a value, and never a part of a statement."""
        save(store, edit(name, now(store) - SECOND))
        assert store.run(store.schedules.fire([move(due(store)[name])])) == {name: 1}
        assert [info.schedule for info in jobs(store)] == [name]
        assert store.run(store.schedules.remove(name))
