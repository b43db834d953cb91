"""Jobs for a store on Redis that a transaction on SQL holds, and that a relay forwards."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import closing
from contextvars import copy_context
from typing import Any, TypeVar

import psycopg
import pytest
import redis

from conveyor import Conveyor, JobNotFound, UsageError, WrongStore
from conveyor.cli import main
from conveyor.core import ids
from conveyor.core.errors import OnItsWay, StoreUnavailable
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter, JobInfo
from conveyor.core.unique import Unique
from conveyor.plan import Plan
from conveyor.store.contract import Store
from conveyor.store.outbox import JOBS, MOST_OPEN, Outbox, Standing
from conveyor.store.postgres.opened import PostgresStore
from conveyor.task import Task
from conveyor.worker.relay import POLL_HEARING, Reach, Relay
from conveyor.worker.runner import Settings
from tests.support.carriers import Carrier, Kind, outside
from tests.support.ground import PLAIN
from tests.support.jobs import new_job
from tests.support.redis import RedisServer, versions

T = TypeVar("T")
EACH = pytest.mark.parametrize("carrier", PLAIN, indirect=True, ids=lambda carrier: carrier.id)
HOUR = 3_600_000_000


class Office:
    """An app on Redis with an outbox, and who looks at both."""

    def __init__(self, redis: str, outbox: str) -> None:
        self.app = Conveyor(redis, outbox=outbox)
        self.url = outbox
        self.task: Task[[int], int] = self.app.task(name="sent")(_sent)

    @property
    def outbox(self) -> Store:
        found = self.app.outbox
        assert found is not None
        return found

    @property
    def plans(self) -> Outbox:
        return self.outbox.outbox(self.app.store.intake.name)

    def put(self, *numbers: int, task: Task[[int], int] | None = None) -> None:
        """Commit jobs, over the library that the database's own driver is."""
        with own(self.url) as connection, self.app.within(connection):
            self.app.enqueue_many([(task or self.task).bind(n) for n in numbers])

    def relay(self, store: Store | None = None, outbox: Store | None = None) -> None:
        """Forward what there is, once."""
        asyncio.run(self._drained(store or self.app.store, outbox or self.outbox))

    async def _drained(self, store: Store, outbox: Store) -> None:
        try:
            await Relay(outbox, store).drain()
        finally:
            await self.app.aclose()

    def left(self) -> int:
        """How many are in the outbox."""
        with outside(self.url) as connection:
            ((jobs,),) = connection.execute("SELECT count(*) FROM conveyor_outbox").fetchall()
            ((batches,),) = connection.execute("SELECT count(*) FROM conveyor_outbox_batch").fetchall()
        assert jobs or not batches, "a batch of nothing"
        return int(jobs)

    def stored(self) -> list[JobInfo]:
        """What is in the store, in the order of enqueueing."""
        found = self.app.store.run(
            self.app.store.operations.list(JobFilter(), limit=10_000, after=None, direction="oldest")
        )
        return sorted(found, key=lambda job: job.run_after)

    def numbers(self) -> list[int]:
        return [json.loads(job.payload)[0][0] for job in self.stored()]


def _sent(n: int) -> int:
    return n


def _large(text: str) -> None:
    assert text


@contextlib.contextmanager
def own(url: str) -> Iterator[Any]:
    """A connection with a transaction that is committed at the end."""
    if url.startswith("sqlite"):
        with outside(url) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
    else:
        with psycopg.connect(url) as connection:
            yield connection


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(versions()[0]) as started:
        yield started


@pytest.fixture
def make(clean: Callable[[Kind], str]) -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def office(redis: str, kind: Kind = "postgresql") -> Office:
        made.append(Office(redis, clean(kind)))
        made[-1].app.migrate()
        with outside(made[-1].url) as connection:
            for table in ("conveyor_outbox", "conveyor_outbox_batch"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("UPDATE conveyor_relay SET owned_until = 0")
        return made[-1]

    yield office
    for one in made:
        one.app.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest, server: RedisServer, make: Callable[..., Office]) -> Office:
    server.flush()
    return make(server.url(), request.param)


@pytest.fixture
def in_shards(server: RedisServer, make: Callable[..., Office]) -> Office:
    server.flush()
    return make(f"{server.url()}?shards=3")


# ---------------------------------------------------------------- the user's commit decides


@EACH
def test_a_commit_leaves_jobs_to_be_forwarded_and_a_rollback_none(
    carrier: Carrier, server: RedisServer, make: Callable[..., Office]
) -> None:
    server.flush()
    office = make(server.url(), carrier.kind)

    async def awaited(n: int) -> None:
        with office.app.within(held.connection):
            await office.task.aenqueue(n)
            await office.app.aenqueue_many([office.task.bind(n + 1), office.task.bind(n + 2)])
        await office.app.aclose()

    def enqueue(n: int) -> None:
        if carrier.colour == "async":
            assert held._runner is not None
            held._runner.run(awaited(n), context=copy_context())
            return
        with office.app.within(held.connection):
            office.task.enqueue(n)
            office.app.enqueue_many([office.task.bind(n + 1), office.task.bind(n + 2)])

    with carrier.open(office.url) as held:
        held.begin()
        enqueue(10)
        held.rollback()
        held.begin()
        enqueue(20)
        office.relay()
        assert (office.left(), office.numbers()) == (0, [])
        held.commit()
    assert office.left() == 3
    office.relay()
    assert (office.left(), office.numbers()) == (0, [20, 21, 22])


def test_a_job_is_what_it_would_be_without_an_outbox(office: Office) -> None:
    options: dict[str, Any] = {"priority": 7, "max_attempts": 3, "timeout": 5.0, "tags": ["a"], "meta": {"b": "\x01é"}}
    task = office.task.using(queue="mail", unique=Unique("key\x7f"), keep=60, expires=500, **options)
    direct = task.enqueue(2**60)
    expected = direct.refresh()
    direct.cancel()
    direct.delete()
    with own(office.url) as connection:
        job = task.using(within=connection).enqueue(2**60)
    office.relay()
    got = job.refresh()
    same = {field.name for field in dataclasses.fields(JobInfo)}
    times = {name for name in same if name.endswith(("_at", "_after"))}
    for name in same - times - {"id"}:
        assert getattr(got, name) == getattr(expected, name), name


def test_what_counts_from_the_enqueue_has_begun_in_the_outbox(office: Office) -> None:
    with own(office.url) as connection:
        soon = office.task.using(within=connection, run_after=120, expires=60).enqueue(1)
        late = office.task.using(within=connection, run_after=1, expires=600).enqueue(2)
        over = office.task.using(within=connection, expires=30).enqueue(3)
    with outside(office.url) as connection:
        connection.execute("UPDATE conveyor_outbox SET put_at = put_at - 100000000")
    office.relay()
    now = office.app.store.run(office.app.store.operations.clock())
    found = {job.id: job for job in office.stored()}
    assert 10_000_000 < _stored(found[soon.id].run_after) - now <= 20_000_000
    assert _stored(found[late.id].run_after) <= now
    assert 490_000_000 < _stored(found[late.id].expires_at) - now <= 501_000_000
    assert office.app.store.run(office.app.store.control.expire(10)).changed == 1
    assert over.refresh().state is State.CANCELLED


def _stored(moment: Any) -> int:
    return moment if isinstance(moment, int) else round(moment.timestamp() * 1_000_000)


def test_a_handle_knows_that_its_job_is_on_its_way(office: Office) -> None:
    with own(office.url) as connection:
        job = office.task.using(within=connection).enqueue(1)
    with pytest.raises(OnItsWay, match="is in the outbox, and no worker of this app has forwarded it yet"):
        job.refresh()
    with pytest.raises(OnItsWay):
        office.app.jobs.why(job.id)
    with pytest.raises(TimeoutError):
        job.result(timeout=0)
    office.relay()
    assert job.refresh().state is State.READY
    job.cancel()
    job.delete()
    with pytest.raises(JobNotFound):
        job.refresh()


def test_of_two_jobs_of_one_key_the_first_is_stored_and_nothing_is_left(office: Office) -> None:
    unique = office.task.using(unique="k")
    with own(office.url) as connection, office.app.within(connection):
        unique.enqueue(1)
        unique.enqueue(2)
        with pytest.raises(UsageError, match="on_conflict='raise' cannot raise here"):
            office.task.using(unique=Unique("k", on_conflict="raise")).enqueue(3)
    office.relay()
    assert (office.left(), office.numbers()) == (0, [1])


# ---------------------------------------------------------------- whatever dies


class Cut(Exception):
    """A relay has died."""


class Fragile:
    """A store whose *n*-th call, of all that share *calls*, ends the relay: before it is made, or behind it."""

    def __init__(self, inner: Store, calls: Iterator[int], cut: int, *, behind: bool) -> None:
        self._inner, self._calls, self._cut, self._behind = inner, calls, cut, behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def arun(self, plan: Plan[T]) -> Awaitable[T]:
        return self._arun(plan)

    async def _arun(self, plan: Plan[T]) -> T:
        last = next(self._calls) == self._cut
        if last and not self._behind:
            raise Cut
        given = await self._inner.arun(plan)
        if last:
            raise Cut
        return given


def cut(office: Office, number: int, *, behind: bool) -> bool:
    """Have a relay die at its *number*-th call; whether it came so far."""
    calls = iter(range(1, 1_000))
    one = Fragile(office.app.store, calls, number, behind=behind)
    other = Fragile(office.outbox, calls, number, behind=behind)
    try:
        office.relay(one, other)  # type: ignore[arg-type]  # as much of a store as a relay needs
    except Cut:
        with outside(office.url) as connection:  # it will not tell anybody that it has died
            connection.execute("UPDATE conveyor_relay SET owned_until = 0")
        return True
    return False


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_relay_that_dies_at_any_call_neither_loses_nor_doubles_a_job(
    server: RedisServer, make: Callable[..., Office], kind: Kind, shards: int, behind: bool
) -> None:
    server.flush()
    office = make(f"{server.url()}?shards={shards}", kind)
    expected = 0
    for number in range(1, 20):
        office.put(*range(expected, expected + 5))
        expected += 5
        died = cut(office, number, behind=behind)
        gone = office.stored()  # they may have run, and be forgotten, when the next relay comes
        for job in gone:
            office.app.store.run(office.app.store.control.delete_waiting(_of(job), 1, None))
        office.relay()
        assert office.left() == 0
        came = [*gone, *office.stored()]
        assert sorted(json.loads(job.payload)[0][0] for job in came) == list(range(expected - 5, expected))
        for job in office.stored():
            office.app.store.run(office.app.store.control.delete_waiting(_of(job), 1, None))
        if not died:
            break
    assert 5 < number < 19


def _of(job: JobInfo) -> JobFilter:
    return JobFilter(ids=(ids.parse(job.id),))


def test_two_relays_at_a_time_and_one_that_was_late(office: Office) -> None:
    """It sends what it took long ago, when all that came later is there, and gone."""
    office.put(1, 2, 3)
    late = office.outbox.run(office.plans.take("late", 0, 0))
    assert late is not None
    source = office.outbox.run(office.outbox.operations.identity())
    office.relay()
    office.put(4)
    office.relay()
    for job in office.stored():
        office.app.store.run(office.app.store.control.delete_waiting(_of(job), 1, None))
    jobs = [(batch.number, [entry.job for entry in batch.entries]) for batch in late]
    office.app.store.run(office.app.store.intake.relayed(source, jobs))
    assert office.numbers() == []


def test_it_is_the_turn_of_one(office: Office) -> None:
    outbox = office.outbox
    assert outbox.run(office.plans.take("one", HOUR, 0)) == []
    assert outbox.run(office.plans.take("other", HOUR, 0)) is None
    turn = outbox.run(office.plans.turn("other", 0))
    assert not turn.mine
    assert 0 < turn.left <= HOUR
    office.put(1)
    outbox.run(office.plans.pass_on("other"))
    assert outbox.run(office.plans.take("other", HOUR, 0)) is None
    outbox.run(office.plans.pass_on("one"))
    office.relay()
    assert office.left() == 0


def test_a_turn_that_lasts_too_long_is_over(office: Office) -> None:
    """The clock was ahead when it was taken, and was set back; or another server has taken over."""
    office.put(1)
    office.relay()
    with outside(office.url) as connection:
        connection.execute(f"UPDATE conveyor_relay SET owner = 'dead', owned_until = {2**62}")
    office.put(2)
    office.relay()
    assert (office.left(), office.numbers()) == (0, [1, 2])


def test_what_a_relay_remembers_of_its_turn_is_nothing_once_another_has_had_it(office: Office) -> None:
    first, second = Standing(), Standing()

    def take(owner: str, standing: Standing) -> list[int]:
        batches = office.outbox.run(office.plans.take(owner, HOUR, 0, standing))
        assert batches is not None
        return [batch.number for batch in batches]

    def change(text: str) -> None:
        with outside(office.url) as connection:
            connection.execute(f"UPDATE conveyor_relay SET {text}")

    numbers = []
    for n in range(3):
        office.put(n)
        numbers = take("one", first)
        assert len(numbers) == n + 1
    change("owned_until = 0")
    office.put(3)
    others = take("other", second)
    assert others[:3] == numbers
    assert others[3] > numbers[2]
    change("owned_until = 0")
    office.put(4)
    again = take("one", first)
    assert again[:4] == others
    assert again[4] > others[3]
    change("number = number + 10")  # somebody had the turn, and has passed it on, and it is ours again
    office.put(5)
    last = take("one", first)
    assert last[:5] == again
    assert last[5] > again[4] + 10


def test_jobs_for_two_stores_lie_in_one_outbox(server: RedisServer, make: Callable[..., Office]) -> None:
    server.flush()
    first, second = make(f"{server.url()}?prefix=one"), make(f"{server.url(1)}?prefix=one")
    first.put(1)
    second.put(2)
    first.relay()
    assert (first.left(), first.numbers(), second.numbers()) == (1, [1], [])
    second.relay()
    assert (first.left(), first.numbers(), second.numbers()) == (0, [1], [2])


def test_a_number_that_is_older_than_the_last_is_none_that_was_stored(office: Office) -> None:
    """A database that was set back, on a server whose clock is slow, gives such."""
    office.put(1)
    office.relay()
    source = office.outbox.run(office.outbox.operations.identity())
    with closing(redis.Redis.from_url(office.app.url)) as client:
        key = f"{{conveyor:0}}:outbox:{source}"
        client.zadd(key, {"9000000000000000": 9_000_000_000_000_000})
        office.put(2)
        office.relay()
        assert (office.left(), office.numbers()) == (0, [1, 2])


def test_a_number_is_never_given_twice_though_the_database_was_set_back(office: Office) -> None:
    """A backup, or a replica that had not heard of the last batches, has older numbers; Redis remembers the newer."""
    office.put(1)
    office.relay()
    with outside(office.url) as connection:
        connection.execute("UPDATE conveyor_relay SET number = 0")
    office.put(2)
    office.relay()
    assert office.numbers() == [1, 2]


# ---------------------------------------------------------------- trouble


def test_what_was_spoilt_stays_and_holds_up_nothing(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(MOST_OPEN + 1):
        office.put(0)
        with outside(office.url) as connection:
            connection.execute("UPDATE conveyor_outbox SET job = '{}' WHERE job LIKE '%[[0],%'")
        with caplog.at_level(logging.ERROR):
            office.relay()
        office.put(1)
        office.relay()
    assert office.numbers() == [1] * (MOST_OPEN + 1)
    assert office.left() == MOST_OPEN + 1
    assert "conveyor_outbox cannot be read, and stays there: Object missing required field" in caplog.text


def test_what_another_version_can_read_is_forwarded_by_that(office: Office) -> None:
    """It lay in a batch whose number the store knows since, with jobs that could be read."""
    office.put(1, 2)
    with outside(office.url) as connection:
        connection.execute("UPDATE conveyor_outbox SET job = 'x' || job WHERE job LIKE '%[[2],%'")
    office.relay()
    assert (office.left(), office.numbers()) == (1, [1])
    with outside(office.url) as connection:
        connection.execute("UPDATE conveyor_outbox SET job = substr(job, 2)")
    office.relay()
    assert (office.left(), office.numbers()) == (0, [1, 2])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("id", "ab"), ("queue", ""), ("task", "t" * 201), ("priority", 101), ("max_attempts", 0)),
        *((field, 10**30) for field in ("due", "delay", "timeout", "expires", "keep")),
        ("not_of_this_version", 1),
    ],
)
def test_what_no_enqueue_of_this_version_writes_is_not_forwarded(office: Office, field: str, value: object) -> None:
    office.put(1, 2)
    with outside(office.url) as connection:
        ((text,),) = connection.execute("SELECT job FROM conveyor_outbox WHERE job LIKE '%[[1],%'").fetchall()
        spoilt = json.dumps(json.loads(text) | {field: value})
        connection.execute(f"UPDATE conveyor_outbox SET job = '{spoilt}' WHERE job LIKE '%[[1],%'")
    office.relay()
    assert (office.left(), office.numbers()) == (1, [2])


def test_more_than_one_batch(office: Office) -> None:
    office.put(*range(JOBS + 200))
    office.relay()
    assert office.left() == 0
    assert office.numbers() == list(range(JOBS + 200))


def test_all_is_forwarded_first_however_long_that_takes(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.worker.relay.LASTING", 0.001)
    monkeypatch.setattr("conveyor.worker.relay.FAREWELL", 0.0)
    office.put(*range(JOBS + 1))
    office.relay()
    assert office.left() == 0


def test_large_jobs_go_in_small_batches(office: Office) -> None:
    large: Task[[str], None] = office.app.task(name="large")(_large)
    with own(office.url) as connection, office.app.within(connection):
        office.app.enqueue_many([large.bind("x" * 250_000) for _ in range(10)])
    batches = office.outbox.run(office.plans.take("one", 0, 0))
    assert batches is not None
    assert [len(batch.entries) for batch in batches] == [3]
    office.relay()
    assert (office.left(), len(office.stored())) == (0, 10)


def test_what_is_too_much_for_one_statement_is_put_there_in_several(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.store.outbox.AT_ONCE", 1_000)
    statements = list(office.plans.hold([new_job(args=b"x" * 300) for _ in range(10)]).steps())
    assert 3 < len(statements) < 10
    office.put(*range(10))
    office.relay()
    assert office.numbers() == list(range(10))


class OneDown:
    """A store of shards, one of which is not to be reached."""

    def __init__(self, inner: Store, down: int) -> None:
        self._inner, self._down = inner, down

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def arun(self, plan: Plan[T]) -> T:
        def steps() -> Any:
            inner = plan.steps()
            statement = next(inner)
            try:
                while True:
                    if statement.params.get("shard") == self._down:
                        statement = inner.throw(StoreUnavailable("that one is down"))
                    else:
                        statement = inner.send((yield statement))
            except StopIteration as end:
                return end.value

        return await self._inner.arun(Plan(steps))


def test_a_shard_that_is_down_holds_up_only_its_own(in_shards: Office, caplog: pytest.LogCaptureFixture) -> None:
    office = in_shards
    down: Any = OneDown(office.app.store, 1)
    for first in range(0, 90, 30):
        office.put(*range(first, first + 30))
        with caplog.at_level(logging.WARNING):
            office.relay(down)
    assert "left to the next worker: that one is down" in caplog.text
    there = office.numbers()
    assert 20 < len(there) < 80
    assert office.left() == 90 - len(there)
    office.relay()
    assert (office.left(), sorted(office.numbers())) == (0, list(range(90)))


# ---------------------------------------------------------------- workers


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(done):  # noqa: ASYNC110 - it is in another server that something is to happen
            await asyncio.sleep(0.02)


def _working(office: Office, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        worker = office.app.worker(Settings({"default": 5}))
        running = asyncio.create_task(worker.run())
        try:
            await body()
        finally:
            worker.stop()
            await running
            await office.app.aclose()

    asyncio.run(main())


def test_a_worker_forwards_and_runs_what_is_committed(office: Office) -> None:
    async def body() -> None:
        for n in range(3):
            await asyncio.to_thread(office.put, n)
            await _until(lambda: [job.state for job in office.stored()] == [State.SUCCEEDED] * (n + 1))  # noqa: B023 - used at once

    _working(office, body)
    assert office.left() == 0


def test_a_burst_forwards_first(office: Office) -> None:
    office.put(1, 2)
    office.app.run_worker(burst=True)
    assert [job.state for job in office.stored()] == [State.SUCCEEDED] * 2


def test_a_worker_that_ends_passes_its_turn_on(office: Office) -> None:
    async def body() -> None:
        await asyncio.to_thread(office.put, 1)
        await _until(lambda: [job.state for job in office.stored()] == [State.SUCCEEDED])

    _working(office, body)
    assert office.outbox.run(office.plans.turn("", 0)).left <= 0


def test_a_late_commit_is_found(office: Office) -> None:
    """It took its place in the line long before those that are gone already."""
    reach = Reach()
    assert reach.since() == 0
    reach.looked(0, 0.0, 10)
    reach._marks[0] = (reach._marks[0][0] - 60, 10)
    assert reach.since() == 10
    reach._whole -= 60
    assert reach.since() == 0
    office.put(1)
    with outside(office.url) as connection:
        ((position,),) = connection.execute("SELECT max(position) FROM conveyor_outbox").fetchall()
    assert office.outbox.run(office.plans.take("one", 0, position)) == []
    found: Any = office.outbox.run(office.plans.take("one", 0, position - 1))
    assert [len(batch.entries) for batch in found] == [1]


def test_what_is_committed_long_after_others_is_forwarded_at_once(
    server: RedisServer, make: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is before that of all that was forwarded meanwhile."""
    monkeypatch.setattr("conveyor.worker.relay.LATE", 0.0)
    server.flush()
    office = make(server.url())

    async def body() -> None:
        with closing(psycopg.connect(office.url)) as late:
            office.task.using(within=late).enqueue(0)
            for n in range(1, 4):
                await asyncio.to_thread(office.put, n)
                await _until(lambda: len(office.stored()) == n)  # noqa: B023 - used at once
            late.commit()
            begun = time.monotonic()
            await _until(lambda: len(office.stored()) == 4)
            assert time.monotonic() - begun < POLL_HEARING / 2

    _working(office, body)


# ---------------------------------------------------------------- what is refused, and told


def test_a_key_in_the_outbox_keeps_nobody_from_enqueueing(office: Office) -> None:
    with own(office.url) as connection, office.app.within(connection):
        office.task.using(unique="k").enqueue(1)
        assert office.task.using(unique="k", within=None).enqueue(2).created
    office.relay()
    assert (office.left(), office.numbers()) == (0, [2])


def test_where_to_listen_is_told_to_the_outbox_too() -> None:
    """It may lead through a pooler."""
    app = Conveyor("redis://localhost", outbox="postgresql://pooler/x", listen_url="postgresql://server/x")
    assert isinstance(app.outbox, PostgresStore)
    assert "server" in app.outbox._listen_text


def test_another_database_is_refused(office: Office, postgres_elsewhere: str) -> None:
    with psycopg.connect(postgres_elsewhere) as connection, office.app.within(connection), pytest.raises(WrongStore):
        office.task.enqueue(1)


@pytest.mark.parametrize(
    ("url", "outbox", "message"),
    [
        ("sqlite:///jobs.db", "postgresql://localhost/x", "outbox= is for a store on Redis"),
        ("redis://localhost", "redis://localhost/1", "must begin with postgresql:// or sqlite:///"),
        ("redis://localhost", "sqlite:///:memory:", "must begin with postgresql:// or sqlite:///"),
    ],
)
def test_outboxes_that_mean_nothing(url: str, outbox: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Conveyor(url, outbox=outbox)


def test_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVEYOR_OUTBOX_URL", "postgresql://localhost/x")
    assert Conveyor("redis://localhost").outbox_url == "postgresql://localhost/x"
    assert Conveyor("sqlite:///jobs.db").outbox_url is None


def test_another_store_on_redis_keeps_the_outbox_and_one_on_sql_has_none() -> None:
    app = Conveyor("redis://localhost", outbox="postgresql://localhost/x")
    app.use("redis://localhost/1")
    assert app.outbox_url == "postgresql://localhost/x"
    app.use("sqlite:///jobs.db")
    assert app.outbox_url is None


def test_each_store_says_what_it_is_not(office: Office) -> None:
    with pytest.raises(UsageError, match="cannot be an outbox"):
        office.app.store.outbox("x")
    with pytest.raises(UsageError, match="joins transactions by itself"):
        _ = office.outbox.intake


def test_doctor_tells_what_waits(office: Office) -> None:
    office.put(1, 2)
    with outside(office.url) as connection:
        connection.execute("UPDATE conveyor_outbox SET put_at = put_at - 90000000")
    (found,) = [finding for finding in office.app.doctor() if finding.check == "outbox"]
    assert "2 jobs wait in" in found.text
    assert "the oldest for 9" in found.text
    office.relay()
    (found,) = [finding for finding in office.app.doctor() if finding.check == "outbox"]
    assert "0 jobs wait there" in found.text


def test_status_tells_what_waits_and_wants_a_worker_for_it(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends all workers when none is desired would leave it there for ever."""

    def said(*more: str) -> str:
        assert main(["status", *more]) == 0
        return capsys.readouterr().out

    monkeypatch.setattr("conveyor.cli.status.find_jobs", lambda _: office.app)
    assert "outbox" not in said()
    told = json.loads(said("--json"))
    assert (told["outbox"], told["desired"]) == (0, 0)
    office.put(1, 2)
    assert "2 more wait in the outbox, for a worker to forward them" in said()
    told = json.loads(said("--json"))
    assert (told["outbox"], told["desired"]) == (2, 1)


def test_doctor_tells_that_it_cannot_be_reached(server: RedisServer) -> None:
    app = Conveyor(server.url(), outbox="postgresql://nobody@127.0.0.1:1/nowhere")
    (found,) = [finding for finding in app.doctor() if finding.check == "outbox"]
    assert "refused" in found.text
    app.close()
