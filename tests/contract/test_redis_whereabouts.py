"""Several shards: a process does not remember for ever where jobs lie, and finds what it has forgotten."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from conveyor.core import ids
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Progress, Report
from conveyor.store.redis import whereabouts
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.sharding import by_id, by_name
from conveyor.store.redis.whereabouts import Whereabouts
from tests.support.jobs import Hand, enqueue, key, new_job, outcome, see
from tests.support.redis import RedisServer, versions

SHARDS = 3
HALF = b'{"value":0.5,"message":"rows"}'


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as started:
        yield started


def elsewhere(number: int) -> bytes:
    """An id that says the first shard."""
    return ids.new()[:-2] + bytes((number, 0))


def test_the_latest_are_remembered_and_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "REMEMBERED", 3)
    where = Whereabouts(SHARDS)
    jobs = [elsewhere(number) for number in range(5)]
    for job in (*jobs[:4], jobs[1], jobs[4]):
        where.keep(job, 2)
    assert [where.ways(job)[0] for job in jobs] == [0, 2, 0, 2, 2]
    where.forget(jobs[4])
    where.keep(jobs[3], 0)  # it was moved to where its id says
    assert [list(where.ways(job)) for job in jobs[3:]] == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.RETRY])
def test_a_job_that_was_forgotten_is_settled_or_refused_and_told_of_as_any_other(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, event: Event
) -> None:
    server.flush()
    monkeypatch.setattr(whereabouts, "REMEMBERED", 1)
    names = [name for name in map(str, range(100)) if by_name(name, SHARDS) == 2][:4]
    jobs = [new_job(unique=key(name))._replace(id=elsewhere(place)) for place, name in enumerate(names)]
    assert all(by_id(job.id, SHARDS) == 0 for job in jobs)
    with closing(RedisStore(f"{server.url()}?shards={SHARDS}")) as store:
        enqueue(store, *jobs)
        hand, lost = Hand(store), Hand(store)
        mine, others = hand.take(2), lost.take(2)
        store.run(store.operations.report([Report(job.id, job.token, hand.id, HALF) for job in mine]))
        assert [see(store, job.id).progress for job in mine] == [Progress(0.5, "rows")] * 2
        lost.die()
        assert len(store.run(store.operations.rescue(10)).jobs) == 2
        again = hand.take(2)
        assert lost.settle(*(outcome(job, lost.id, event) for job in others)) == {job.id for job in others}
        for _ in range(2):  # as who has lost the answer
            assert not hand.settle(*(outcome(job, hand.id, event) for job in (*mine, *again)))
        states = {see(store, job.id).state for job in jobs}
        assert states <= ({State.SUCCEEDED} if event is Event.SUCCEED else {State.READY, State.RETRYABLE})
        hand.die()
