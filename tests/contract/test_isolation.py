"""PostgreSQL: a database with another isolation level by default, and transactions that the server takes back (D06)."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from conveyor.core.errors import StoreUnavailable
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter, NewJob
from conveyor.core.unique import Hold
from conveyor.drivers.postgres import carry
from conveyor.plan import Answer, Plan, Statement, Steps, run
from conveyor.store.answers import Pass
from conveyor.store.contract import Store
from tests.support.jobs import QUEUE, TASK, Hire, enqueue, new_job, new_jobs, outcome, see
from tests.support.postgres import session, waiting
from tests.support.stores import Loop, open_store
from tests.support.waiting import until

pytestmark = [pytest.mark.direct, pytest.mark.parametrize("url", ["postgres"], indirect=True)]
"""A default is for new sessions, and a pooler has old ones."""

LEVELS = ("repeatable read", "serializable")
REWRITE = "UPDATE conveyor_job SET progress = '{}'"


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, url: str) -> str:
    """The database's default, set before any store is opened."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{request.param}'".encode())
    return str(request.param)


@pytest.fixture
def both(level: str, opened: Callable[[], Store]) -> Iterator[tuple[Store, Loop]]:
    """A store on such a database, and an event loop that uses it."""
    store = opened()
    with Loop(store) as loop:
        yield store, loop


def isolation() -> Plan[str]:
    """What our own plans run in."""

    def steps() -> Steps[str]:
        answer = yield Statement("SELECT current_setting('transaction_isolation')", {})
        return str(answer.rows[0][0])

    return Plan(steps)


def test_our_own_plans_are_read_committed_whatever_the_default(both: tuple[Store, Loop]) -> None:
    store, loop = both
    assert (store.run(isolation()), loop.do(isolation())) == ("read committed", "read committed")


def test_a_connection_that_is_given_away_keeps_the_default(both: tuple[Store, Loop], level: str) -> None:
    store, _ = both
    given = store.connect()
    assert isinstance(given, psycopg.Connection)
    with given:
        assert given.execute("SHOW transaction_isolation").fetchone() == (level,)


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_write_that_has_to_wait_for_another_one_is_done(
    both: tuple[Store, Loop], url: str, hire: Hire, colour: str
) -> None:
    store, loop = both
    do = store.run if colour == "blocking" else loop.do
    hand = hire(store)
    enqueue(store, new_job())
    claimed = hand.take_one()
    plan = store.operations.settle([outcome(claimed, hand.id, Event.RETRY)])
    with session(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute(REWRITE)
        settling = pool.submit(do, plan)
        until(lambda: waiting(url) == 1)
        other.commit()
        assert settling.result().refused == frozenset()
    assert see(store, claimed.id).state is State.READY


def test_claims_beside_each_other_all_succeed(both: tuple[Store, Loop], hire: Hire) -> None:
    store, loop = both
    enqueue(store, *new_jobs(200))
    hands = [hire(store) for _ in range(4)]
    taken: list[bytes] = []

    def claim() -> bool:
        plans = [store.operations.claim(hand.id, {QUEUE: 10}, [TASK]) for hand in hands]
        for answer in loop.gather(plans):
            assert not isinstance(answer, BaseException)
            taken.extend(job.id for job in answer)
        return len(taken) == 200

    until(claim)
    assert len(set(taken)) == 200


# --------------------------------------------------------------- taken back


def keyed(key: str) -> NewJob:
    """A job of a unique key."""
    return new_job()._replace(unique=Hold(key, until_start=False, on_conflict="existing"))


def deadlocked(url: str, do: Callable[[], object], first: bytes, second: bytes) -> object:
    """Have *do*, which locks *first* and then *second*, stand in a circle, out of which the server takes it."""
    lock = "SELECT 1 FROM conveyor_job WHERE id = encode(%s, 'hex')::uuid FOR UPDATE"
    with session(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '60s'")  # so that it is not this one that notices, and is taken back
        other.execute(lock, (second,))
        doing = pool.submit(do)
        until(lambda: waiting(url) == 1)
        other.execute(lock, (first,))
        other.commit()
        return doing.result()


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_plan_that_the_server_takes_back_is_tried_again(store: Store, url: str, colour: str) -> None:
    first, second = sorted(new_jobs(2), key=lambda job: job.id)
    enqueue(store, first, second)
    plan = store.control.cancel(JobFilter(), "why", 10, None)
    with Loop(store) as loop:
        do = store.run if colour == "blocking" else loop.do
        done = deadlocked(url, lambda: do(plan), first.id, second.id)
    assert isinstance(done, Pass)
    assert done.changed == 2


def test_calls_that_want_the_same_keys_do_not_wait_for_each_other_in_a_circle(store: Store, url: str) -> None:
    """The first holds one key, and looks a second time for another, whose holder is gone; the second wants both."""
    holder = keyed("a")
    enqueue(store, holder)
    first, second = [keyed("b"), keyed("a")], [keyed("a"), keyed("b")]
    patient = open_store(f"{url}{'&' if '?' in url else '?'}options=-c%20deadlock_timeout%3D60s")
    with session(url) as one, ThreadPoolExecutor(1) as pool:
        carried = carry(one)
        doing: list[Future[Mapping[bytes, bytes]]] = []

        def carry_amid(statement: Statement) -> Answer:
            answer = carried(statement)
            if "INSERT" in statement.text and not doing:
                store.run(store.control.delete_waiting(JobFilter(ids=(holder.id,)), 1, None))
                doing.append(pool.submit(patient.run, patient.operations.enqueue(second)))
                until(lambda: waiting(url) == 1)
            return answer

        assert run(store.operations.enqueue(first), carry_amid) == {}
        one.commit()
        assert doing[0].result() == {second[0].id: first[1].id, second[1].id: first[0].id}
    patient.close()


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_plan_that_is_taken_back_each_time_was_not_done(store: Store, colour: str) -> None:
    tries: list[int] = []

    def steps() -> Steps[None]:
        tries.append(1)
        yield Statement(
            "DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = 'serialization_failure'; END $$", {}
        )

    with Loop(store) as loop, pytest.raises(StoreUnavailable, match="could not serialize"):
        (store.run if colour == "blocking" else loop.do)(Plan(steps))
    assert len(tries) == 5


def test_other_tasks_go_on_while_a_plan_waits_to_be_tried_again(store: Store) -> None:
    tries: list[int] = []

    def steps() -> Steps[int]:
        tries.append(1)
        if len(tries) < 3:
            yield Statement("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'deadlock_detected'; END $$", {})
        yield Statement("SELECT 1", {})
        return len(tries)

    async def main() -> tuple[int, int]:
        turns = 0

        async def turning() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turner = asyncio.create_task(turning())
        done = await store.arun(Plan(steps))
        turner.cancel()
        await store.aclose()
        return done, turns

    done, turns = asyncio.run(main())
    assert done == 3
    assert turns > 3
