"""What one call asks of the server is bounded by what it gives, however much there is: nothing else runs meanwhile."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import cast

import pytest
import redis

from conveyor.core.lifecycle import State
from conveyor.core.model import Claimed, JobFilter, NewJob, QueueInfo
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.reads import QUEUES
from conveyor.store.redis.scripts import MOST
from tests.support.jobs import HOUR, Hand, enqueue, new_job, new_jobs, rescue, see
from tests.support.redis import RedisServer, versions
from tests.support.waiting import until

NAMES = [f"task{number:02}" for number in range(30)]


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as started:
        yield started


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    server.flush()
    with closing(RedisStore(server.url())) as opened:
        yield opened


def asked(server: RedisServer, do: Callable[[], object]) -> list[list[str]]:
    """The commands that the server carries out while *do* runs, those of scripts too, word by word."""
    with redis.Redis(port=server.port) as client, client.monitor() as monitor:
        do()
        server.said("ECHO", "over")
        commands = iter(lambda: cast("dict[str, str]", monitor.next_command())["command"], "ECHO over")
        return [command.split() for command in commands]


def backlog(store: RedisStore, each: int) -> list[bytes]:
    """So many jobs of each task are due, some at the same time; their ids in the order in which they are to start."""
    chance, begin = random.Random(7), store.run(store.operations.clock()) + 500_000
    names = chance.sample(NAMES * each, len(NAMES) * each)
    times = [begin + chance.randrange(len(names) // 3) for _ in names]
    jobs = [new_job(task=name)._replace(due=at) for name, at in zip(names, times, strict=True)]
    for first in range(0, len(jobs), 1_000):
        # Those of one call would come due 1 us apart.
        enqueue(store, *(job._replace(due=job.due - place) for place, job in enumerate(jobs[first : first + 1_000])))
    until(lambda: store.run(store.operations.clock()) > max(times))
    return [job.id for job in sorted(jobs, key=lambda job: (job.due, job.id))]


def test_a_claim_reads_hardly_more_than_it_takes_however_many_tasks_have_a_backlog(
    server: RedisServer, store: RedisStore
) -> None:
    due = backlog(store, 40)
    hand = Hand(store)
    for room in (1, 200, 31, 500):
        taken: list[Claimed] = []
        commands = asked(server, lambda: taken.extend(hand.claim(room, NAMES)))  # noqa: B023 - used at once
        assert sorted(job.id for job in taken) == sorted(due[:room])
        due = due[room:]
        read = sum(int(command[-1]) for command in commands if command[0] == "ZRANGEBYSCORE")
        assert read <= 4 * (room + len(NAMES))
    hand.die()


@pytest.mark.parametrize(("shards", "count"), [(1, 1_001), (3, 3_450)])
def test_the_jobs_of_a_dead_runner_are_taken_back_in_steps_and_none_is_taken_for_one_that_was_alone(
    server: RedisServer, shards: int, count: int
) -> None:
    server.flush()
    with closing(RedisStore(f"{server.url()}?shards={shards}")) as store:
        jobs = new_jobs(count)
        enqueue(store, *jobs)
        dead = Hand(store)
        dead.take(count)
        dead.die()
        first = store.run(store.operations.rescue(10))
        assert (len(first.jobs), first.more) == (shards * MOST, True)
        assert store.run(store.operations.dead_runners()) == 1  # whoever took the first back may die now
        with closing(RedisStore(f"{server.url()}?shards={shards}")) as other:
            assert rescue(other) == count - len(first.jobs)
        assert store.run(store.operations.counts(JobFilter()))[State.READY] == count
        assert not rescue(store)
        assert store.run(store.operations.dead_runners()) == 0
        for job in jobs:
            info = see(store, job.id)
            assert (info.crashes, [attempt.company for attempt in info.attempts]) == (0, [count])


def lanes(names: int, delay: int = 0) -> list[NewJob]:
    return [new_job(task=f"task{number:04}", queue=f"queue{number % 2}", delay=delay) for number in range(names)]


def test_the_next_due_job_is_looked_for_in_a_bounded_number_of_lanes_at_a_time(
    server: RedisServer, store: RedisStore
) -> None:
    soon = new_job(task="soon", queue="queue1", delay=HOUR)
    enqueue(store, *lanes(1_500, 2 * HOUR), soon)
    found: list[int | None] = []
    queues = ["queue0", "nothing", "queue1"]
    commands = asked(server, lambda: found.append(store.run(store.operations.next_due(queues))))
    assert 0 < (found[0] or 0) <= HOUR
    assert most_between_calls(commands) < 600
    few = asked(server, lambda: store.run(store.operations.next_due([f"none{number}" for number in range(50)])))
    assert sum(command[0] == "EVALSHA" for command in few) == 1


def test_a_bounded_number_of_queues_is_counted_in_a_call(server: RedisServer, store: RedisStore) -> None:
    enqueue(store, *(new_job(queue=f"queue{number:03}") for number in range(450)))
    store.run(store.control.pause("paused"))
    found: list[QueueInfo] = []
    commands = asked(server, lambda: found.extend(store.run(store.operations.queues())))
    assert [(queue.name, queue.ready) for queue in found][::450] == [("paused", 0), ("queue449", 1)]
    assert most_between_calls(commands) < 8 * QUEUES


def most_between_calls(commands: list[list[str]]) -> int:
    """How many commands one call of a script gives at most."""
    calls = [place for place, command in enumerate(commands) if command[0] in {"EVAL", "EVALSHA"}]
    return max(end - begin for begin, end in pairwise([*calls, len(commands)]))
