"""Connections to Redis: a renewal of a lease waits for nobody else's, and not longer than the lease allows."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from conveyor.core.errors import StoreUnavailable
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
