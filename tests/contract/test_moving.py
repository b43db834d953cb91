"""``conveyor move`` between stores of all kinds: whole, refused, cut off anywhere, gone on with, and undone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Final, TypeVar

import psycopg
import pytest

from conveyor import Conveyor
from conveyor.client import moving, pair
from conveyor.client.moving import Mover, reopen
from conveyor.core import ids
from conveyor.core.clock import SystemClock
from conveyor.core.errors import ConveyorError, HeldElsewhere, OutcomeUnknown, StoreClosed, UsageError
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter
from conveyor.core.moving import Mark, Record
from conveyor.core.schedules import Edit, Move, Planned, Spec, written
from conveyor.plan import Plan
from conveyor.store.contract import Store
from conveyor.store.postgres import moving as postgres_moving
from conveyor.store.redis.opened import RedisStore
from conveyor.store.sqlite.opened import SqliteStore
from conveyor.testing.contract.hands import new_job
from conveyor.testing.contract.moving import everything, infos, of_all_states, shown
from conveyor.testing.hand import HOUR, Hand, enqueue, see
from tests.support.redis import RedisServer, versions
from tests.support.stores import open_store

T = TypeVar("T")

Opener = Callable[[str], Store]
PAIRS: Final = list(permutations(("sqlite", "postgres", "redis"), 2))
CUT: Final = [
    ("sqlite", "sqlite-2", "before"),
    ("sqlite", "sqlite-2", "after"),
    ("postgres", "redis", "after"),
    ("redis", "postgres", "before"),
]
PAUSED: Final = {"mail": 1_700_000_000_000_001, "default": 1_700_000_000_000_002}


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer(versions()[0]) as started:
        yield started


@pytest.fixture
def opener(request: pytest.FixtureRequest, folder: Path) -> Iterator[Opener]:
    """Opens a new store of a kind, or of two of SQLite: ``sqlite``, ``sqlite-2``."""
    stores: list[Store] = []

    def opened(kind: str) -> Store:
        if kind == "redis":
            server: RedisServer = request.getfixturevalue("redis_server")
            server.flush()
            stores.append(RedisStore(server.url()))
        elif kind == "postgres":
            stores.append(open_store(request.getfixturevalue("postgres_url")))
        else:
            stores.append(SqliteStore(f"sqlite:///{folder / kind}.db", SystemClock()))
        stores[-1].migrate()
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def source(opener: Opener) -> Store:
    return opener("sqlite")


@pytest.fixture
def target(opener: Opener) -> Store:
    return opener("sqlite-2")


def filled(store: Store, more: int = 0) -> None:
    """Jobs in all states, *more* besides, schedules that stand somewhere, and paused queues; nobody works there."""
    hand = Hand(store)
    of_all_states(store, hand)
    hand.die()
    if more:
        enqueue(store, *(new_job(number, delay=HOUR, queue=f"q{number % 7}") for number in range(more)))
    job = Planned.of(new_job())
    spec = Spec({"every": 60}, job, overlap="skip", times=9)
    edits = [Edit(name, 0, written(spec), "{}", 5, since, 9, "skip") for name, since in (("a", None), ("b", 7))]
    store.run(store.schedules.save(edits))
    store.run(store.schedules.fire([Move("a", 1, 5, 2**52, 6, (new_job(delay=HOUR),))]))
    store.run(store.moving.restored((), PAUSED))


def all_of(store: Store) -> tuple[object, ...]:
    """All that a move is to bring over."""
    schedules = [schedule._replace(now=0) for schedule in store.run(store.schedules.all())]
    paused = [(queue.name, queue.paused_at) for queue in store.run(store.operations.queues()) if queue.paused_at]
    return everything(store), list(map(shown, infos(store))), schedules, paused


def claims(store: Store) -> bool:
    """Whether a worker could begin there."""
    try:
        Hand(store).die()
    except StoreClosed:
        return False
    return True


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=map("-to-".join, PAIRS))
def test_everything_moves(opener: Opener, first: str, second: str) -> None:
    source, target = opener(first), opener(second)
    filled(source, more=200)
    before = all_of(source)
    steps: list[int] = []
    would = Mover(source, target).look()
    moved = Mover(source, target).move(steps.append)
    assert (would.jobs, moved.jobs, sum(steps)) == (len(everything(source)), len(everything(source)), 2 * moved.jobs)
    assert (moved.schedules, moved.paused, moved.left) == (2, 2, {})
    assert all_of(target) == all_of(source) == before
    assert (claims(source), claims(target)) == (False, True)
    again = Mover(source, target).move(delete_source=True)
    assert (again.jobs, again.deleted) == (0, moved.jobs)
    assert everything(source) == source.run(source.schedules.all()) == []
    reopen(source)
    back = Mover(target, source).move()
    assert (back.checksum, back.jobs) == (moved.checksum, moved.jobs)
    assert all_of(source) == before


def test_what_was_moved_runs_there_and_not_here(source: Store, target: Store) -> None:
    enqueue(source, new_job(1), new_job(2, unique="k"))
    Mover(source, target).move()
    with pytest.raises(StoreClosed, match=r"has taken its jobs to sqlite:.*sqlite-2\.db; use that one"):
        enqueue(source, new_job(3))
    hand = Hand(target)
    for job in hand.take(2):
        hand.end(job, Event.SUCCEED)
    hand.die()
    assert [info.state for info in infos(target)] == [State.SUCCEEDED] * 2
    target.run(target.control.delete_ended(JobFilter(), 10, None))
    assert Mover(source, target).move().jobs == 0
    assert everything(target) == []


def test_a_source_is_emptied_whatever_has_become_of_the_target(opener: Opener, source: Store, target: Store) -> None:
    enqueue(source, new_job(1))
    Mover(source, target).move()
    Mover(target, opener("sqlite-3")).move()
    assert Mover(source, target).move(delete_source=True).deleted == 1
    assert everything(source) == []


@pytest.mark.direct
def test_a_transaction_that_has_enqueued_is_waited_for(
    opener: Opener, target: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job is moved too, or nothing is."""
    monkeypatch.setattr(postgres_moving, "_PATIENCE", "SELECT set_config('lock_timeout', '50ms', true)")
    source, app = opener("postgres"), Conveyor(postgres_url)
    task = app.task(name="shop.late")(print_nothing)
    with psycopg.connect(postgres_url) as connection:
        with app.within(connection):
            job = task.enqueue()
        with pytest.raises(HeldElsewhere):
            Mover(source, target).move()
        assert (claims(source), claims(target)) == (True, False)
        connection.commit()
        assert Mover(source, target).move().jobs == 1
        with pytest.raises(psycopg.DatabaseError, match="conveyor move has taken its jobs to"), app.within(connection):
            task.enqueue()
    app.close()
    assert [info.id for info in infos(target)] == [job.id]


def print_nothing() -> None:
    """A task."""


def test_jobs_of_a_dead_worker_wait_there(source: Store, target: Store) -> None:
    enqueue(source, new_job(1))
    hand = Hand(source)
    (job,) = hand.take(1)
    hand.die()
    Mover(source, target).move()
    (info,) = infos(target)
    assert (ids.parse(info.id), info.state, info.attempt) == (job.id, State.READY, 1)
    assert info.attempts[0].event == "rescue"


@pytest.mark.parametrize("busy", ["source", "target"])
def test_nothing_moves_while_a_worker_lives(source: Store, target: Store, busy: str) -> None:
    enqueue(source, new_job(1))
    hand = Hand({"source": source, "target": target}[busy])
    for act in (Mover(source, target).look, Mover(source, target).move):
        with pytest.raises(UsageError, match=r"workers are running on .*: pid 1 on here; stop those of both"):
            act()
    hand.die()
    assert [store.run(store.moving.mark()) for store in (source, target)] == [None, None]
    Mover(source, target).move()


def test_a_worker_that_starts_at_the_last_moment_keeps_both_open(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(source, new_job(1))
    hand = Hand(source)

    def unseen(_: pair.Pair) -> None:
        """It is not there yet."""

    monkeypatch.setattr(pair.Pair, "check_workers", unseen)
    with pytest.raises(UsageError, match=r"sqlite\.db could not be closed: 1 runners live there"):
        Mover(source, target).move()
    hand.die()
    assert [store.run(store.moving.mark()) for store in (source, target)] == [None, None]


def test_what_cannot_be_moved_is_refused_before_anything_is_changed(
    opener: Opener, source: Store, target: Store
) -> None:
    filled(source)
    with pytest.raises(UsageError, match="are the same store"):
        Mover(source, source).move()
    Mover(source, target).move()
    with pytest.raises(UsageError, match="is closed: conveyor move has taken its jobs to"):
        Mover(source, opener("sqlite-3")).move()
    with pytest.raises(UsageError, match="is closed: conveyor move has taken its jobs to"):
        Mover(opener("sqlite-3"), source).move()
    reopen(source, force=True)
    with pytest.raises(UsageError, match=r"has jobs of these ids already: .* and 10 more"):
        Mover(source, target).look()
    for job in everything(target):
        target.run(target.moving.dropped([job.id]))
    with pytest.raises(UsageError, match="both stores have schedules of these names: a, b; remove one of each"):
        Mover(source, target).move()
    assert [store.run(store.moving.mark()) for store in (source, target)] == [None, None]


def test_a_job_whose_key_is_held_there_stays(source: Store, target: Store) -> None:
    held, others = new_job(1, unique="k"), [new_job(number) for number in range(5)]
    enqueue(source, held, *others)
    holder = new_job(2, unique="k")
    enqueue(target, holder)
    for _ in range(2):
        left = Mover(source, target).move(delete_source=True).left
        assert list(left) == [ids.text(held.id)]
        assert left[ids.text(held.id)].startswith(f"job {ids.text(holder.id)} holds the unique key of task k")
        assert claims(target)
        assert len(everything(source)) == 6
    hand = Hand(target)
    with pytest.raises(UsageError, match="could not be closed: 1 runners live there"):
        Mover(source, target).move()
    hand.die()
    target.run(target.control.cancel(JobFilter(ids=(holder.id,)), "", 1, None))
    for job in others:  # what has been and gone there does not come again
        target.run(target.control.delete_waiting(JobFilter(ids=(job.id,)), 1, None))
    moved = Mover(source, target).move(delete_source=True)
    assert (moved.jobs, moved.left, moved.deleted) == (1, {}, 6)
    assert {record.id for record in everything(target)} == {held.id, holder.id}


def test_a_job_that_the_other_store_refuses_stays_alone(opener: Opener, source: Store) -> None:
    target = opener("postgres")
    enqueue(source, *(new_job(number) for number in range(5)))
    bad = everything(source)[2]._replace(id=ids.new(), task="no\x00no")
    source.run(source.moving.imported([bad]))
    moved = Mover(source, target).move()
    assert (moved.jobs, list(moved.left)) == (5, [ids.text(bad.id)])
    assert "0x00" in moved.left[ids.text(bad.id)]


def test_copies_that_are_not_right_keep_both_closed(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(source)
    imported = target.moving.imported

    def spoilt(batch: Sequence[Record], source: str) -> Plan[Mapping[bytes, bytes]]:
        return imported([*batch[1:-1], batch[-1]._replace(attempt=7)], source)

    monkeypatch.setattr(target.moving, "imported", spoilt)
    with pytest.raises(
        ConveyorError, match=r"14 of 15 jobs are in .* and some not as they are in .*: .*Both stores stay"
    ):
        Mover(source, target).move()
    assert (claims(source), claims(target)) == (False, False)
    monkeypatch.undo()
    assert Mover(source, target).undo() == 14
    assert (claims(source), claims(target)) == (True, True)
    assert Mover(source, target).move().jobs == 15


# ---------------------------------------------------------------- cut off


class CutError(Exception):
    """The mover is dead."""


class Cut:
    """Stores of which the *last* call is not carried out, or is and nobody hears of it; and none after that."""

    def __init__(self, last: int, *, done: bool) -> None:
        self.left, self.done = last, done

    def of(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        run = store.run

        def cut(plan: Plan[T]) -> T:
            self.left -= 1
            if self.left == 0 and self.done:
                run(plan)
            if self.left <= 0:
                raise CutError
            return run(plan)

        monkeypatch.setattr(store, "run", cut)


def cut_off(source: Store, target: Store, last: int, *, done: bool) -> bool:
    """Move until the call *last*; whether the move was cut off by that."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pair, "BATCH", 4)
        monkeypatch.setattr(moving, "BATCH", 4)
        cut = Cut(last, done=done)
        for store in (source, target):
            cut.of(store, monkeypatch)
        try:
            Mover(source, target).move()
        except CutError:
            return True
    return False


def half_moved(source: Store, target: Store) -> None:
    """Cut moves off, each a call later, until some jobs are copied."""
    last = 1
    while not everything(target):
        assert cut_off(source, target, last, done=True)
        last += 1


def check_nobody_could_double(source: Store, target: Store) -> None:
    if claims(source) and claims(target):
        assert not {job.id for job in everything(source)} & {job.id for job in everything(target)}


def fresh(opener: Opener) -> Iterator[tuple[Store, Store]]:
    """New pairs of stores, with something to move."""
    number = 0
    while True:
        source, target = opener(f"from-{number}"), opener(f"to-{number}")
        filled(source)
        yield source, target
        number += 1


@pytest.mark.parametrize(("first", "second", "when"), CUT, ids=map("-".join, CUT))
def test_a_move_that_is_cut_off_anywhere_is_gone_on_with(opener: Opener, first: str, second: str, when: str) -> None:
    source, target = opener(first), opener(second)
    filled(source)
    before, last = all_of(source), 1
    while cut_off(source, target, last, done=when == "after"):  # each begins where the one before was cut off
        check_nobody_could_double(source, target)
        last += 1
    assert last > 20
    assert all_of(source) == all_of(target) == before
    assert (claims(source), claims(target)) == (False, True)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_what_was_left_comes_once(source: Store, target: Store, *, done: bool) -> None:
    """Wherever that is cut off, and however soon it has ended there, and is deleted."""
    job, holder = new_job(1, unique="k"), new_job(2, unique="k")
    enqueue(source, job, new_job(3))
    enqueue(target, holder)
    assert Mover(source, target).move().left
    target.run(target.control.delete_waiting(JobFilter(), 10, None))
    runs, last = 0, 1
    while cut_off(source, target, last, done=done):
        runs += ran(target)
        last += 1
    assert runs + ran(target) == 1
    assert last > 5


def ran(store: Store) -> int:
    """Run what can be run there, and forget it; how many jobs that was."""
    if not claims(store):
        return 0
    hand = Hand(store)
    jobs = hand.claim()
    for job in jobs:
        hand.end(job, Event.SUCCEED)
    hand.die()
    store.run(store.control.delete_ended(JobFilter(), 10, None))
    return len(jobs)


def test_who_is_late_adds_nothing_to_a_move_that_another_has_ended(source: Store, target: Store) -> None:
    enqueue(source, *(new_job(number) for number in range(3)))

    class Late(Mover):
        """Another command is quicker with each batch that this one has read."""

        def batches(self, store: Store) -> Iterator[Sequence[Record]]:
            for batch in super().batches(store):
                assert Mover(source, target).move().jobs == 3
                assert ran(target) == 3
                yield batch

    with pytest.raises(UsageError, match="another command has ended this move"):
        Late(source, target).move()
    assert everything(target) == []
    assert (claims(source), claims(target)) == (False, True)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_move_that_is_cut_off_anywhere_is_undone_or_over(opener: Opener, *, done: bool) -> None:
    cuts = 0
    for last, (source, target) in enumerate(fresh(opener), 1):
        before, nothing = all_of(source), all_of(target)
        if not cut_off(source, target, last * 3, done=done):
            break
        cuts += 1
        mark = source.run(source.moving.mark())
        if mark is not None and mark.over:
            assert Mover(source, target).move().jobs == 0
            assert (all_of(target), claims(source), claims(target)) == (before, False, True)
        elif mark is not None:
            Mover(source, target).undo()
            assert (all_of(source), everything(target), claims(source), claims(target)) == (before, [], True, True)
        elif target.run(target.moving.mark()) is not None:
            Mover(source, target).undo()
            assert (all_of(target), claims(target)) == (nothing, True)
    assert cuts > 5


# ---------------------------------------------------------------- opening again


def test_a_source_is_opened_where_it_can_run_nothing_twice(source: Store, target: Store) -> None:
    with pytest.raises(UsageError, match="is open"):
        reopen(source)
    enqueue(source, new_job(1))
    Mover(source, target).move()
    with pytest.raises(UsageError, match=r"has 1 unfinished jobs and 0 schedules that .* has too, .*--yes opens it"):
        reopen(source)
    reopen(source, force=True)
    assert claims(source)


def test_half_a_move_is_not_opened_by_halves(source: Store, target: Store) -> None:
    filled(source)
    half_moved(source, target)
    for store, why in ((source, "may have copies of jobs of"), (target, "is being filled from")):
        with pytest.raises(UsageError, match=why):
            reopen(store)
    reopen(target, force=True)
    for act in (Mover(source, target).move, Mover(source, target).undo):
        with pytest.raises(UsageError, match="was opened by hand"):
            act()
    Mover(source, target).undo(force=True)
    assert claims(source)


def test_copies_of_a_source_that_was_opened_by_hand_are_not_added_to(source: Store, target: Store) -> None:
    filled(source)
    half_moved(source, target)
    reopen(source, force=True)
    for act in (Mover(source, target).move, Mover(source, target).undo):
        with pytest.raises(UsageError, match=r"was opened by hand since|no move from .* is under way"):
            act()
    assert not claims(target)


def test_an_answer_that_is_lost_leaves_both_closed(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether the source is closed by now: the same call finds out."""
    enqueue(source, new_job(1))
    close = source.moving.close

    def lost(mark: Mark) -> Plan[None]:
        source.run(close(mark))
        raise OutcomeUnknown("lost")

    monkeypatch.setattr(source.moving, "close", lost)
    with pytest.raises(OutcomeUnknown):
        Mover(source, target).move()
    monkeypatch.undo()
    assert (claims(source), claims(target)) == (False, False)
    assert Mover(source, target).move().jobs == 1
    assert see(target, everything(source)[0].id).state is State.READY
