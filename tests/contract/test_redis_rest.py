"""A worker on Redis that finds nothing more rests: it is rung alone, for what is there for it, and looks only there."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import cast

import pytest

from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed, NewJob
from conveyor.plan import Ring
from conveyor.store.redis.listen import RedisListener
from conveyor.store.redis.opened import RedisStore
from conveyor.store.redis.sharding import of_job
from conveyor.store.sight import Rest
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, new_job, new_jobs, outcome
from tests.support.redis import RedisServer, versions
from tests.support.waiting import auntil

SECOND = 1_000_000


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as started:
        yield started


@pytest.fixture(params=[1, 3], ids=["whole", "shards"])
def store(server: RedisServer, request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    server.flush()
    with contextlib.closing(RedisStore(f"{server.url()}?shards={request.param}")) as opened:
        yield opened


class Idler:
    """A worker with nothing to do, as far as claiming and hearing go."""

    def __init__(self, store: RedisStore, listener: RedisListener, tasks: Sequence[str]) -> None:
        self.listener = listener
        self.rings = self.ticks = 0
        self._store = store
        self._tasks = tasks
        self._hand = Hand(store)
        self._woken = asyncio.Event()

    def heard(self, why: Ring) -> None:
        self.rings += why is Ring.WORK
        self.ticks += why is Ring.TICK
        self._woken.set()

    async def claim(self, room: int = 5, queue: str = QUEUE) -> Sequence[Claimed]:
        operations = self._store.operations
        return await self._store.arun(operations.claim(self._hand.id, {queue: room}, self._tasks, self.listener.sight))

    async def rest(self, queue: str = QUEUE) -> None:
        """Claim until nothing is there."""
        while await self.claim(queue=queue):
            pass
        assert self.listener.sight.rests_until is not None
        self.rings = 0

    async def rung(self) -> None:
        """Wait to be rung."""
        async with asyncio.timeout(10):
            while not self.rings:
                self._woken.clear()
                await self._woken.wait()

    async def settle(self, job: Claimed, event: Event, *, delay: int = 0) -> None:
        await self._store.arun(self._store.operations.settle([outcome(job, self._hand.id, event, delay=delay)]))


@contextlib.asynccontextmanager
async def idlers(store: RedisStore, *tasks: Sequence[str]) -> AsyncGenerator[list[Idler]]:
    """One for each that is named, with the tasks that it knows; all hear by now, and rest, in that order."""
    made = [Idler(store, cast(RedisListener, store.listener(b"")), known) for known in tasks]
    duties = [asyncio.create_task(one.listener.listen(one.heard)) for one in made]
    try:
        for one in made:
            await one.rung()
            await one.rest()
        yield made
    finally:
        for duty in duties:
            duty.cancel()
        await asyncio.wait(duties)
        await store.aclose()


async def enqueue(store: RedisStore, *jobs: NewJob) -> None:
    await store.arun(store.operations.enqueue(jobs))


async def everything_heard(ones: Sequence[Idler], server: RedisServer) -> None:
    """Wait until all have heard what was said until now: what is said in their other channel comes behind it."""
    wanted = [one.ticks + 1 for one in ones]
    server.said("PUBLISH", "conveyor:bell", Ring.TICK.value)
    await auntil(lambda: [one.ticks for one in ones] == wanted)


async def test_two_are_rung_for_one_job_and_the_longest_at_rest_first(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(server.url())
    async with idlers(store, *[[TASK]] * 4) as ones:
        await enqueue(store, new_job())
        await everything_heard(ones, server)
        assert [one.rings for one in ones] == [1, 1, 0, 0]
        assert len(await ones[0].claim()) == 1
        assert await ones[1].claim() == []
        await everything_heard(ones, server)
        await enqueue(store, new_job())
        await everything_heard(ones, server)
        assert [one.rings for one in ones] == [1, 1, 1, 1]
    store.close()


async def test_who_was_rung_rests_no_more_until_its_next_claim(store: RedisStore, server: RedisServer) -> None:
    async with idlers(store, [TASK]) as (one,):
        for _ in range(3):
            await enqueue(store, new_job())
            await one.rung()
            assert len(await one.claim()) == 1
            assert one.listener.sight.rests_until is not None
            await everything_heard([one], server)
            one.rings = 0
            await one.rest()


async def test_as_many_are_rung_as_there_are_jobs(store: RedisStore) -> None:
    async with idlers(store, *[[TASK]] * 5) as ones:
        await enqueue(store, *new_jobs(300))
        for one in ones:
            await one.rung()
        assert all(one.rings for one in ones)


async def test_who_is_gone_is_not_counted(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(server.url())
    async with idlers(store, [TASK]) as (living,):
        async with idlers(store, *[[TASK]] * 12) as ones:
            await living.rest()
            assert all(one.listener.sight.rests_until for one in ones)
        await enqueue(store, new_job())
        await living.rung()
        assert len(await living.claim()) == 1
    store.close()


@pytest.mark.parametrize("event", [Event.RELEASE, Event.RETRY])
async def test_a_job_that_is_ready_again_rings(store: RedisStore, event: Event) -> None:
    async with idlers(store, [TASK], [TASK]) as (one, other):
        await enqueue(store, new_job())
        await one.rung()
        (job,) = await one.claim()
        await other.rest()
        await one.settle(job, event)
        await other.rung()
        assert [again.id for again in await other.claim()] == [job.id]


async def test_what_is_due_soon_rings_for_all_and_what_is_late_for_nobody(
    store: RedisStore, server: RedisServer
) -> None:
    async with idlers(store, *[[TASK]] * 4) as ones:
        await enqueue(store, new_job(delay=HOUR))
        await everything_heard(ones, server)
        assert [one.rings for one in ones] == [0] * 4
        await enqueue(store, new_job(delay=5 * SECOND))
        for one in ones:
            await one.rung()


async def test_a_claim_tells_when_the_next_job_comes_due(store: RedisStore) -> None:
    loop = asyncio.get_running_loop()
    async with idlers(store, [TASK]) as (one,):
        await enqueue(store, new_job(delay=HOUR), new_job(delay=HOUR // 2), new_job(task="strange", delay=HOUR // 4))
        one.listener.sight.rest.clear()
        assert await one.claim() == []
        assert one.listener.sight.rests_until == pytest.approx(loop.time() + HOUR / 2 / SECOND, abs=5)


async def test_a_task_that_who_was_rung_does_not_know_is_passed_on_once(store: RedisStore, server: RedisServer) -> None:
    async with idlers(store, ["other"], ["other"], [TASK], ["other"]) as (first, second, knows, last):
        await enqueue(store, new_job())
        await first.rung()
        await second.rung()
        assert await first.claim() == []
        await knows.rung()
        await last.rung()
        await first.rest()
        assert await last.claim() == []  # and does not pass on what was passed on
        await everything_heard([first], server)
        assert first.rings == 0
        assert len(await knows.claim()) == 1


async def test_who_has_no_room_by_now_has_others_rung(store: RedisStore) -> None:
    async with idlers(store, [TASK], [TASK], [TASK]) as (one, other, third):
        await enqueue(store, new_job())
        await one.rung()
        await other.rung()
        await one.listener.decline([QUEUE])
        assert third.rings == 0
        await one.listener.decline([])
        await third.rung()


async def test_who_leaves_is_rung_no_more(store: RedisStore, server: RedisServer) -> None:
    async with idlers(store, [TASK], [TASK], [TASK]) as (one, other, third):
        await one.listener.leave([QUEUE])
        await enqueue(store, new_job())
        await other.rung()
        await third.rung()
        await everything_heard([one], server)
        assert one.rings == 0


async def test_a_claim_that_takes_all_that_it_has_room_for_does_not_rest(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(server.url())
    async with idlers(store, [TASK]) as (one,):
        await enqueue(store, *new_jobs(9))
        one.listener.sight.rest.clear()
        assert len(await one.claim(9)) == 9
        assert one.listener.sight.rests_until is None
        await everything_heard([one], server)
        one.rings = 0
        await enqueue(store, new_job())
        await everything_heard([one], server)
        assert one.rings == 0
    store.close()


async def test_a_runner_without_a_lease_does_not_rest(store: RedisStore) -> None:
    async with idlers(store, [TASK]) as (one,):
        one._hand.die()
        one.listener.sight.rest.clear()
        assert await one.claim() == []
        assert one.listener.sight.rests_until is None


async def test_only_the_shard_that_rang_is_asked(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(f"{server.url()}?shards=8")
    async with idlers(store, [TASK]) as (one,):
        await enqueue(store, new_job())
        await one.rung()
        server.said("CONFIG", "RESETSTAT")
        assert len(await one.claim()) == 1
        said = cast("dict[str, dict[str, int]]", server.said("INFO", "commandstats"))
        assert said["cmdstat_evalsha"]["calls"] == 1
        assert one.listener.sight.rests_until is not None
        assert await one.listener.changed()
        server.said("CONFIG", "RESETSTAT")
        await one.claim()
        said = cast("dict[str, dict[str, int]]", server.said("INFO", "commandstats"))
        assert said["cmdstat_evalsha"]["calls"] == 8
    store.close()


def test_a_ring_while_a_claim_is_under_way_ends_the_rest_that_it_would_begin() -> None:
    rest = Rest()
    rest.end(0, [QUEUE])
    rest.ring(0, QUEUE, passed_on=False)
    rest.begin(0, [QUEUE], None)
    assert not rest.holds(0, [QUEUE])
    rest.end(0, [QUEUE])
    rest.clear()
    rest.begin(0, [QUEUE], None)
    assert not rest.holds(0, [QUEUE])
    assert not rest.end(0, [QUEUE])
    rest.begin(0, [QUEUE], None)
    assert rest.holds(0, [QUEUE])
    assert not rest.holds(0, [QUEUE, "another"])
    assert not rest.holds(1, [QUEUE])


def test_it_rests_until_the_next_job_comes_due() -> None:
    rest = Rest()
    rest.end(0, [QUEUE])
    rest.begin(0, [QUEUE], 0)
    assert not rest.holds(0, [QUEUE])
    assert rest.until(1, [QUEUE]) is None


def test_a_ring_for_a_queue_at_which_a_claim_does_not_look_stays_to_be_declined() -> None:
    rest = Rest()
    rest.ring(0, QUEUE, passed_on=False)
    rest.ring(0, "full", passed_on=False)
    assert rest.end(0, [QUEUE])
    assert rest.decline([QUEUE]) == {0: ["full"]}
    assert rest.decline([]) == {}


async def test_who_has_its_room_filled_by_another_shard_has_others_rung(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(f"{server.url()}?shards=2")
    async with idlers(store, [TASK], [TASK], [TASK]) as (one, other, third):
        jobs: dict[int, list[NewJob]] = {0: [], 1: []}
        while not all(jobs.values()):
            made = new_job()
            jobs[of_job(made, 2)].append(made)
        await enqueue(store, jobs[0][0], jobs[1][0])
        await one.rung()
        await other.rung()
        await everything_heard([one, other, third], server)
        third.rings = 0
        await third.rest()
        room = {QUEUE: 1, "another": 1}
        taken = await store.arun(store.operations.claim(one._hand.id, room, [TASK], one.listener.sight))
        assert len(taken) == 1
        await one.listener.decline(["another"])
        await third.rung()
    store.close()


async def test_who_died_at_rest_is_forgotten_though_nobody_is_rung(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(server.url())
    async with idlers(store, [TASK]) as (one,):
        server.said("ZADD", f"{{conveyor:0}}:resting:{QUEUE}", *(part for n in range(500) for part in ("1", f"s{n}")))
        one.listener.sight.rest.clear()
        await one.claim()
        assert server.said("ZCARD", f"{{conveyor:0}}:resting:{QUEUE}") == 1
    store.close()


async def test_who_no_longer_listens_does_not_ask_to_be_rung(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(versions()[-1]) as lone:
        store = RedisStore(lone.url())
        async with idlers(store, [TASK]) as (one,):
            lone.kill()
            await auntil(lambda: "polling stands in" in caplog.text)
            assert not one.listener.sight.rest.ear
            assert not one.listener.sight.rest.holds(0, [QUEUE])
        store.close()


async def test_what_nobody_knows_is_not_passed_on_for_ever(server: RedisServer) -> None:
    server.flush()
    store = RedisStore(server.url())
    async with idlers(store, *[[TASK]] * 4) as ones:
        stranded = new_job(task="strange")
        await enqueue(store, stranded)
        server.said("ZADD", f"{{conveyor:0}}:lane:{len(QUEUE)}:{QUEUE}:0:strange", "XX", "1", stranded.id.hex())
        await everything_heard(ones, server)
        for one in ones:
            await one.rest()
        await everything_heard(ones, server)
        for one in ones:
            one.rings = 0
        await enqueue(store, new_job())
        await everything_heard(ones, server)
        assert sum(one.rings for one in ones) == 2
        for one in ones:
            await one.claim()
        await everything_heard(ones, server)
        assert sum(one.rings for one in ones) == 2
    store.close()


async def test_who_may_not_ring_enqueues_all_the_same(server: RedisServer) -> None:
    server.flush()
    server.said("ACL", "SETUSER", "web", "on", ">secret", "~{conveyor:*", "resetchannels", "&conveyor:bell", "+@all")
    store = RedisStore(server.url())
    web = RedisStore(f"redis://web:secret@127.0.0.1:{server.port}/0")
    async with idlers(store, [TASK]) as (one,):
        await asyncio.to_thread(web.run, web.operations.enqueue([new_job()]))
        one.listener.sight.rest.clear()
        assert len(await one.claim()) == 1
    web.close()
    store.close()
