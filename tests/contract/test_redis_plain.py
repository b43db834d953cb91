"""Most jobs succeed the first time and have nothing of their own: Redis ends these without a look at them.

What may have come in between must be seen nevertheless.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest

from conveyor.cli.chaos.keys import keys
from conveyor.cli.chaos.sound import unsound
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.store.redis.opened import RedisStore
from tests.support.jobs import Hand, enqueue, new_job, new_jobs, outcome, see
from tests.support.redis import RedisServer

MANY: Final = 300


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Store]:
    redis_server.flush()
    with closing(RedisStore(redis_server.url())) as opened:
        yield opened


@pytest.fixture
def hand(store: Store) -> Iterator[Hand]:
    made = Hand(store)
    yield made
    made.die()


def held(hand: Hand) -> str:
    return f"{{conveyor:0}}:held:{hand.id.hex()}"


def test_what_is_plain_is_among_what_is_not(store: Store, hand: Hand, redis_server: RedisServer) -> None:
    """Jobs that failed before, jobs that have something of their own, and plain ones, in one claim and one settle."""
    enqueue(store, *new_jobs(5))
    for job in hand.take(5):
        hand.end(job, Event.RETRY)
    enqueue(store, *(new_job()._replace(keep=1_000_000) for _ in range(5)), *new_jobs(MANY))
    jobs = hand.take(MANY + 10)
    with keys(redis_server.url()) as here:
        assert unsound(here) == []
        tokens = dict(store.run(store.operations.held(hand.id)))
        assert tokens == {job.id: job.token for job in jobs}
        hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in jobs))
        assert unsound(here) == []
    assert {see(store, job.id).state for job in jobs} == {State.SUCCEEDED}
    assert redis_server.said("EXISTS", held(hand)) == 0


@pytest.mark.parametrize("queue", ["a:b", ":", "1:2:3", " 7", "ü:x"])
def test_a_queue_may_be_called_as_tokens_are_written(
    queue: str, store: Store, hand: Hand, redis_server: RedisServer
) -> None:
    enqueue(store, new_job(queue=queue), new_job(queue=queue))
    jobs = hand.claim({queue: 2})
    while len(jobs) < 2:  # those of one call come due a microsecond apart
        jobs = [*jobs, *hand.claim({queue: 2 - len(jobs)})]
    with keys(redis_server.url()) as here:
        assert unsound(here) == []
        hand.end(jobs[0], Event.SUCCEED)
        assert unsound(here) == []
        hand.end(jobs[1], Event.RETRY)
        assert unsound(here) == []
    assert (see(store, jobs[0].id).state, see(store, jobs[0].id).queue) == (State.SUCCEEDED, queue)


def test_many_jobs_of_a_runner_are_found_without_a_search(store: Store, hand: Hand, redis_server: RedisServer) -> None:
    """A small hash of short values is a list, and each look at one of 500 jobs would go over half of it."""
    enqueue(store, *new_jobs(MANY))
    hand.take(MANY)
    assert redis_server.said("OBJECT", "ENCODING", held(hand)) == b"hashtable"


def test_one_that_somebody_wants_cancelled_and_that_succeeds_does_not_say_so(
    store: Store, hand: Hand, redis_server: RedisServer
) -> None:
    enqueue(store, *new_jobs(3))
    asked, *others = hand.take(3)
    assert store.run(store.control.ask(JobFilter(ids=(asked.id,)), "enough", 10, None)).asked == 1
    hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in (*others, asked)))
    assert [see(store, job.id).state for job in (asked, *others)] == [State.SUCCEEDED] * 3
    assert see(store, asked.id).cancelled is None
    assert store.run(store.operations.asked(hand.id)) == []
    with keys(redis_server.url()) as here:
        assert unsound(here) == []


def test_of_one_that_is_gone_nothing_is_left(store: Store, hand: Hand, redis_server: RedisServer) -> None:
    """The server has thrown it away, or somebody has: its end does not make half of it anew."""
    enqueue(store, *new_jobs(2))
    lost, other = hand.take(2)
    redis_server.said("DEL", f"{{conveyor:0}}:job:{lost.id.hex()}")
    refused = hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in (lost, other)))
    assert refused == {lost.id}
    assert store.run(store.operations.get(lost.id)) is None
    assert redis_server.said("EXISTS", f"{{conveyor:0}}:job:{lost.id.hex()}", held(hand)) == 0
    assert see(store, other.id).state is State.SUCCEEDED
    with keys(redis_server.url()) as here:
        assert unsound(here) == []
