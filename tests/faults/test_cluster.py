"""A Redis Cluster: the contract, a primary that is killed under load, and a slot that is moved under load."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from conveyor.core.errors import ConveyorError
from conveyor.core.health import Finding, Severity
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter, NewJob
from conveyor.store.contract import Store
from conveyor.store.redis.opened import RedisStore
from conveyor.testing.contract import StoreContract
from tests.support.cluster import Clustered, Node
from tests.support.jobs import Hand, enqueue, new_job, new_jobs, outcome
from tests.support.redis import versions
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
SHARDS = 6


@pytest.fixture(scope="module", params=versions()[:1])
def cluster(request: pytest.FixtureRequest) -> Iterator[Clustered]:
    with Clustered(request.param, appendonly="yes") as made:
        yield made


class TestCluster(StoreContract):
    ordered = False

    @pytest.fixture
    def open_store(self, cluster: Clustered) -> Callable[[], Store]:
        cluster.flush()
        return lambda: RedisStore(cluster.url(f"?shards={SHARDS}"))


class Load:
    """Enqueues and runs jobs, on and on, and keeps account."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.accepted: list[NewJob] = []
        self.starts: Counter[bytes] = Counter()
        self.ended: set[bytes] = set()
        self.hand = Hand(store, 60.0)
        self.troubles: Counter[str] = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._producing), threading.Thread(target=self._working)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _producing(self) -> None:
        while not self._over.wait(0.002):
            self._produce(new_jobs(5))

    def _produce(self, jobs: list[NewJob]) -> None:
        if self._done(lambda: enqueue(self.store, *jobs)) or self._repeated(jobs):
            self.accepted += jobs

    def _repeated(self, jobs: list[NewJob]) -> bool:
        """As an app does whose answer was lost."""
        return any(self._done(lambda: self.store.run(self.store.operations.repeat_enqueue(jobs))) for _ in range(200))

    def _working(self) -> None:
        while not self._over.wait(0.002):
            self.work()

    def work(self) -> None:
        """Run what is due."""
        taken = []
        if not self._done(lambda: taken.extend(self.hand.claim(20))):
            return
        self.starts.update(job.id for job in taken)
        ends = [outcome(job, self.hand.id, Event.SUCCEED) for job in taken]
        until(lambda: self._done(lambda: self.hand.settle(*ends)), patience=40)
        self.ended.update(job.id for job in taken)

    def _done(self, do: Callable[[], object]) -> bool:
        try:
            do()
        except ConveyorError as error:
            self.troubles[type(error).__name__] += 1
            return False
        return True


def states(store: RedisStore) -> dict[State, int]:
    return {state: count for state, count in store.run(store.operations.counts(JobFilter())).items() if count}


def over(load: Load) -> None:
    """All that was accepted comes to an end, and nothing was started twice, but what a lost answer kept from us."""
    held = {id_ for id_, _ in load.store.run(load.store.operations.held(load.hand.id))}
    until(lambda: load.work() is None and {job.id for job in load.accepted} <= load.ended | held, patience=30)
    assert max(load.starts.values()) == 1
    assert not held & load.starts.keys()
    found = states(load.store)
    assert found.pop(State.RUNNING, 0) == len(held)
    assert found.pop(State.SUCCEEDED) >= len(load.accepted) - len(held)
    assert not found


def test_a_slot_that_is_moved_under_load_loses_and_doubles_nothing(cluster: Clustered) -> None:
    cluster.flush()
    store = RedisStore(cluster.url(f"?shards={SHARDS}"))
    tag = store.tags[0]
    source = cluster.owner(tag)
    assert source is not None
    target = next(node for node in cluster.alive() if node.leads and node is not source)
    with Load(store) as load:
        until(lambda: len(load.ended) > 200)
        for there in (target, source):
            before = len(load.ended)
            cluster.move(tag, there)
            until(lambda: len(load.ended) > before + 100, patience=30)  # noqa: B023 - used at once
    over(load)
    assert cluster.owner(tag) is source
    load.hand.die()
    store.close()


def test_a_primary_that_is_killed_under_load_loses_nothing_that_a_replica_has_heard_of(cluster: Clustered) -> None:
    cluster.flush()
    store = RedisStore(cluster.url(f"?shards={SHARDS}&wait=1"))
    with Load(store) as load:
        until(lambda: len(load.ended) > 100)
        victim = cluster.owner(store.tags[0])
        assert victim is not None
        victim.kill()
        until(lambda: cluster.owner(store.tags[0]) is not None, patience=60)
        victim.start()  # as a replica: until there is one, nothing is taken for done
        before = len(load.ended)
        until(lambda: len(load.ended) > before + 100, patience=60)
    over(load)
    load.hand.die()
    store.close()


def test_a_store_whose_shards_are_counted_otherwise_is_refused(cluster: Clustered) -> None:
    cluster.flush()
    store, other = RedisStore(cluster.url("?shards=2")), RedisStore(cluster.url("?shards=3"))
    enqueue(store, new_job())
    assert store.migrate() == []
    with pytest.raises(ConveyorError, match="this store has 2 shards"):
        other.migrate()
    store.close()
    other.close()


def test_the_doctor_looks_at_each_node_and_says_which_has_a_trouble(cluster: Clustered) -> None:
    cluster.flush()
    store = RedisStore(cluster.url(f"?shards={SHARDS}"))
    sick = cluster.owner(store.tags[-1])
    assert sick is not None
    enqueue(store, *new_jobs(20))
    assert {finding.severity for finding in store.examine(deep=False)} == {Severity.FINE}
    sick.ask("CONFIG", "SET", "appendfsync", "no")
    replicas = [node for node in cluster.alive() if follows(node, sick)]
    for node in replicas:
        node.kill()
    try:
        until(lambda: len(amiss(store)) == 2, patience=30)
        assert all(finding.text.startswith(f"127.0.0.1:{sick.port}: ") for finding in amiss(store))
        assert {(finding.check, finding.severity) for finding in amiss(store)} == {
            ("durability", Severity.TROUBLE),
            ("replicas", Severity.NOTE),
        }
        nodes = {finding.text.partition(": ")[0] for finding in store.examine(deep=False)}
        assert nodes == {f"127.0.0.1:{node.port}" for node in cluster.alive() if node.leads}
    finally:
        sick.ask("CONFIG", "SET", "appendfsync", "everysec")
        for node in replicas:
            node.start()
    until(lambda: amiss(store) == [], patience=60)
    store.close()


def follows(node: Node, primary: Node) -> bool:
    found = node.ask("ROLE")
    return isinstance(found, list) and found[0] == "slave" and int(found[2]) == primary.port


def amiss(store: RedisStore) -> list[Finding]:
    return [finding for finding in store.examine(deep=False) if finding.severity is not Severity.FINE]
