"""Redis and Valkey pass the suite that every store is to pass."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import cast

import pytest

from conveyor.core import ids
from conveyor.core.lifecycle import Event
from conveyor.core.model import JobFilter, Outcome
from conveyor.store.contract import Store
from conveyor.store.redis.opened import RedisStore
from conveyor.testing.contract import StoreContract
from conveyor.testing.contract.moving import empty, everything
from tests.support.jobs import HOUR, INFO, QUEUE, TASK, Hand, enqueue, key, new_job, outcome, see
from tests.support.redis import RedisServer, versions
from tests.support.stores import mended, sound


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as started:
        yield started


@contextmanager
def sound_afterwards(server: RedisServer, options: str = "") -> Generator[Callable[[], Store]]:
    """Opens a store; whatever was done there, there is nothing to be mended."""
    server.flush()
    yield lambda: RedisStore(server.url() + options)
    with closing(RedisStore(server.url() + options)) as store:
        assert (mended(store), sound(store)) == ([], [])


class TestRedis(StoreContract):
    @pytest.fixture
    def open_store(self, server: RedisServer) -> Iterator[Callable[[], Store]]:
        with sound_afterwards(server) as made:
            yield made


class TestRedisInShards(StoreContract):
    """Three of them, on one server."""

    ordered = False

    @pytest.fixture
    def open_store(self, server: RedisServer) -> Iterator[Callable[[], Store]]:
        with sound_afterwards(server, "?shards=3") as made:
            yield made


@pytest.mark.parametrize("size", [0, 63, 64, 65, 128, 512, 513, 5_000])
def test_arguments_and_results_are_whole_whatever_their_size(server: RedisServer, size: int) -> None:
    server.flush()
    store, value = RedisStore(server.url()), bytes(place % 251 for place in range(size))
    runner = ids.new()
    store.leases(20.0).register(runner, INFO)
    enqueue(store, new_job(args=value))

    (job,) = store.run(store.operations.claim(runner, {QUEUE: 1}, [TASK]))
    store.run(store.operations.settle([Outcome(job.id, job.token, runner, Event.SUCCEED, result=value)]))

    assert job.args == value
    assert (see(store, job.id).payload, see(store, job.id).result) == (value, value)
    form = server.said("OBJECT", "ENCODING", f"{{conveyor:0}}:job:{job.id.hex()}")
    assert (form == b"hashtable") == (size > 512)  # which takes twice the room
    store.run(store.control.revive(JobFilter(ids=(job.id,)), 1, None))
    assert (see(store, job.id).payload, see(store, job.id).result) == (value, None)
    store.close()


@pytest.mark.parametrize("size", [0, 64, 512, 513])
def test_what_was_imported_is_stored_as_what_was_enqueued(server: RedisServer, size: int) -> None:
    server.flush()
    store, value = RedisStore(server.url()), b"x" * size
    enqueue(store, *(new_job(args=value, delay=delay) for delay in (0, HOUR)))
    hand = Hand(store)
    hand.answer(outcome(hand.take_one(), hand.id, Event.SUCCEED)._replace(result=value))
    hand.die()
    records = everything(store)
    keys = [f"{{conveyor:0}}:job:{record.id.hex()}" for record in records]
    before = [sorted_pairs(server.said("HGETALL", key)) for key in keys]
    empty(store)
    store.run(store.moving.imported(records))
    assert [sorted_pairs(server.said("HGETALL", key)) for key in keys] == before
    store.close()


def sorted_pairs(said: object) -> object:
    return sorted(cast("dict[bytes, bytes]", said).items())


def test_a_job_that_replaces_another_leaves_nothing_of_its_arguments(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(server.url())
    long, short = (new_job(args=args, unique=key(on_conflict="replace")) for args in (b"x" * 200, b"y" * 64))
    enqueue(store, long)
    enqueue(store, short)
    assert see(store, long.id).payload == b"y" * 64
    store.close()
