"""What people use beside workers, on a Redis Cluster: ``conveyor bench`` and the commands that look."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter
from conveyor.store.openers import open_ground
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.place import Place
from conveyor.store.redis.sharding import by_id
from tests.support.cli import Terminal
from tests.support.cluster import Clustered, Node
from tests.support.jobs import enqueue, new_job
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
SHARDS = 8
OTHERS = ("conveyor-bench", "conveyor-bench-0123456789ab", "{conveyor-bench-0}:job:1", "{conveyor-bench-0:0.1}", "mine")
"""Keys of somebody else's, of every look."""


@pytest.fixture
def cluster(whole: Clustered) -> Clustered:
    """With a store that has three jobs, and keys of others'."""
    whole.flush()
    with contextlib.closing(RedisStore(whole.url(f"?shards={SHARDS}"))) as store:
        enqueue(store, *(new_job(queue="bench") for _ in range(3)))
    for key in OTHERS[1:]:
        owner = whole.owner(key)
        assert owner is not None
        owner.ask("SET", key, "1")
    return whole


def keys(cluster: Clustered) -> Counter[str]:
    """On all primaries."""
    found: Counter[str] = Counter()
    for node in cluster.alive():
        if node.leads:
            there = node.ask("KEYS", "*")
            assert isinstance(there, list)
            found.update(there)
    return found


def test_what_is_filled_in_lies_where_its_ids_say_and_is_all_that_is_removed(cluster: Clustered) -> None:
    before = keys(cluster)
    with contextlib.closing(open_ground(cluster.url(f"?shards={SHARDS}"))) as ground:
        ground.fill(1_500, 1_200)
        with contextlib.closing(RedisStore(ground.url)) as store:
            counts = store.run(store.operations.counts(JobFilter()))
            wanted = {State.READY: 750, State.SCHEDULED: 750, State.SUCCEEDED: 1_188, State.FAILED: 12}
            assert {state: number for state, number in counts.items() if number} == wanted
            (oldest,) = store.run(store.operations.list(JobFilter(), limit=1, after=None, direction="oldest"))
            first = by_id(UUID(oldest.id).bytes, SHARDS)
            tag = Place.of(ground.url).tags[first]
            assert keys(cluster)[f"{tag}:job:{UUID(oldest.id).hex}"] == 1
        assert ground.tally()[:3] == (0, 0, 0)
        assert len(ground.servers) == 3
        assert ground.about.items() >= {"servers": "3", "shards": "8", "appendonly": "yes"}.items()
        assert ground.sizes().values["memory_bytes"] > 0
        assert len(ground.probe(3, 100.0)) == 3
    assert keys(cluster) == before


def test_keys_are_removed_where_they_have_gone_meanwhile(cluster: Clustered) -> None:
    before = keys(cluster)
    with contextlib.closing(open_ground(cluster.url("?shards=3"))) as ground:
        ground.fill(30, 30)
        counted = ground.counted()
        tag = Place.of(ground.url).tags[1]
        source = cluster.owner(tag)
        target = next(node for node in cluster.alive() if node.leads and node is not source)
        cluster.move(tag, target)
        assert counted.values["transactions"] >= 0
    assert keys(cluster) == before


def test_keys_of_a_run_that_was_killed_are_named_with_all_nodes(
    cluster: Clustered, caplog: pytest.LogCaptureFixture
) -> None:
    left = open_ground(cluster.url("?shards=2"))
    name = left.url.partition("prefix=")[2]
    with contextlib.closing(open_ground(cluster.url(f"?shards={SHARDS}"))):
        assert f"redis-cli -h $at --scan --pattern '{{{name}:*' | xargs -n 1 redis-cli -c" in caplog.text
        assert all(f"'127.0.0.1 -p {node.port}'" in caplog.text for node in cluster.alive() if node.leads)
    left.close()
    assert not any(key.startswith(f"{{{name}") for key in keys(cluster))


def test_a_cluster_is_measured_and_left_as_it_was(cluster: Clustered, tmp_path: Path) -> None:
    before = keys(cluster)
    told = Terminal(tmp_path).tells("bench", "drain", "--jobs", "60", "--store", cluster.url(f"?shards={SHARDS}"))
    assert isinstance(told, dict)
    assert told["store"]["url"] == cluster.url(f"?shards={SHARDS}")
    assert told["store"]["settings"]["servers"] == "3"
    drained = told["measures"]["drain"]
    assert drained["median"]["history_rows"] == 60
    assert drained["median"]["transactions_per_job"] > 0
    assert drained["median"]["wal_bytes_per_job"] > 100
    assert keys(cluster) == before


@contextlib.contextmanager
def without(cluster: Clustered, tag: str) -> Iterator[Node]:
    """The primary of a tag is away, and nobody takes over."""
    victim = cluster.owner(tag)
    assert victim is not None
    replicas = [node for node in cluster.nodes if follows(node, victim)]
    for node in (*replicas, victim):
        node.kill()
    try:
        yield victim
    finally:
        for node in (victim, *replicas):
            node.start()
        until(
            lambda: all("cluster_state:ok" in str(node.said("CLUSTER", "INFO")) for node in cluster.nodes), patience=40
        )


def follows(node: Node, primary: Node) -> bool:
    found = node.ask("ROLE")
    return isinstance(found, list) and found[0] == "slave" and int(found[2]) == primary.port


LOOKS = (("status",), ("queues",), ("jobs",), ("failures",), ("schedules",), ("doctor", "--json"))


def test_commands_look_at_all_shards_and_name_the_server_that_is_missing(cluster: Clustered, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    url = terminal.environment["CONVEYOR_URL"] = cluster.url(f"?shards={SHARDS}")
    with contextlib.closing(RedisStore(url)) as store:
        jobs = [new_job(queue="mail") for _ in range(20)]
        enqueue(store, *jobs)
        tag = store.tags[-1]
    why = [("why", str(UUID(bytes=job.id))) for job in jobs]
    status, queues, listed, failed, _, examined, *reasons = terminal.does(*LOOKS, *why)
    assert f"{url}\n" in status.out
    assert re.search(r"ready +23\n", status.out)
    assert re.search(r"mail +20 ", queues.out)
    assert listed.out.count(" mail ") + listed.out.count(" bench ") == 20
    assert failed.status == 0
    assert all(done.out.startswith("ready: ") for done in reasons)
    assert {one["severity"] for one in json.loads(examined.out) if one["check"] == "durability"} == {"fine"}
    with without(cluster, tag) as victim:
        where = rf"shard \d of {SHARDS}, at 127\.0\.0\.1:{victim.port}: Redis cannot be reached: "
        told = terminal.does(*LOOKS)
        for done in told[:-1]:
            assert done.status == 1
            assert re.search(
                rf"^conveyor \w+: ({where}|shard .*: Redis: a primary of the Cluster is missing)", done.err
            )
        findings = [one["text"] for one in json.loads(told[-1].out) if one["check"] == "server"]
        assert [
            re.match(rf"127\.0\.0\.1:{victim.port} \(shards [\d, ]+\): ", text) is not None for text in findings
        ] == [True]
        assert any(re.search(where, done.err) for done in told)
