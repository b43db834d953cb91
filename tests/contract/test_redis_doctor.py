"""What the doctor says of a server's settings, and of its replicas where the store's URL counts on some."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
import redis

from conveyor.core.health import Finding, Severity
from conveyor.store.redis.opened import RedisStore
from tests.support.redis import RedisServer, versions
from tests.support.waiting import until


@pytest.fixture(scope="module", params=versions())
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica."""
    with ExitStack() as stack:
        primary = stack.enter_context(RedisServer(request.param, appendonly="yes"))
        behind = {"replicaof": f"127.0.0.1 {primary.port}", "repl_diskless_sync_delay": "0"}
        replica = stack.enter_context(RedisServer(request.param, **behind))
        with redis.Redis(port=replica.port) as client:
            until(lambda: client.info("replication").get("master_link_status") == "up", patience=30)
        yield primary, replica


@pytest.fixture
def admin(pair: tuple[RedisServer, RedisServer]) -> Iterator[redis.Redis]:
    with redis.Redis(port=pair[0].port) as client:
        yield client
        client.config_set("appendfsync", "everysec")
        client.config_set("min-replicas-to-write", 0)


def told(server: RedisServer, check: str, options: str = "") -> list[Finding]:
    with closing(RedisStore(server.url() + options)) as store:
        return [finding for finding in store.examine(deep=False) if finding.check == check]


@pytest.mark.parametrize(
    ("setting", "severity", "said"),
    [
        ("always", Severity.FINE, "before it is answered"),
        ("everysec", Severity.FINE, "the last second"),
        ("no", Severity.TROUBLE, "appendfsync is no"),
    ],
)
def test_what_a_power_cut_may_cost_is_told(
    pair: tuple[RedisServer, RedisServer], admin: redis.Redis, setting: str, severity: Severity, said: str
) -> None:
    admin.config_set("appendfsync", setting)
    (finding,) = told(pair[0], "durability")
    assert (finding.severity, said in finding.text) == (severity, True)


def test_what_may_not_be_read_is_told_as_that(pair: tuple[RedisServer, RedisServer], admin: redis.Redis) -> None:
    admin.acl_setuser("clerk", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-config"])
    try:
        with closing(RedisStore(f"redis://clerk:any@127.0.0.1:{pair[0].port}/0")) as store:
            found = {finding.check: finding for finding in store.examine(deep=False)}
    finally:
        admin.acl_deluser("clerk")
    assert (found["durability"].severity, "CONFIG GET is refused" in found["durability"].text) == (Severity.NOTE, True)
    assert found["memory"].severity is Severity.FINE


def test_a_store_that_waits_for_replicas_is_told_when_there_are_too_few_or_they_are_not_required(
    pair: tuple[RedisServer, RedisServer], admin: redis.Redis
) -> None:
    primary, _ = pair
    assert told(primary, "replicas") == []
    (more,) = told(primary, "replicas", "?wait=2")
    assert (more.severity, "wait=2: nothing is accepted" in more.text) == (Severity.TROUBLE, True)
    (cut_off,) = told(primary, "replicas", "?wait=1")
    assert (cut_off.severity, "min-replicas-to-write is 0" in cut_off.text) == (Severity.TROUBLE, True)
    admin.config_set("min-replicas-to-write", 1)
    assert [finding.severity for finding in told(primary, "replicas", "?wait=1&shards=3")] == [Severity.FINE]


def test_nodes_that_do_not_say_where_shards_are_are_asked_once_and_not_for_each(
    pair: tuple[RedisServer, RedisServer], admin: redis.Redis
) -> None:
    """This one is of no Cluster, and says so at once; one that stands still would be waited for each time."""
    admin.config_resetstat()
    with closing(RedisStore(f"redis+cluster://127.0.0.1:{pair[0].port}/0?shards=8")) as store:
        (finding,) = store.examine(deep=False)
    assert (finding.check, finding.severity) == ("server", Severity.TROUBLE)
    assert "cluster support disabled" in finding.text
    asked = {name: of["calls"] for name, of in admin.info("commandstats").items() if name.startswith("cmdstat_cluster")}
    assert sum(asked.values()) == 1
