"""Redis and Valkey pass the suite that every store is to pass."""

from collections.abc import Callable, Iterator

import pytest

from conveyor.store.contract import Store
from conveyor.store.redis.opened import RedisStore
from conveyor.testing.contract import StoreContract
from tests.support.redis import RedisServer, versions


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as started:
        yield started


class TestRedis(StoreContract):
    @pytest.fixture
    def open_store(self, server: RedisServer) -> Callable[[], Store]:
        server.flush()
        return lambda: RedisStore(server.url())


class TestRedisInShards(StoreContract):
    """Three of them, on one server."""

    ordered = False

    @pytest.fixture
    def open_store(self, server: RedisServer) -> Callable[[], Store]:
        server.flush()
        return lambda: RedisStore(f"{server.url()}?shards=3")
