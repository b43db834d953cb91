"""PostgreSQL behind pgbouncer in transaction mode, which clears its sessions after each transaction (D08).

``CONVEYOR_TEST_PG_POOLER=1`` sends the whole suite through it; here is what it is about.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable

import pytest

from conveyor import Conveyor, LockHeld
from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.plan import Ring
from conveyor.store.contract import Store
from conveyor.store.listener import Listener
from conveyor.store.postgres.links import alent, lent, own
from conveyor.store.postgres.opened import PostgresStore
from conveyor.testing.contract.claims import Claims
from conveyor.testing.contract.listening import Listening
from conveyor.testing.contract.locks import Locking
from conveyor.testing.contract.settling import Settling
from conveyor.worker.runner import Settings
from tests.support.jobs import enqueue, new_job
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer
from tests.support.stores import tables
from tests.support.waiting import auntil, until


class TestThroughPgBouncer(Claims, Settling, Listening, Locking):
    @pytest.fixture
    def open_store(self, pooled: str, server_url: str) -> Callable[[], Store]:
        return lambda: PostgresStore(pooled, server_url)


@pytest.fixture
def pooled(postgres_url: str, postgres_server: PostgresServer, pooler: PgBouncer) -> str:
    """The address of the test's database, through the pooler."""
    return postgres_url if str(pooler.port) in postgres_url else pooler.url(postgres_url)


@pytest.fixture
def server_url(postgres_url: str, postgres_server: PostgresServer) -> str:
    """The same, past it."""
    return postgres_server.url(postgres_url.rpartition("/")[2])


def test_nothing_is_prepared_through_it_and_its_sessions_are_left_alone(pooled: str, server_url: str) -> None:
    """They are other people's as well."""
    for url, threshold, setting in ((pooled, None, "on"), (server_url, 1, "off")):
        with own(url, steady=True) as connection:
            assert connection.prepare_threshold == threshold
            assert connection.execute("SHOW enable_seqscan").fetchone() == (setting,)


async def test_the_server_looks_whether_we_are_still_there_but_a_poolers_sessions_are_left_alone(
    pooled: str, server_url: str
) -> None:
    """What a machine that is gone had locked would stay so for two hours."""
    show = "SELECT current_setting('tcp_keepalives_idle') || ' ' || current_setting('tcp_user_timeout')"
    for url, watched in ((pooled, False), (server_url, True)):
        for connection in (own(url), own(url, steady=True), lent(url)):
            with connection:
                assert (connection.execute(show).fetchone() == ("5 30000",)) is watched
        async with await alent(url) as lending:
            assert (await (await lending.execute(show)).fetchone() == ("5 30000",)) is watched


@pytest.mark.direct
def test_a_setting_of_the_databases_own_that_looks_soon_enough_is_kept(server_url: str) -> None:
    with own(f"{server_url}?options=-c%20tcp_keepalives_idle%3D40") as connection:
        assert connection.execute("SHOW tcp_keepalives_idle").fetchone() == ("40",)


@contextlib.asynccontextmanager
async def listening(store: Store) -> AsyncGenerator[tuple[Listener, list[Ring]]]:
    """A listener at work, and what it has heard."""
    listener, heard = store.listener(b"\7" * 16), list[Ring]()
    task = asyncio.create_task(listener.listen(heard.append))
    try:
        yield listener, heard
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.aclose()


async def test_listening_through_it_is_found_out_and_said_once(
    pooled: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.store.postgres.listen.PATIENCE", 0.3)
    monkeypatch.setattr("conveyor.store.postgres.listen.TRY_AGAIN", 0.01)
    pings = 0
    store = PostgresStore(pooled)
    ping = store.operations.ping

    def counted(channel: str) -> object:
        nonlocal pings
        pings += 1
        return ping(channel)

    monkeypatch.setattr(store.operations, "ping", counted)
    async with listening(store) as (listener, heard):
        await auntil(lambda: pings == 3)
        assert not listener.hears
        assert heard == []
    said = [record.getMessage() for record in caplog.records if record.name == "conveyor.worker"]
    (line,) = said
    assert line.startswith("LISTEN hears nothing (a pooler in transaction mode), so jobs are looked for each second;")


async def test_with_an_address_past_it_everything_is_heard(
    pooled: str, server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "conveyor.worker")
    store = PostgresStore(pooled, server_url)
    async with listening(store) as (listener, heard):
        await auntil(lambda: len(heard) == len(Ring))
        await listener.idle(60)
        await store.arun(store.operations.enqueue([new_job()]))
        await auntil(lambda: len(heard) > len(Ring))
        assert listener.hears
    assert "listens directly: a notification came back in" in caplog.text


async def test_an_address_of_another_database_is_found_out(
    pooled: str, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.store.postgres.listen.PATIENCE", 0.3)
    async with listening(PostgresStore(pooled, postgres_server.url())) as (listener, _):
        await auntil(lambda: "another database than the store's" in caplog.text)
        assert not listener.hears


def test_a_pooler_that_is_restarted_costs_no_more_than_an_error(
    postgres_server: PostgresServer, server_url: str
) -> None:
    with PgBouncer(postgres_server.url()) as own:
        store = PostgresStore(own.url(server_url))
        enqueue(store, new_job())
        own.restart()
        enqueue(store, new_job())  # what lay idle has ended meanwhile, and was seen to have
        own.stop()
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            enqueue(store, new_job())
        own.start()
        enqueue(store, new_job())
        assert tables(store) == (3, 0)
        store.close()


@pytest.mark.smoke
@pytest.mark.parametrize("past", [False, True], ids=["polls", "listens"])
async def test_a_worker_works_through_it(pooled: str, server_url: str, past: bool) -> None:
    app = Conveyor(pooled, listen_url=server_url if past else None)
    done: list[int] = []

    @app.task(name="noted")
    async def noted(n: int) -> None:
        done.append(n)

    worker = app.worker(Settings({"default": 5}))
    running = asyncio.create_task(worker.run())
    for n in range(5):
        await noted.aenqueue(n)
    await auntil(lambda: len(done) == 5)
    worker.stop()
    assert await running == 0
    assert sorted(done) == list(range(5))
    await app.aclose()
    app.close()


def test_nothing_is_left_in_its_sessions(pooled: str, postgres_server: PostgresServer) -> None:
    """Without it clearing them: another client would find what we had set."""
    with PgBouncer(postgres_server.url(), server_reset_query_always="0", default_pool_size="1") as own:
        store = PostgresStore(own.url(pooled))
        enqueue(store, new_job())
        with store.connect() as before:
            changed = "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> 'application_name'"
            assert before.execute(changed).fetchall() == []
            prepared = "SELECT count(*) FROM pg_prepared_statements"
            assert before.execute(prepared).fetchall() == [(0,)]
        until(lambda: tables(store) == (1, 0))
        store.close()


def test_a_lock_is_one_through_it_though_it_is_tied_to_nothing(pooled: str, server_url: str) -> None:
    """A session of the pooler's would keep it, or lose it, whatever becomes of its holder."""
    app, second = Conveyor(pooled), Conveyor(server_url)
    with app.locks.hold("nightly", ttl=60) as lock, own(server_url) as connection:
        assert lock.token > 0
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
        for other in (app, second):
            with pytest.raises(LockHeld), other.locks.hold("nightly"):
                pass
    with second.locks.hold("nightly") as lock:
        assert lock.token > 0
    app.close()
    second.close()
