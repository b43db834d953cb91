"""What a failover costs whose replicas had not heard of all yet: counted, without ``wait=`` and with it."""

import logging
import threading
import time
from typing import Self

import pytest

from conveyor.core.errors import ConveyorError, StoreUnavailable
from conveyor.store.redis.opened import RedisStore
from tests.support.jobs import enqueue, new_jobs
from tests.support.lagging import Lagging
from tests.support.redis import versions
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
DELAY = 0.1
"""Seconds that a replica is behind."""
THREADS = 4
ENOUGH = 200
"""Jobs that are accepted before the primary dies."""
LOADED = 10 * DELAY
"""Seconds for which they are."""
KILLS = 5

logger = logging.getLogger(__name__)


class Load:
    """Enqueues from several threads, five jobs at a time, until that fails; keeps what was accepted, and when."""

    def __init__(self, url: str) -> None:
        self.accepted: list[tuple[float, bytes]] = []
        self._store = RedisStore(url)
        self._threads = [threading.Thread(target=self._produce) for _ in range(THREADS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()
        self._store.close()

    def _produce(self) -> None:
        while True:
            jobs = new_jobs(5)
            try:
                enqueue(self._store, *jobs)
            except ConveyorError:
                return
            self.accepted += [(time.monotonic(), job.id) for job in jobs]


def killed(options: str) -> tuple[int, list[float]]:
    """Kill a primary under load: how many jobs were accepted, and how long before that those that are lost."""
    with Lagging(versions()[0], DELAY, appendonly="yes") as watched:
        with Load(watched.url(options)) as load:
            until(lambda: len(load.accepted) > ENOUGH and time.monotonic() - load.accepted[0][0] > LOADED, patience=30)
            watched.servers[0].kill()
            at = time.monotonic()
        store = RedisStore(watched.url())
        until(lambda: reads(store), patience=40)
        lost = [at - when for when, id_ in load.accepted if store.run(store.operations.get(id_)) is None]
        store.close()
        return len(load.accepted), lost


def reads(store: RedisStore) -> bool:
    """Whether there is a primary."""
    try:
        store.run(store.operations.clock())
    except StoreUnavailable:
        return False
    return True


def counted(options: str) -> tuple[int, list[float]]:
    """The same, written down: ``--log-cli-level=INFO`` shows it."""
    accepted, lost = killed(options)
    since = f", the oldest accepted {max(lost) * 1_000:.0f} ms before" if lost else ""
    logger.info("%s: %d of %d accepted jobs are lost%s", options or "without wait=", len(lost), accepted, since)
    return accepted, lost


def test_a_failover_loses_what_no_replica_has_heard_of_and_nothing_older() -> None:
    accepted, lost = counted("")
    assert 0 < len(lost) < accepted
    assert max(lost) < 5 * DELAY


def test_with_wait_it_loses_nothing() -> None:
    accepted, lost = counted("?wait=1")
    assert (accepted > ENOUGH, lost) == (True, [])


@pytest.mark.soak
def test_with_wait_no_failover_of_several_loses_anything_and_without_it_each_does() -> None:
    for _ in range(KILLS):
        assert counted("")[1]
        assert not counted("?wait=1")[1]
