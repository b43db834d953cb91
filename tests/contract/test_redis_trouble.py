"""A Redis that refuses, is away, or never answers: what callers are told, and that nothing is done twice."""

import asyncio
import os
import re
import signal
import sqlite3
import threading
from collections.abc import Iterator

import pytest
import redis

from conveyor import Conveyor
from conveyor.core.errors import OutcomeUnknown, StoreRefused, StoreUnavailable, UsageError, WrongStore
from conveyor.core.lifecycle import Event
from conveyor.core.model import JobFilter
from conveyor.plan import Plan, Ring
from conveyor.store.redis.opened import RedisStore
from tests.support.docs import ROOT
from tests.support.jobs import QUEUE, TASK, Hand, enqueue, key, new_job, new_jobs, outcome, see
from tests.support.redis import RedisServer, versions


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as started:
        yield started


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    """Somebody who may do anything; what was set is as before at the end."""
    client = redis.Redis(port=server.port)
    client.flushall()
    yield client
    client.config_set("maxmemory", "0")
    client.close()


@pytest.fixture
def store(server: RedisServer, admin: redis.Redis) -> Iterator[RedisStore]:
    opened = RedisStore(server.url())
    yield opened
    opened.close()


def number(store: RedisStore) -> int:
    return store.run(store.operations.number(JobFilter()))


def test_a_full_server_stores_nothing_of_a_call_and_says_so(store: RedisStore, admin: redis.Redis) -> None:
    enqueue(store, new_job())
    admin.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match=r"OOM|maxmemory"):
        enqueue(store, *new_jobs(3))
    assert number(store) == 1
    admin.config_set("maxmemory", "0")
    enqueue(store, *new_jobs(3))
    assert number(store) == 4


def test_a_replica_is_not_written_to(store: RedisStore, admin: redis.Redis) -> None:
    enqueue(store, new_job())
    admin.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable, match=r"READONLY|read only"):
            enqueue(store, new_job())
    finally:
        admin.replicaof("NO", "ONE")
    assert number(store) == 1


def test_a_password_that_is_wrong_is_refused_and_not_shown(server: RedisServer, admin: redis.Redis) -> None:
    admin.acl_setuser("clerk", enabled=True, passwords=["+right"], keys=["*"], channels=["*"], categories=["+@all"])
    try:
        good = RedisStore(f"redis://clerk:right@127.0.0.1:{server.port}/0")
        enqueue(good, new_job())
        good.close()
        bad = RedisStore(f"redis://clerk:wrong@127.0.0.1:{server.port}/0")
        assert bad.url == f"redis://127.0.0.1:{server.port}/0"
        with pytest.raises((StoreRefused, StoreUnavailable), match=r"WRONGPASS|invalid username") as refused:
            enqueue(bad, new_job())
        assert "wrong@" not in str(refused.value)
    finally:
        admin.acl_deluser("clerk")


def test_scripts_that_the_server_has_forgotten_are_sent_again(store: RedisStore, admin: redis.Redis) -> None:
    enqueue(store, new_job())
    admin.script_flush()
    enqueue(store, new_job())

    async def loop() -> None:
        admin.script_flush()
        await store.arun(store.operations.enqueue([new_job()]))
        await store.aclose()

    asyncio.run(loop())
    assert number(store) == 3


def test_connections_that_were_closed_meanwhile_are_made_anew(store: RedisStore, admin: redis.Redis) -> None:
    enqueue(store, new_job())
    admin.client_kill_filter(_type="normal", skipme=True)
    enqueue(store, new_job())
    assert number(store) == 2


def test_a_server_that_stands_still_is_not_waited_for_for_ever(store: RedisStore, server: RedisServer) -> None:
    job = new_job()
    enqueue(store, job)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    write = store.operations.enqueue([new_job()])
    try:
        with pytest.raises(OutcomeUnknown):
            store.run(Plan(write.steps, most=0.3))
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            asyncio.run(hung(store, Plan(write.steps, most=0.3)))
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert see(store, job.id).attempt == 0


async def hung(store: RedisStore, plan: Plan[object]) -> None:
    try:
        await store.arun(plan)
    finally:
        await store.aclose()


def test_a_call_whose_answer_was_lost_is_repeated_by_the_ids_and_not_doubled(store: RedisStore) -> None:
    jobs = new_jobs(3)
    enqueue(store, *jobs[:2])
    assert not store.run(store.operations.repeat_enqueue(jobs))
    assert number(store) == 3
    with pytest.raises(StoreRefused, match="is in the store already"):
        enqueue(store, jobs[0])


def test_a_server_that_is_away_is_named_and_comes_back(admin: redis.Redis) -> None:
    del admin
    with RedisServer(versions()[0], appendonly="yes", appendfsync="always") as server:
        store = RedisStore(server.url())
        job = new_job()
        enqueue(store, job)
        server.kill()
        with pytest.raises(StoreUnavailable, match="Redis cannot be reached"):
            enqueue(store, new_job())
        server.start()
        assert see(store, job.id).id
        enqueue(store, new_job())
        store.close()


def test_what_runs_at_one_time_is_stored_once_each(store: RedisStore) -> None:
    threads = [threading.Thread(target=lambda: [enqueue(store, new_job()) for _ in range(20)]) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number(store) == 240


def test_a_store_that_is_emptied_under_a_runner_ends_its_lease(store: RedisStore, admin: redis.Redis) -> None:
    hand = Hand(store, 60.0)
    enqueue(store, new_job())
    job = hand.take_one()
    admin.flushall()
    assert hand.leases.renew([hand.id]) == frozenset()
    assert not hand.claim()
    assert store.run(store.operations.held(hand.id)) == []
    assert store.run(store.operations.get(job.id)) is None
    assert store.run(store.operations.settle([])) is not None


def test_two_prefixes_are_two_stores(server: RedisServer, store: RedisStore) -> None:
    other = RedisStore(f"{server.url()}?prefix=other")
    enqueue(store, new_job())
    assert (number(store), number(other)) == (1, 0)
    assert store.run(store.operations.identity()) != other.run(other.operations.identity())
    other.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://localhost:port/0", "cannot be read"),
        ("redis://localhost/0?prefix=a%7Bb", "the prefix of a Redis store"),
        ("redis://localhost/0?nonsense=1", "cannot be read"),
    ],
)
def test_an_address_that_means_nothing_is_refused(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        RedisStore(url)


def test_a_transaction_of_the_users_cannot_be_joined(server: RedisServer, store: RedisStore) -> None:
    app = Conveyor(server.url())
    task = app.task(name="shop.mail")(print)
    connection = sqlite3.connect(":memory:")
    with pytest.raises(WrongStore, match="enqueue after your commit"), app.within(connection):
        task.enqueue(1)
    connection.close()
    app.close()
    assert number(store) == 0


def test_the_rights_that_the_page_names_are_enough(server: RedisServer, admin: redis.Redis) -> None:
    page = (ROOT / "docs" / "how-to" / "redis.md").read_text("utf-8")
    found = re.search(r"ACL SETUSER conveyor ((?:.*\n)*?)```", page)
    assert found
    admin.execute_command("ACL", "SETUSER", "conveyor", "reset", *found[1].split())
    try:
        store = RedisStore(f"redis://conveyor:secret@127.0.0.1:{server.port}/0")
        enqueue(store, *new_jobs(3), new_job(unique=key()))
        hand = Hand(store, 60.0)
        taken = hand.take(4)
        hand.settle(*(outcome(job, hand.id, Event.RETRY) for job in taken[:2]))
        store.run(store.control.ask(JobFilter(), "enough", 10, None))
        hand.settle(*(outcome(job, hand.id, Event.FAIL) for job in taken[2:]))
        store.run(store.control.revive(JobFilter(), 10, None))
        store.run(store.control.expire(10))
        store.run(store.control.prune(10))
        store.run(store.control.mend())
        store.run(store.control.delete_waiting(JobFilter(), 10, None))
        store.run(store.operations.failures(JobFilter(), 10))
        assert [finding.check for finding in store.examine(deep=True) if finding.severity == "trouble"] == [
            "durability"
        ]
        assert asyncio.run(rung(store, hand))
        hand.die()
        store.run(store.operations.rescue(10))
        store.close()
    finally:
        admin.acl_deluser("conveyor")


async def rung(store: RedisStore, hand: Hand) -> bool:
    """Whether a ring is heard."""
    heard: asyncio.Queue[Ring] = asyncio.Queue()
    listener = store.listener(hand.id)
    task = asyncio.create_task(listener.listen(heard.put_nowait))
    try:
        assert {await heard.get(), await heard.get()} == {Ring.WORK, Ring.HELD}  # as it has begun to hear
        await store.arun(store.operations.claim(hand.id, {QUEUE: 100}, [TASK], listener.sight))
        await asyncio.to_thread(enqueue, store, new_job())
        async with asyncio.timeout(5):
            return await heard.get() is Ring.WORK
    finally:
        task.cancel()
        await asyncio.wait([task])
        await store.aclose()


def test_a_full_server_takes_no_living_worker_for_dead(store: RedisStore, admin: redis.Redis) -> None:
    hand = Hand(store, 60.0)
    enqueue(store, *new_jobs(3))
    (job,) = hand.take(1)
    admin.config_set("maxmemory", "1")
    assert hand.leases.renew([hand.id]) == {hand.id}
    assert not hand.settle(outcome(job, hand.id, Event.SUCCEED))
    assert len(hand.take(2)) == 2
    with pytest.raises(StoreUnavailable):
        enqueue(store, new_job())


def test_a_job_that_somebody_deletes_holds_up_no_other(store: RedisStore, admin: redis.Redis) -> None:
    hand = Hand(store, 60.0)
    jobs = [new_job()._replace(expires=1 if number == 3 else None) for number in range(4)]
    enqueue(store, *jobs)
    delete = [f"{{conveyor:0}}:job:{job.id.hex()}" for job in (jobs[0], jobs[3])]
    admin.delete(*delete)
    assert store.run(store.control.expire(10)).picked <= 1
    assert [job.id for job in hand.take(2)] == [job.id for job in jobs[1:3]]
    assert not hand.claim()
    admin.delete(f"{{conveyor:0}}:job:{jobs[1].id.hex()}")
    hand.die()
    assert [job.id for job, _ in store.run(store.operations.rescue(10)).jobs] == [jobs[2].id]
    assert not store.run(store.operations.rescue(10)).jobs
    assert store.run(store.operations.runners()) == []
