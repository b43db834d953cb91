"""Locks and their holders: killed, stopped, cut off, forked, and many at once."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import psycopg
import pytest

from conveyor import Conveyor, LockHeld
from conveyor.client.lock import KeptLock
from tests.support.locker import NAME, Locker, fenced
from tests.support.pgbouncer import past
from tests.support.stores import SHARED, rows
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(120)]
both = pytest.mark.parametrize("url", SHARED, indirect=True)
only_postgres = pytest.mark.parametrize("url", ["postgres"], indirect=True)
AT_ONCE = 2.0
"""Seconds in which a lock of the dead is another's."""
PROCESSES, TURNS = 8, 25


@pytest.fixture
def app(url: str) -> Iterator[Conveyor]:
    made = Conveyor(url, listen_url=past(url))
    yield made
    made.close()


def takes(app: Conveyor, seconds: float) -> tuple[int, float]:
    """Take the lock, which is to be free within *seconds*; its token, and how long it took."""
    begun = time.monotonic()
    with app.locks.hold(NAME, wait=seconds) as lock:
        return lock.token, time.monotonic() - begun


def held(locker: Locker) -> int:
    """The token of a lock that it has taken, and tied."""
    word, token, tied = locker.hears().split()
    assert (word, tied) == ("held", "True")
    return int(token)


def refused(app: Conveyor) -> str:
    """Why it cannot be taken."""
    with pytest.raises(LockHeld) as error, app.locks.hold(NAME):
        pass
    return str(error.value)


def falls_at_once(app: Conveyor, locker: Locker, before: int) -> None:
    """Kill the holder, whose token is *before*: another has the lock at once."""
    locker.process.kill()
    locker.process.wait()
    token, took = takes(app, 10)
    assert token > before
    assert took < AT_ONCE


@both
def test_a_killed_holders_lock_is_anothers_at_once(url: str, app: Conveyor) -> None:
    with Locker(url, "hold", 60) as locker:
        first = held(locker)
        assert f"process {locker.process.pid}," in refused(app)
        falls_at_once(app, locker, first)


@both
def test_a_killed_holders_child_does_not_keep_it(url: str, app: Conveyor) -> None:
    with Locker(url, "fork", 60) as locker:
        first = held(locker)
        refused(app)
        falls_at_once(app, locker, first)


@both
def test_who_was_stopped_for_too_long_has_lost_it_and_its_writes_are_refused(url: str, app: Conveyor) -> None:
    rows(app.store, "CREATE TABLE shelf (token BIGINT NOT NULL, value TEXT NOT NULL)")
    rows(app.store, "INSERT INTO shelf VALUES (0, '')")
    with Locker(url, "hold", 1) as locker:
        first = held(locker)
        assert locker.told("write") == "wrote"
        locker.process.send_signal(signal.SIGSTOP)
        with app.locks.hold(NAME, ttl=3, wait=10) as lock:
            assert lock.token > first
            assert app.store.run(fenced(lock.token, "the second"))
            locker.process.send_signal(signal.SIGCONT)
            assert locker.told("check").startswith(f"lost the lock 'nightly' (token {first}) is lost")
            assert locker.told("write") == "refused"
            assert rows(app.store, "SELECT token, value FROM shelf") == [(lock.token, "the second")]
            until(lambda: cast(KeptLock, lock).tied)  # the one who was stopped has let go of the lock of the system
            lock.check()
        assert locker.told("leave") == ""
        assert locker.process.wait() == 1  # of LockLost


@both
def test_what_is_read_changed_and_written_under_it_is_never_lost(url: str, app: Conveyor, tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("0")
    app.migrate()
    lockers = [Locker(url, "turns", file, TURNS) for _ in range(PROCESSES)]
    assert [locker.process.wait(90) for locker in lockers] == [0] * PROCESSES
    assert int(file.read_text()) == PROCESSES * TURNS
    takes(app, 0)
    for locker in lockers:
        locker.process.communicate()


def end_session(url: str) -> int:
    """End the session that the lock is tied to; its number."""
    until(lambda: tied(url) is not None)
    session = tied(url)
    assert session is not None
    with psycopg.connect(url) as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", [session])
    return session


def tied(url: str) -> int | None:
    """The session that the lock is tied to."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
        )
        row = found.fetchone()
        return None if row is None else int(row[0])


def tied_elsewhere(url: str, ended: int) -> bool:
    """Whether it is tied to another session than the one that has ended."""
    return tied(url) not in {None, ended}


@only_postgres
def test_a_holder_whose_session_was_ended_mends_its_tie_and_keeps_it(url: str, app: Conveyor) -> None:
    """Though somebody waits for it all the time."""
    with Locker(url, "hold", 60) as locker, ThreadPoolExecutor() as pool:
        first = held(locker)
        waiter = pool.submit(takes, app, 30)
        for _ in range(5):
            until(partial(tied_elsewhere, url, end_session(url)))
        refused(app)
        assert locker.told("check") == "ok"
        assert not waiter.done()
        assert locker.told("leave") == "left"
        token, _ = waiter.result(10)
        assert token > first
