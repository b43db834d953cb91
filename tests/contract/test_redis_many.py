"""What is done for thousands at a time goes in calls of a thousand each, and the answer is that of the whole."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final, TypeVar, cast

import pytest

from conveyor.context import encoded
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter, Progress, Report
from conveyor.core.schedules import Edit, Planned, Spec, written
from conveyor.plan import Plan, Steps
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.scripts import MOST
from conveyor.testing.contract.hands import new_job
from conveyor.testing.contract.moving import everything
from tests.support.jobs import Hand, enqueue, new_jobs, outcome
from tests.support.redis import RedisServer

T = TypeVar("T")

MANY: Final = 2_500
ALL: Final = JobFilter()
SPEC: Final = written(Spec({"every": 60}, Planned.of(new_job())))


@pytest.fixture(params=[1, 2])
def store(redis_server: RedisServer, request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    redis_server.flush()
    with closing(RedisStore(f"{redis_server.url()}?shards={request.param}")) as opened:
        yield opened


def told(store: RedisStore, plan: Plan[T], each: Callable[[tuple[object, ...]], int]) -> T:
    """What *plan* gives; no call takes more than ``MOST``: *each* tells how many, by its arguments."""

    def steps() -> Steps[T]:
        inner = plan.steps()
        try:
            statement = next(inner)
            while True:
                sizes.append(each(cast("tuple[object, ...]", statement.params["arguments"])))
                answer = yield statement
                statement = inner.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    sizes: list[int] = []
    given = store.run(replace(plan, steps=steps))
    assert 0 < max(sizes) <= MOST
    return given


def held(arguments: tuple[object, ...]) -> int:
    """How many of them name a job."""
    return sum(isinstance(one, str) and len(one) == 32 for one in arguments)


def limit(arguments: tuple[object, ...]) -> int:
    return cast(int, arguments[0])


def held_jobs(arguments: tuple[object, ...]) -> int:
    """How many outcomes ``settle`` has: those without a word more, and the others."""
    plain = cast(int, arguments[1])
    return plain + (len(arguments) - 2 - 4 * plain) // 13


def listed(arguments: tuple[object, ...]) -> int:
    """Those behind the first, which is a number."""
    return len(arguments) - 1


def rows_of(arguments: tuple[object, ...]) -> int:
    """How many schedules, and paused queues, ``restored`` has."""
    schedules = cast(int, arguments[0])
    return schedules + (len(arguments) - 1 - 12 * schedules) // 2


def test_outcomes_and_progress(store: RedisStore) -> None:
    jobs, hand = new_jobs(MANY), Hand(store)
    enqueue(store, *jobs)
    taken = hand.claim(MANY)
    assert len(taken) == MANY
    said = encoded(Progress(0.5))
    reports = [Report(job.id, job.token, hand.id, said) for job in taken]
    told(store, store.operations.report(reports), lambda arguments: len(arguments) // 4)
    missing = taken[0]._replace(id=bytes(16))
    stale = taken[1]._replace(token=1)
    ends = (Event.SUCCEED, Event.FAIL)
    outcomes = [outcome(job, hand.id, ends[job.id[-1] % 2]) for job in (*taken[2:], missing, stale, taken[0])]
    answer = told(store, store.operations.settle(outcomes), held_jobs)
    assert answer.refused == {missing.id, stale.id}
    counts = store.run(store.operations.counts(ALL))
    assert (counts[State.RUNNING], counts[State.SUCCEEDED] + counts[State.FAILED]) == (1, MANY - 1)
    (info,) = store.run(store.operations.list(JobFilter(ids=(taken[5].id,)), limit=1, after=None, direction="oldest"))
    assert info.progress is not None
    hand.die()


def test_what_expires_and_what_has_been_kept_long_enough(store: RedisStore) -> None:
    enqueue(store, *(new_job(expires=1, keep=0) for _ in range(MANY)))
    done = told(store, store.control.expire(MANY + 1), limit)
    assert (done.picked, done.changed, len(done.labels)) == (MANY, MANY, 1)
    assert told(store, store.control.prune(MANY - 100), limit) == MANY - 100
    assert told(store, store.control.prune(MANY), limit) == 100
    assert store.run(store.control.prune(MANY)) == 0


def test_changes_by_ids(store: RedisStore) -> None:
    jobs = new_jobs(MANY)
    enqueue(store, *jobs)
    where = JobFilter(ids=tuple(job.id for job in jobs))
    assert told(store, store.control.cancel(where, "why", MANY, None), held).changed == MANY
    assert told(store, store.control.revive(where, MANY, None), held).changed == MANY
    assert told(store, store.control.call_off(where, "why", MANY, None), held).changed == MANY
    assert told(store, store.control.delete_ended(where, MANY, None), held).changed == MANY


def test_a_move(store: RedisStore) -> None:
    enqueue(store, *new_jobs(MANY))
    records = everything(store, MANY)
    ids = [record.id for record in records]
    assert len(ids) == MANY
    assert len(told(store, store.moving.exported(None, MANY), lambda arguments: cast(int, arguments[1]))) <= MANY
    assert told(store, store.moving.found(ids), held) == records
    names = [f"s{number}" for number in range(MANY)]
    told(
        store,
        store.schedules.save([Edit(name, 0, SPEC, None, 5, None, None, "allow") for name in names]),
        lambda arguments: len(arguments) // 8,
    )
    schedules = store.run(store.schedules.all())
    assert len(schedules) == MANY
    told(store, store.moving.dropped(ids, names), listed)
    assert (everything(store), store.run(store.schedules.all())) == ([], [])
    assert not told(store, store.moving.imported(records), held)
    told(store, store.moving.restored(schedules, dict.fromkeys(names, 7)), rows_of)
    assert everything(store, MANY) == records
    assert [one._replace(now=0) for one in store.run(store.schedules.all())] == [
        one._replace(now=0) for one in schedules
    ]
    assert sum(queue.paused_at is not None for queue in store.run(store.operations.queues())) == MANY
