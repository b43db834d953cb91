"""A move that has begun waits for a store that is away, and tells so."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from conveyor.cli import main
from conveyor.client import moving, pair, patience
from conveyor.client.moving import Mover
from conveyor.client.patience import Away, Patience
from conveyor.core.clock import SystemClock
from conveyor.core.errors import HeldElsewhere, OutcomeUnknown, StoreClosed, StoreUnavailable
from conveyor.plan import Plan, Steps
from conveyor.store.contract import Store
from conveyor.store.moving import SqlMoving
from conveyor.store.sqlite.opened import SqliteStore
from conveyor.testing.contract.hands import new_job
from conveyor.testing.contract.moving import everything
from conveyor.testing.hand import enqueue
from tests.contract.test_moving import all_of, claims, filled
from tests.support.stores import sqlite_url

T = TypeVar("T")


@pytest.fixture
def source(folder: Path) -> Iterator[Store]:
    with closing(SqliteStore(f"sqlite:///{folder / 'source'}.db", SystemClock())) as store:
        store.migrate()
        yield store


@pytest.fixture
def target(folder: Path) -> Iterator[Store]:
    with closing(SqliteStore(f"sqlite:///{folder / 'target'}.db", SystemClock())) as store:
        store.migrate()
        yield store


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two tries."""
    monkeypatch.setattr(patience, "PAUSES", (0.0,))


def fail(store: Store, mover: Mover, error: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try of each call, once all is closed, fails: it is in doubt, or not done."""
    run = store.run
    tried: list[object] = []

    def failing(plan: Plan[T]) -> T:
        if not mover.closed or any(one is plan for one in tried):
            return run(plan)
        tried.append(plan)
        if isinstance(error, OutcomeUnknown):
            run(plan)
        raise error

    monkeypatch.setattr(store, "run", failing)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), OutcomeUnknown("in doubt")], ids=["before", "after"])
@pytest.mark.parametrize("deletes", [False, True])
def test_each_step_is_done_again(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch, error: Away, *, deletes: bool
) -> None:
    for where in (pair, moving):
        monkeypatch.setattr(where, "BATCH", 4)
    filled(source)
    before, heard = all_of(source), list[Away]()
    mover = Mover(source, target, Patience(heard.append))
    for store in (source, target):
        fail(store, mover, error, monkeypatch)
    moved = mover.move(delete_source=deletes)
    monkeypatch.undo()
    assert moved.jobs == len(everything(target))
    assert all_of(target) == before
    assert (everything(source) == [], claims(source), claims(target)) == (deletes, False, True)
    assert len(heard) > 10
    assert set(heard) == {error}


def test_an_undoing_waits_as_well(source: Store, target: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(source)
    before, heard = all_of(source), list[Away]()
    with monkeypatch.context() as cut:
        cut.setattr(Mover, "_compare", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Mover(source, target).move()
    mover = Mover(source, target, Patience(heard.append))
    for store in (source, target):
        fail(store, mover, OutcomeUnknown("in doubt"), monkeypatch)
    copies = mover.undo()
    monkeypatch.undo()
    assert heard
    assert copies == len(everything(source))
    assert (all_of(source), everything(target), claims(source), claims(target)) == (before, [], True, True)


@pytest.mark.parametrize("error", [StoreClosed("to another"), HeldElsewhere("for too long")])
def test_a_store_that_says_why_it_refuses_is_not_waited_for(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch, error: StoreUnavailable
) -> None:
    heard = list[Away]()
    enqueue(source, new_job())
    mover = Mover(source, target, Patience(heard.append))
    fail(target, mover, error, monkeypatch)
    with pytest.raises(type(error)):
        mover.move()
    assert (mover.closed, heard) == (True, [])


def test_what_has_not_begun_does_not_wait(source: Store, target: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = list[Away]()
    mover = Mover(source, target, Patience(heard.append))
    monkeypatch.setattr(type(mover), "checked", lambda self: self.run(target, Plan(_gone)))
    with pytest.raises(StoreUnavailable):
        mover.move()
    assert (mover.closed, heard) == (False, [])


def _gone() -> Steps[None]:
    yield from ()
    raise StoreUnavailable("gone")


def test_what_stays_away_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.0)
    here, there = sqlite_url(tmp_path), f"sqlite:///{tmp_path / 'there.db'}"
    with closing(SqliteStore(here, SystemClock())) as store:
        store.migrate()
        enqueue(store, new_job())
    with monkeypatch.context() as gone:
        gone.setattr(SqlMoving, "imported", lambda *_: Plan(_gone))
        assert main(["move", here, there]) == 1
    waits, ends = capsys.readouterr().err.splitlines()
    assert waits.startswith("conveyor move: gone; waiting for that to pass, up to ")
    assert ends == "conveyor move: gone; once that is mended, the same command does the rest"
    assert main(["move", here, there]) == 0
    assert capsys.readouterr().out.startswith("moved 1 job, ")
