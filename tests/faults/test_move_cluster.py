"""``conveyor move`` to a Redis Cluster, from one, and between two: whole, killed, and while the Cluster changes."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from conveyor.client import moving, pair
from conveyor.client.moving import Moved, Mover
from conveyor.client.patience import Away, Patience
from conveyor.core.clock import SystemClock
from conveyor.core.errors import StoreClosed
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.store.openers import open_store
from conveyor.store.redis.opened import RedisStore
from conveyor.testing.contract.hands import new_job
from conveyor.testing.contract.moving import everything
from conveyor.testing.hand import enqueue
from tests.contract.test_moving import all_of, claims, filled
from tests.contract.test_moving_shards import cut_off
from tests.support.cli import Terminal
from tests.support.cluster import Clustered, Node
from tests.support.postgres import prepare
from tests.support.redis import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(900)
EIGHT, FIVE = "?shards=8", "?shards=5&prefix=five"
Opener = Callable[[str], Store]


@pytest.fixture
def cluster(whole: Clustered) -> Clustered:
    """With nothing in it."""
    whole.flush()
    return whole


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens the store at a URL."""
    with ExitStack() as stack:

        def open_(url: str) -> Store:
            store = stack.enter_context(closing(open_store(url, SystemClock())))
            store.migrate()
            return store

        yield open_


def number(store: Store) -> int:
    return store.run(store.operations.number(JobFilter()))


@pytest.mark.postgres
@pytest.mark.parametrize("more", [100, pytest.param(20_000, marks=pytest.mark.soak)])
def test_everything_moves_from_each_kind_to_a_cluster_and_on(
    cluster: Clustered, redis_server: RedisServer, postgres_url: str, tmp_path: Path, opened: Opener, more: int
) -> None:
    redis_server.flush()
    prepare(postgres_url)
    files = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "two")]
    ways = [files[0], cluster.url(EIGHT), cluster.url(FIVE), redis_server.url(), cluster.url("?shards=12&prefix=many")]
    stores = [opened(url) for url in (*ways, postgres_url, cluster.url("?shards=8&prefix=back"), files[1])]
    filled(stores[0], more)
    before, checksums = all_of(stores[0]), set[str]()
    for source, target in pairwise(stores):
        moved = Mover(source, target).move()
        checksums.add(moved.checksum)
        assert (moved.jobs, moved.schedules, moved.paused, moved.left) == (len(everything(source)), 2, 2, {})
        assert all_of(target) == all_of(source) == before
        assert (claims(source), claims(target)) == (False, True)
        with pytest.raises(StoreClosed, match=f"has taken its jobs to {re.escape(target.url)}; use that one"):
            enqueue(source, new_job())
    assert len(checksums) == 1


@pytest.mark.parametrize("there", ["in", pytest.param("out", marks=pytest.mark.soak)])
def test_a_mover_that_is_killed_again_and_again_loses_and_doubles_nothing(
    cluster: Clustered, tmp_path: Path, opened: Opener, there: str
) -> None:
    urls = [f"sqlite:///{tmp_path / 'jobs.db'}", cluster.url(EIGHT)]
    first, second = urls if there == "in" else reversed(urls)
    source, target, terminal = opened(first), opened(second), Terminal(tmp_path)
    filled(source, more=600)
    before, killed = all_of(source), 0
    for enough in (1, 300):
        with terminal.started("move", first, second) as process:
            until(lambda: process.poll() is not None or number(target) >= enough, patience=40)  # noqa: B023 - used at once
            process.kill()
            killed += process.wait() != 0
        assert all_of(source) == before
    assert killed >= 1
    assert terminal.says("move", first, second).startswith("moved 615 jobs, 2 schedules and 2 paused queues")
    assert all_of(target) == all_of(source) == before


class Moving(threading.Thread):
    """Moves, a few jobs at a time, while something else is done."""

    def __init__(self, source: Store, target: Store) -> None:
        super().__init__()
        self.heard: list[Away] = []
        self.moved: Moved | None = None
        self._mover = Mover(source, target, Patience(self.heard.append))

    def run(self) -> None:
        self.moved = self._mover.move()


@contextmanager
def move(source: Store, target: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moving]:
    monkeypatch.setattr(pair, "BATCH", 16)
    monkeypatch.setattr(moving, "BATCH", 16)
    thread = Moving(source, target)
    thread.start()
    try:
        until(lambda: number(target) > 0, patience=30)
        yield thread
    finally:
        thread.join()


def tag_of(store: Store) -> str:
    """Of its first shard."""
    assert isinstance(store, RedisStore)
    return store.tags[0]


def other(cluster: Clustered, node: Node | None) -> Node:
    return next(one for one in cluster.alive() if one.leads and one is not node)


@pytest.mark.parametrize("whose", ["target", pytest.param("source", marks=pytest.mark.soak)])
def test_a_slot_that_is_moved_meanwhile_is_waited_for(
    cluster: Clustered, opened: Opener, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    stores = {"source": opened(cluster.url(EIGHT)), "target": opened(cluster.url(FIVE))}
    source, target = stores.values()
    filled(source, more=100)
    before, tag = all_of(source), tag_of(stores[whose])
    with move(source, target, monkeypatch) as thread:
        rested = threading.Event()

        def rest() -> None:
            """Until the mover has noticed, and given the plan up that it had begun."""
            if not rested.is_set():
                until(lambda: bool(thread.heard), patience=30)
                rested.set()

        cluster.move(tag, other(cluster, cluster.owner(tag)), rest)
    assert thread.moved is not None
    assert thread.moved.jobs == number(source)
    assert all_of(target) == all_of(source) == before


def test_a_primary_that_is_killed_meanwhile_is_waited_for(
    cluster: Clustered, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = opened(cluster.url(f"{EIGHT}&wait=1")), opened(cluster.url(f"{FIVE}&wait=1"))
    filled(source, more=100)
    before, tag = all_of(source), tag_of(target)
    with move(source, target, monkeypatch) as thread:
        victim = cluster.owner(tag)
        assert victim is not None
        victim.kill()
        until(lambda: cluster.owner(tag) is not None, patience=60)
        victim.start()  # as a replica: until there is one, nothing is taken for done
    assert thread.heard
    assert thread.moved is not None
    assert all_of(target) == all_of(source) == before
    assert (claims(source), claims(target)) == (False, True)


@pytest.mark.soak
def test_a_move_that_is_cut_off_between_any_two_calls_is_gone_on_with(cluster: Clustered, opened: Opener) -> None:
    source, target = opened(cluster.url(EIGHT)), opened(cluster.url(FIVE))
    filled(source)
    before, calls = all_of(source), 0
    while cut_off((source, target), calls):
        calls += 1
    assert calls > 100
    assert all_of(source) == all_of(target) == before
    assert (claims(source), claims(target)) == (False, True)
