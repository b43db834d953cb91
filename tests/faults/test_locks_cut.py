"""Locks whose holder cannot reach the server, or whose keeper is no more: who has them, and who knows it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NoReturn, cast

import psycopg
import pytest

from conveyor import Conveyor, LockLost
from conveyor.client.lock import KeptLock, Lock, ticks
from conveyor.client.locks import TIED, Holding
from conveyor.plan import Plan
from conveyor.store.postgres import locks as postgres_locks
from conveyor.store.postgres.locks import SessionTies
from tests.faults.test_locks import both, refused, takes
from tests.support.locker import NAME
from tests.support.network import Fault, Network
from tests.support.pgbouncer import past
from tests.support.stores import number
from tests.support.waiting import until

pytestmark = [pytest.mark.direct]
RUNS_OUT = f"SELECT expires_at FROM conveyor_lock WHERE name = '{NAME}'"
SEIZE, RENEW = "pg_advisory_lock", "UPDATE conveyor_lock SET expires_at = clock.now"


@pytest.fixture
def network(postgres_url: str) -> Iterator[Network]:
    with Network(postgres_url) as made:
        yield made


@pytest.fixture
def app(network: Network) -> Iterator[Conveyor]:
    """Works through the network."""
    made = Conveyor(network.url)
    yield made
    made.close()


@pytest.fixture
def other(postgres_url: str) -> Iterator[Conveyor]:
    made = Conveyor(postgres_url)
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes ties waits for no more than a moment, and tries again soon."""
    monkeypatch.setattr(postgres_locks, "PATIENCE", 0.3)
    monkeypatch.setattr(postgres_locks, "APART", 0.0)


def tied(lock: Lock) -> bool:
    """Whether it is tied."""
    return cast(KeptLock, lock).tied


# ------------------------------------------------------------------- cut off


def test_a_holder_that_is_cut_off_for_too_long_has_lost_it_when_another_has_it(
    app: Conveyor, other: Conveyor, network: Network
) -> None:
    with pytest.raises(LockLost, match="not be renewed in time"), app.locks.hold(NAME, ttl=1) as lock:  # noqa: PT012 - the block
        until(partial(tied, lock))
        network.silence()
        with other.locks.hold(NAME, wait=10) as second:
            assert lock.lost
            assert second.token > lock.token
            network.heal()
        lock.check()


def test_a_holder_that_is_cut_off_for_less_keeps_it(
    app: Conveyor, other: Conveyor, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sessions end with the cut, as if it had died; and somebody waits for that."""
    sends, run = threading.Event(), app.store.run

    def sent(plan: Plan[object]) -> object:
        sends.set()
        return run(plan)

    with ThreadPoolExecutor() as pool:
        with app.locks.hold(NAME, ttl=4) as lock:
            until(partial(tied, lock))
            waiter = pool.submit(takes, other, 30)
            since = number(other.store, RUNS_OUT)
            network.silence()
            monkeypatch.setattr(app.store, "run", sent)
            sends.wait()
            network.heal()
            until(lambda: number(other.store, RUNS_OUT) > since and tied(lock))
            refused(other)
            lock.check()
            assert not waiter.done()
        assert waiter.result(10)[0] > lock.token


def test_a_renewal_that_nobody_answers_leaves_time_for_another_one(
    app: Conveyor, other: Conveyor, network: Network
) -> None:
    """Over another connection."""
    with app.locks.hold(NAME, ttl=2) as lock:
        until(partial(tied, lock))
        since = number(other.store, RUNS_OUT)
        silence = network.disturb(Fault.SILENCE, RENEW)
        until(lambda: number(other.store, RUNS_OUT) > since)
        assert silence.done == 1
        lock.check()


# ------------------------------------------------------------------ the ties


def test_who_cannot_tie_it_renews_it_all_the_same(
    postgres_url: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ``listen_url`` leads to somebody who accepts, and says nothing; later it leads to the server."""
    monkeypatch.setattr(postgres_locks, "APART", 0.0)
    app = Conveyor(postgres_url, listen_url=network.url)
    network.silence()
    with app.locks.hold(NAME, ttl=1) as lock:
        since = number(app.store, RUNS_OUT)
        until(lambda: number(app.store, RUNS_OUT) - since > 2_500_000)
        assert not tied(lock)
        network.heal()
        until(partial(tied, lock))
        lock.check()
    app.close()


@pytest.mark.usefixtures("quick")
def test_a_lock_whose_tie_another_one_has_broken_is_nobody_elses(
    app: Conveyor, other: Conveyor, network: Network
) -> None:
    """One session ties all, and falls silent when the second lock is to be tied: with it went the tie of the first."""
    with app.locks.hold(NAME, ttl=60) as lock:
        until(partial(tied, lock))
        network.disturb(Fault.SILENCE, SEIZE)
        with app.locks.hold("another", ttl=60):
            with pytest.raises(AssertionError, match="not within"):
                until(lambda: vacant(other), patience=1.0)
            until(partial(tied, lock))
        lock.check()


def vacant(app: Conveyor) -> bool:
    """Whether its holder seems to have died."""
    held = app.store.run(app.store.locks.look(NAME))
    return held is None or held.vacant


def test_a_session_that_says_nothing_ends_when_nobody_can_be_taken_for_dead_for_it(
    postgres_url: str, network: Network
) -> None:
    """Each lock is to be renewed without its tie before, and tied anew after."""
    ties = SessionTies(network.url)
    ties.patience = 0.3
    assert ties.tie("first", 60.0)
    assert ties.tie("second", 60.0)
    network.silence_those(SEIZE)
    assert not ties.whole("first")
    assert not ties.whole("second")
    assert not ties.has("second")
    assert not ties.tie("first", 60.0)
    assert advisory(postgres_url) == 2
    until(lambda: ties.tie("second", 60.0))
    assert advisory(postgres_url) == 1
    ties.close()


def advisory(url: str) -> int:
    """How many locks of the server's there are."""
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


# ---------------------------------------------------------------- the keeper


@both
def test_what_nobody_keeps_any_more_is_lost(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that renews ends of an error that nobody has thought of; the next lock gets another thread."""
    app, errors = Conveyor(url, listen_url=past(url)), list[object]()
    monkeypatch.setattr(threading, "excepthook", errors.append)

    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError

    with pytest.raises(LockLost, match="keeper has ended"), app.locks.hold(NAME, ttl=60) as lock:  # noqa: PT012 - the block
        with monkeypatch.context() as patch:
            patch.setattr(app.store.locks, "tie", broken)
            begun = time.monotonic()
            with pytest.raises(LockLost, match="keeper has ended"), app.locks.hold("another", ttl=60) as second:
                assert second.lost
            assert time.monotonic() - begun < TIED
        assert lock.lost
    until(lambda: len(errors) == 1)
    with app.locks.hold(NAME, ttl=1, wait=10) as again, app.locks.hold("another", wait=10):
        assert again.token > lock.token
        since = number(app.store, RUNS_OUT)
        until(lambda: number(app.store, RUNS_OUT) > since)
        assert tied(again)
    app.close()


@pytest.mark.parametrize("url", ["sqlite-file"], indirect=True)
def test_the_keeper_rests_while_a_lock_is_being_given_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes long when somebody else writes; the renewal that was due meanwhile is none any more."""
    app, looks, over = Conveyor(url), list[float](), threading.Event()
    run = app.store.run

    def slow(plan: Plan[object]) -> object:
        over.wait()
        return run(plan)

    def counted() -> float:
        looks.append(ticks())
        return looks[-1]

    def leaves(holding: Holding) -> None:
        holding.__exit__(None, None, None)

    with ThreadPoolExecutor() as pool:
        holding = app.locks.hold(NAME, ttl=1)
        lock = cast(KeptLock, holding.__enter__())
        monkeypatch.setattr("conveyor.client.keeper.ticks", counted)
        monkeypatch.setattr(app.store, "run", slow)
        left = pool.submit(leaves, holding)
        until(lambda: ticks() > lock.due + 0.1)
        seen = len(looks)
        over.set()
        left.result()
    assert seen < 50
    app.close()
