"""A store on Redis in several shards is moved whole, wherever that is cut off: also between two of its shards."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Final, TypeVar

import pytest
from msgspec import structs

from conveyor.cli.chaos.keys import keys
from conveyor.cli.chaos.sound import unsound
from conveyor.client import moving, pair
from conveyor.client.moving import Mover, reopen
from conveyor.core.errors import StoreClosed, UsageError
from conveyor.core.model import JobFilter
from conveyor.core.moving import Mark
from conveyor.core.schedules import Edit, Move, Planned, Spec, written
from conveyor.plan import Plan, Steps
from conveyor.store.contract import Store
from conveyor.store.moving import Busy, Over
from conveyor.store.redis.moving import RedisMoving
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.sharding import at, by_id
from conveyor.testing.contract.hands import new_job
from conveyor.testing.contract.moving import everything
from conveyor.testing.hand import HOUR, Hand, enqueue
from tests.contract.test_moving import all_of, claims, filled
from tests.support.redis import RedisServer, versions

T = TypeVar("T")

SHARDS: Final = 3
MARK: Final = Mark("source", "f00", "elsewhere://")
Two = tuple[Store, Store]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(versions()[0]) as started:
        yield started


@pytest.fixture
def two(server: RedisServer) -> Iterator[Two]:
    """A source and a target, of so many shards."""
    server.flush()
    with ExitStack() as open_:
        source, target = (
            open_.enter_context(closing(RedisStore(f"{server.url(number)}?shards={SHARDS}"))) for number in (0, 1)
        )
        yield source, target


def identity(store: Store) -> str:
    return store.run(store.operations.identity())


def in_shard(store: Store, shard: int, plan: Plan[T]) -> T:
    return store.run(Plan(lambda: at(shard, plan.steps()), writes=plan.writes))


class CutError(Exception):
    """The mover is dead."""


class Cut:
    """Of all calls of scripts, the first *left* are carried out, and no other."""

    def __init__(self, left: int) -> None:
        self.left = left

    def of(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        run = store.run

        def counted(plan: Plan[T]) -> T:
            return run(replace(plan, steps=lambda: self._counted(plan)))

        monkeypatch.setattr(store, "run", counted)

    def _counted(self, plan: Plan[T]) -> Steps[T]:
        steps = plan.steps()
        try:
            statement = next(steps)
            while True:
                if self.left == 0:
                    raise CutError
                self.left -= 1
                answer = yield statement
                statement = steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value


def cut_off(two: Two, calls: int) -> bool:
    """Move with so many calls; whether the move was cut off by that."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pair, "BATCH", 4)
        monkeypatch.setattr(moving, "BATCH", 4)
        cut = Cut(calls)
        for store in two:
            cut.of(store, monkeypatch)
        try:
            Mover(*two).move()
        except CutError:
            return True
    return False


def test_a_move_that_is_cut_off_between_any_two_calls_is_gone_on_with(two: Two) -> None:
    source, target = two
    filled(source)
    before, calls = all_of(source), 0
    while cut_off(two, calls):  # each begins where the one before was cut off
        calls += 1
    assert calls > 50
    assert all_of(source) == all_of(target) == before
    assert (claims(source), claims(target)) == (False, True)
    assert source.run(source.moving.mark()) == Mark("source", identity(target), target.url, over=True)


def test_what_was_left_is_moved_wherever_that_is_cut_off(two: Two) -> None:
    source, target = two
    jobs, holders = ([new_job(unique=f"k{number}") for number in range(9)] for _ in two)
    enqueue(source, *jobs)
    enqueue(target, *holders)
    assert len(Mover(source, target).move().left) == len(jobs)
    target.run(target.control.delete_waiting(JobFilter(), 10, None))
    calls = 0
    while cut_off(two, calls):
        calls += 1
    assert calls > 20
    assert {record.id for record in everything(target)} == {job.id for job in jobs}
    assert claims(target)


def test_a_move_that_is_cut_off_between_any_two_calls_is_undone_or_over(server: RedisServer, two: Two) -> None:
    source, target = two
    calls = 0
    while True:
        server.flush()
        filled(source)
        before = all_of(source)
        if not cut_off(two, calls):
            break
        mine, theirs = source.run(source.moving.mark()), target.run(target.moving.mark())
        if mine is not None and mine.over:
            Mover(source, target).move()
            assert (all_of(target), claims(source), claims(target)) == (before, False, True)
        else:
            if mine is not None or theirs is not None:
                Mover(source, target).undo()
            assert (all_of(source), everything(target), claims(source), claims(target)) == (before, [], True, True)
        calls += 1
    assert calls > 50


def test_all_indexes_are_sound_where_jobs_have_come_and_where_they_were(server: RedisServer, two: Two) -> None:
    source, target = two
    filled(source, more=30)
    Mover(source, target).move(delete_source=True)
    for number in (0, 1):
        with keys(f"{server.url(number)}?shards={SHARDS}") as here:
            assert unsound(here) == []


def test_a_store_may_have_more_shards_where_it_goes(server: RedisServer, two: Two) -> None:
    source, _ = two
    filled(source, more=30)
    before = all_of(source)
    with closing(RedisStore(f"{server.url(2)}?shards=5")) as target:
        Mover(source, target).move()
        assert all_of(target) == before
        hand = Hand(target)
        with pytest.raises(Busy, match="1 runners live there"):
            target.run(target.moving.close(MARK))
        hand.die()


def test_a_schedule_knows_its_last_job_where_it_goes(two: Two) -> None:
    """Which lies where the schedule does, so that none is made besides it."""
    source, target = two
    names = [f"schedule {number}" for number in range(9)]
    spec = written(Spec({"every": 60}, Planned.of(new_job()), overlap="skip"))
    source.run(source.schedules.save([Edit(name, 0, spec, None, 5, None, None, "skip") for name in names]))
    first = [Move(name, 1, 5, 6, 5, (Planned.of(new_job(delay=HOUR)).at(name, 5, 2**52),)) for name in names]
    assert source.run(source.schedules.fire(first)) == dict.fromkeys(names, 1)
    Mover(source, target).move()
    next_ = [Move(name, 2, 6, 7, 6, (new_job(),)) for name in names]
    assert target.run(target.schedules.fire(next_)) == dict.fromkeys(names, 0)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_where_a_job_runs_in_one_shard_all_are_as_they_were(two: Two, shard: int) -> None:
    store, _ = two
    job = new_job()
    while by_id(job.id, SHARDS) != shard:
        job = new_job()
    enqueue(store, job)
    hand = Hand(store)
    hand.take_one()
    hand.die()
    with pytest.raises(Busy, match="0 runners live there, and 1 jobs run"):
        store.run(store.moving.close(MARK))
    assert (store.run(store.moving.mark()), claims(store)) == (None, True)
    was = Mark("target", "f00", "elsewhere://")
    store.run(store.moving.close(was))
    with pytest.raises(Busy):
        store.run(store.moving.close(MARK))
    assert store.run(store.moving.mark()) == was


@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_is_closed_in_part_is_told_and_mended(two: Two, shard: int) -> None:
    source, target = two
    enqueue(source, *(new_job(number) for number in range(9)))
    in_shard(source, shard, RedisMoving().close(MARK))
    assert source.run(source.moving.mark()) == structs.replace(MARK, partly=True)
    with pytest.raises(Over):
        source.run(source.moving.note(MARK))
    reopen(source, force=True)
    assert (source.run(source.moving.mark()), claims(source)) == (None, True)
    with pytest.raises(UsageError, match="is open"):
        reopen(source)
    Mover(source, target).move()
    assert len(everything(target)) == 9
    with pytest.raises(StoreClosed):
        enqueue(source, new_job())
