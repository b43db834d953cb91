"""A primary that dies under Sentinels: another takes over, and what was heard of by a replica is there."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from conveyor.core.errors import ConveyorError, OutcomeUnknown, StoreUnavailable
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import NewJob
from conveyor.store.redis.opened import RedisStore
from tests.support.jobs import Hand, enqueue, new_job, outcome, see
from tests.support.redis import versions
from tests.support.sentinels import Watched
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
PATIENCE = 40.0


@pytest.fixture(scope="module", params=versions()[:1])
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    with Watched(request.param, appendonly="yes", min_replicas_to_write="1", min_replicas_max_lag="2") as made:
        yield made


def stored(store: RedisStore, job: NewJob) -> bool:
    """Enqueue *job*, as an app does: by its id again, where the answer was lost."""
    try:
        enqueue(store, job)
    except OutcomeUnknown:
        return again(store, job)
    except StoreUnavailable:
        return False
    return True


def again(store: RedisStore, job: NewJob) -> bool:
    try:
        store.run(store.operations.repeat_enqueue([job]))
    except ConveyorError:
        return False
    return True


def test_what_a_replica_has_heard_of_outlives_the_primary(watched: Watched) -> None:
    store = RedisStore(watched.url("?wait=1"))
    assert "127.0.0.1" in store.url
    hand = Hand(store, 60.0)
    accepted = [new_job() for _ in range(200)]
    enqueue(store, *accepted)
    (held,) = hand.take(1)
    old = watched.primary()
    old.kill()
    job = new_job()
    until(lambda: stored(store, job), patience=PATIENCE)
    assert watched.primary() is not old
    assert see(store, held.id).state is State.RUNNING
    assert not store.run(store.operations.settle([outcome(held, hand.id, Event.SUCCEED)])).refused
    for one in [*accepted, job]:
        assert see(store, one.id).state in {State.READY, State.SUCCEEDED}
    hand.die()
    store.close()
    old.start()


def test_a_write_that_too_few_have_heard_of_is_not_taken_for_done(watched: Watched) -> None:
    store = RedisStore(watched.url("?wait=3"))
    write = store.operations.enqueue([new_job()])
    with pytest.raises(OutcomeUnknown, match="of 3 replicas"):
        store.run(replace(write, most=0.5))
    store.close()


def test_nobody_is_primary_where_nobody_answers() -> None:
    store = RedisStore("redis+sentinel://127.0.0.1:1,127.0.0.1:2/jobs/0")
    with pytest.raises(StoreUnavailable, match="No master found"):
        enqueue(store, new_job())
    store.close()
