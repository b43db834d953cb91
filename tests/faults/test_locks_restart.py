"""The server crashes while a lock is held: it stays its holder's, and is tied anew."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import psycopg
import pytest

from conveyor import Conveyor, StoreUnavailable
from conveyor.core.errors import OutcomeUnknown
from conveyor.store.locks import Held
from tests.faults.test_locks import AT_ONCE, held, tied
from tests.support.locker import NAME, Locker
from tests.support.postgres import PostgresServer, prepare
from tests.support.waiting import until

_numbers = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of our own."""
    with PostgresServer(os.environ.get("CONVEYOR_TEST_PG", "17")) as started:
        yield started


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A store on it."""
    address = server.create_database(f"locks_{next(_numbers)}")
    prepare(address)
    return address


def killed(server: PostgresServer, session: int) -> None:
    """Kill a session: the server starts anew, under the same postmaster."""
    with psycopg.connect(server.url(), autocommit=True) as watch:
        os.kill(session, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            until(lambda: watch.execute("SELECT").closed)


def restarted(server: PostgresServer, session: int) -> None:
    """Crash the server, and start it."""
    server.restart("immediate")


@pytest.mark.parametrize("crash", [killed, restarted])
def test_a_held_lock_stays_its_holders_and_is_tied_anew(
    server: PostgresServer, url: str, crash: Callable[[PostgresServer, int], None]
) -> None:
    """Somebody waits for it all the time, and has it at once when its holder dies."""
    app = Conveyor(url)
    with Locker(url, "hold", 60) as locker, ThreadPoolExecutor() as pool:
        first, session = held(locker), tied(url)
        assert session is not None
        waiter = pool.submit(takes_at_last, app)
        locker.process.send_signal(signal.SIGSTOP)  # it cannot mend anything before somebody looks
        crash(server, session)
        looks = list[Held | None]()
        until(lambda: sees(app, looks), patience=20)
        assert [held.vacant for held in looks if held is not None] == [False]
        locker.process.send_signal(signal.SIGCONT)
        until(lambda: tied_anew(url, session), patience=20)
        assert locker.told("check") == "ok"
        assert not waiter.done()
        locker.process.kill()
        dead = time.monotonic()
        token, taken = waiter.result(10)
        assert token > first
        assert taken - dead < AT_ONCE
    app.close()


def takes_at_last(app: Conveyor) -> tuple[int, float]:
    """Take the lock, whether or not the server is there meanwhile; its token, and when."""
    pause = threading.Event()
    while True:
        try:
            with app.locks.hold(NAME, wait=30) as lock:
                return lock.token, time.monotonic()
        except (StoreUnavailable, OutcomeUnknown):
            pause.wait(0.02)


def sees(app: Conveyor, looks: list[Held | None]) -> bool:
    """Look who has the lock; whether there is a server to say so."""
    try:
        looks.append(app.store.run(app.store.locks.look(NAME)))
    except StoreUnavailable:
        return False
    return True


def tied_anew(url: str, before: int) -> bool:
    """Whether the lock is tied to another session than *before*, and says so; not while there is no server."""
    try:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT tied FROM conveyor_lock").fetchone()
        return row != (None,) and tied(url) not in {None, before}
    except psycopg.OperationalError:
        return False
