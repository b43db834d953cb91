"""Redis behind TLS, and behind Sentinels with a password: each connection is made as the URL says."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from conveyor.core.addresses import KINDS
from conveyor.core.errors import StoreRefused, StoreUnavailable, UsageError
from conveyor.core.model import JobFilter
from conveyor.drivers.redis_links import Links
from conveyor.drivers.redis_sources import MOST
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.place import Place
from tests.support.cluster import SLOTS, Node
from tests.support.jobs import enqueue, new_job
from tests.support.redis import RedisServer, versions
from tests.support.sentinels import SERVICE, Watcher
from tests.support.tls import Certificate, Front
from tests.support.waiting import until

SECRET = "not-for-all"  # noqa: S105 - of a test's own servers
SERVERS = pytest.mark.parametrize("version", versions())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def watched(stack: ExitStack, version: str, password: str = "") -> Watcher:
    """One Sentinel, and the server that it watches."""
    server = stack.enter_context(RedisServer(version))
    return stack.enter_context(Watcher(version, server.port, password, enough=1))


def used(store: RedisStore) -> None:
    """Jobs are stored over both kinds of connections, and a listener hears."""

    async def both() -> None:
        await store.arun(store.operations.enqueue([new_job()]))
        links: Links = store._links
        async with links.subscribed("bell") as bell:
            await bell.ping()
            assert await bell.heard(5.0) == b""
        await store.aclose()

    enqueue(store, new_job())
    asyncio.run(both())
    assert store.run(store.operations.number(JobFilter())) == 2
    store.close()


@SERVERS
def test_sentinels_are_asked_with_a_user_and_a_password(stack: ExitStack, version: str) -> None:
    sentinel = watched(stack, version, SECRET)
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}/0"
    store = RedisStore(f"{url}?sentinel_username=default&sentinel_password={SECRET}")
    assert SECRET not in store.url
    used(store)
    for options in ("", "?sentinel_password=wrong"):
        other = stack.enter_context(closing(RedisStore(url + options)))
        with pytest.raises((StoreRefused, StoreUnavailable)):
            enqueue(other, new_job())


@SERVERS
def test_no_more_connections_than_so_many_are_made_through_sentinels(stack: ExitStack, version: str) -> None:
    sentinel = watched(stack, version)
    place = Place.of(f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}/0")
    links = Links(place.source, place.tags, seconds=0.2)

    async def many() -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            for _ in range(3 * MOST):
                group.create_task(linked())
        await links.aclose()

    async def linked() -> None:
        async with links.alink() as to:
            await to(0)
            (hands,) = links._apools[asyncio.get_running_loop()].values()
            assert len(hands.pool._in_use_connections) <= MOST

    with ExitStack() as held:
        for _ in range(MOST):
            held.enter_context(links.link())(0)
        with pytest.raises(StoreUnavailable), links.link() as to:
            to(0)
    asyncio.run(many())
    links.close()


@SERVERS
def test_a_connection_to_a_primary_that_is_none_any_more_is_not_used_again(stack: ExitStack, version: str) -> None:
    sentinel = watched(stack, version)
    place = Place.of(f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}/0")
    links = Links(place.source, place.tags)

    async def one() -> object:
        async with links.alink() as to:
            return await to(0)

    async def many() -> None:
        first = await one()
        assert await one() is first
        (hands,) = links._apools[asyncio.get_running_loop()].values()
        hands.pool.master_address = ("127.0.0.1", 1)  # as if another connection had been told so meanwhile
        await one()
        assert hands.pool.master_address != ("127.0.0.1", 1)  # asked anew, for a connection anew
        await links.aclose()

    with links.link() as to:
        first = to(0)
    with links.link() as to:
        assert to(0) is first
    proxy = links._pools[None].pool.proxy
    proxy.master_address = ("127.0.0.1", 1)
    with links.link() as to:
        to(0)
    assert proxy.master_address != ("127.0.0.1", 1)
    asyncio.run(many())
    links.close()


@pytest.mark.parametrize("options", ["", "&sentinel_ssl=no"])
def test_sentinels_and_their_primary_are_asked_through_tls(
    stack: ExitStack, certificate: Certificate, options: str
) -> None:
    primary, sentinel = (stack.enter_context(Front(certificate)) for _ in range(2))
    primary.target = stack.enter_context(RedisServer(versions()[0])).port
    sentinel.target = stack.enter_context(Watcher(versions()[0], primary.port, enough=1)).port
    url = f"rediss+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}/0?ssl_ca_certs={certificate.file}"
    used(RedisStore(url + options))
    assert primary.encrypted >= 3
    assert (sentinel.encrypted > 0) == (not options)


def test_all_nodes_of_a_cluster_are_asked_through_tls(stack: ExitStack, certificate: Certificate) -> None:
    fronts = [stack.enter_context(Front(certificate)) for _ in range(2)]
    nodes = [stack.enter_context(Node(versions()[0], cluster_announce_port=str(front.port))) for front in fronts]
    for front, node, first in zip(fronts, nodes, (0, SLOTS // 2), strict=True):
        front.target = node.port
        node.ask("CLUSTER", "ADDSLOTS", *range(first, first + SLOTS // 2))
    nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, nodes[1].port + 10_000)
    until(lambda: all("cluster_state:ok" in said(node) for node in nodes), patience=40)
    url = f"rediss+cluster://127.0.0.1:{fronts[0].port}/0?shards=4&ssl_ca_certs={certificate.file}"
    used(RedisStore(url))
    assert all(front.encrypted for front in fronts)
    with closing(RedisStore(url.partition("&")[0])) as other, pytest.raises(StoreUnavailable, match="certificate"):
        enqueue(other, new_job())


def said(node: Node) -> str:
    return str(node.said("CLUSTER", "INFO"))


def test_each_kind_of_address_is_known_with_and_without_tls() -> None:
    for kind in ("", "+sentinel", "+cluster"):
        assert {f"redis{kind}", f"rediss{kind}"} <= KINDS


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis+cluster://one:1,two:2/0?shards=8",
        "redis+cluster://one:1,two:2/0?prefix=shop&shards=8",
        "redis+sentinel://one:1,two:2/jobs/0?prefix=shop",
    ],
)
def test_what_is_shown_of_an_address_is_enough_to_find_the_store(url: str) -> None:
    scheme, rest = url.split("://")
    settled = f"{scheme}://user:{SECRET}@{rest}{'&' if '?' in rest else '?'}wait=1"
    assert Place.of(settled).shown == url
    assert Place.of(f"{url}{'&' if '?' in url else '?'}shards=1" if "shards" not in url else url).shown == url


@pytest.mark.parametrize("url", ["redis://localhost/0", "redis+cluster://localhost/0"])
def test_options_of_sentinels_mean_nothing_elsewhere(url: str) -> None:
    with pytest.raises(UsageError, match="there is no option"):
        Place.of(f"{url}?sentinel_password={SECRET}")
