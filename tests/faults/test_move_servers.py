"""A move during which either server crashes, wherever it is: the same call goes on."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import TypeVar

import pytest

from conveyor.client import moving, pair
from conveyor.client.moving import Moved, Mover
from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.plan import Plan
from conveyor.store.contract import Store
from conveyor.store.postgres.opened import PostgresStore
from conveyor.store.redis.opened import RedisStore
from conveyor.testing.contract.hands import new_job
from conveyor.testing.contract.moving import everything, of_all_states
from conveyor.testing.hand import HOUR, Hand, enqueue
from tests.support.postgres import PostgresServer, prepare
from tests.support.redis import RedisServer, versions

T = TypeVar("T")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer(durable=True) as started:
        yield started


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One that keeps what it has promised."""
    with RedisServer(versions()[0], appendonly="yes", appendfsync="always") as started:
        yield started


def crash_at(store: Store, call: int, crash: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of *store* crashes just before its call of that number."""
    run, left = store.run, [call]

    def crashing(plan: Plan[T]) -> T:
        left[0] -= 1
        if left[0] == 0:
            crash()
        return run(plan)

    monkeypatch.setattr(store, "run", crashing)


class Servers:
    """Both, of which one after the other crashes."""

    def __init__(self, postgres: PostgresServer, redis: RedisServer) -> None:
        self._postgres, self._redis = postgres, redis
        self.crashed: list[str] = []

    def crash(self, kind: str) -> None:
        """That one; whoever it was talking to hears no more."""
        self.crashed.append(kind)
        if kind == "redis":
            self._redis.kill()
        else:
            self._postgres.stop("immediate")

    def back(self) -> None:
        """The one that has crashed."""
        (self._redis if self.crashed[-1] == "redis" else self._postgres).start()


def moved(source: Store, target: Store, servers: Servers) -> Moved:
    """Move, while one server after the other crashes, each time a bit later."""
    for number in count(1):
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(pair, "BATCH", 8)
            monkeypatch.setattr(moving, "BATCH", 8)
            store = (source, target)[number % 2]
            crash_at(store, number * 5, partial(servers.crash, store.kind), monkeypatch)
            try:
                return Mover(source, target).move()
            except (StoreUnavailable, OutcomeUnknown):
                servers.back()
    raise AssertionError


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.parametrize("first", ["redis", "postgresql"])
def test_servers_that_crash_lose_and_double_nothing(postgres: PostgresServer, redis: RedisServer, first: str) -> None:
    redis.flush()
    url, servers = postgres.create_database(f"move_{first}"), Servers(postgres, redis)
    prepare(url)
    with closing(RedisStore(redis.url())) as one, closing(PostgresStore(url)) as other:
        source, target = (one, other) if first == "redis" else (other, one)
        hand = Hand(source)
        of_all_states(source, hand)
        hand.die()
        enqueue(source, *(new_job(number, delay=HOUR) for number in range(60)))
        before = everything(source)
        done = moved(source, target, servers)
        assert set(servers.crashed) == {"redis", "postgresql"}
        assert (done.left, target.run(target.moving.mark())) == ({}, None)
        assert everything(source) == everything(target) == before
