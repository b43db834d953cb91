"""Connections to Redis: a renewal of a lease waits for nobody else's, and not longer than the lease allows."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from redis.exceptions import BusyLoadingError

from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.drivers import redis_sources
from conveyor.drivers.redis import Carried
from conveyor.drivers.redis_links import Links
from conveyor.drivers.redis_sources import MOST
from conveyor.store.redis.opened import RedisStore
from tests.support.jobs import Hand

LEASE = 3.0


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of who accepts connections, and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=50)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_a_renewal_does_not_wait_longer_for_a_server_that_is_mute_than_its_lease_allows(mute: str) -> None:
    with closing(RedisStore(mute)) as store, closing(store.leases(LEASE)) as leases:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            leases.renew([bytes(16)])
        assert time.monotonic() - begun < LEASE


def test_async_code_does_not_wait_longer_for_a_connection_than_for_a_server_that_is_away(
    mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_sources, "CONNECTING", 0.2)
    begun = time.monotonic()
    with closing(RedisStore(mute)) as store, pytest.raises(StoreUnavailable):
        asyncio.run(store.arun(store.operations.claim(bytes(16), {"default": 1}, ["task"])))
    assert time.monotonic() - begun < LEASE


def test_a_renewal_does_not_wait_for_those_who_hold_all_other_connections(redis_url: str) -> None:
    with closing(RedisStore(redis_url)) as store, ExitStack() as stack:
        hand = Hand(store, LEASE)
        stack.callback(hand.die)
        links: Links = store._links
        for _ in range(MOST):
            stack.enter_context(links.link())
        begun = time.monotonic()
        assert hand.renews()
        assert time.monotonic() - begun < LEASE


@pytest.mark.parametrize("place", ["in a call", "between two"])
def test_behind_a_part_that_was_written_an_error_says_what_the_server_has_said(place: str) -> None:
    said = BusyLoadingError("LOADING")
    carried = Carried(lambda: None, writes=True)

    def part_way() -> None:
        with carried, ExitStack() as stack:
            with carried.call(0):
                pass
            if place == "in a call":
                stack.enter_context(carried.call(0))
            raise said

    with pytest.raises(OutcomeUnknown) as caught:
        part_way()
    told = caught.value.__cause__
    assert (type(told), told and told.__cause__) == (StoreUnavailable, said)
