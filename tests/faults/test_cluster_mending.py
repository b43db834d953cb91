"""Jobs that are not found where their own fields say are mended in each shard of a Redis Cluster."""

from contextlib import closing

import pytest

from conveyor.core import ids
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter
from conveyor.store.answers import Cure
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.place import Place
from tests.support.cluster import Clustered
from tests.support.jobs import QUEUE, TASK, Hand, enqueue, new_job

pytestmark = pytest.mark.timeout(120)
SHARDS = 8
JOBS = 40


def told(whole: Clustered, store: RedisStore, *keys: str) -> set[tuple[str, Cure]]:
    """What was mended, after *keys* of all shards were lost."""
    for tag in Place.of(store.url).tags:
        owner = whole.owner(tag)
        assert owner is not None
        owner.ask("DEL", f"{tag}:mend", *(f"{tag}:{key}" for key in keys))
    return set(store.run(store.control.mend()).jobs)


def test_what_is_lost_is_mended_in_all_shards_and_nothing_else_is(whole: Clustered) -> None:
    whole.flush()
    jobs = [new_job() for _ in range(JOBS)]
    names = {ids.text(job.id) for job in jobs}
    with closing(RedisStore(whole.url(f"?shards={SHARDS}"))) as store:
        enqueue(store, *jobs)
        assert told(whole, store) == set()
        lane = f"lane:{len(QUEUE)}:{QUEUE}:0:{TASK}"
        assert told(whole, store, lane, f"lanes:{QUEUE}") == {(name, Cure.LINED_UP) for name in names}
        hand, other = Hand(store), Hand(store)
        assert len(other.take(JOBS)) == JOBS
        assert told(whole, store) == set()
        other.die()
        lost = f"held:{other.id.hex()}", f"running:{QUEUE}"
        assert told(whole, store, *lost) == {(name, Cure.RELEASED) for name in names}
        assert {job.attempt for job in hand.take(JOBS)} == {1}
        assert told(whole, store, f"held:{hand.id.hex()}") == {(name, Cure.HELD) for name in names}
        assert not [finding for finding in store.examine(deep=False) if finding.check == "indexes"]
        hand.die()
        assert len(store.run(store.operations.rescue(1)).jobs) == JOBS
        assert store.run(store.operations.counts(JobFilter()))[State.READY] == JOBS
