"""PostgreSQL: whatever the network does, no round trip of ours lasts for ever, and the error says what is known (N01).

The deadlines are shortened here; ``tests/faults/test_silence.py`` has them as they are.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.core.model import NewJob
from conveyor.drivers import postgres_loan
from conveyor.drivers.lend import lend
from conveyor.drivers.lent import BlockingLoan
from conveyor.plan import Plan, Ring, Statement, Steps
from conveyor.store.postgres import links, listen, opened
from conveyor.store.postgres.opened import PostgresStore
from tests.support.jobs import INFO, enqueue, new_job, see
from tests.support.network import Fault, Network
from tests.support.stores import rows
from tests.support.waiting import auntil, until

pytestmark = pytest.mark.direct

SHORT = 0.5
INSERT = "INSERT INTO conveyor_job"
COMMIT = "COMMIT\0"
"""Not "READ COMMITTED"."""
READ = "FROM conveyor_ended"
Do = Callable[[Callable[[PostgresStore], Plan[object]]], object]


@pytest.fixture
def network(postgres_url: str) -> Iterator[Network]:
    with Network(postgres_url) as made:
        yield made


@pytest.fixture
def store(network: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresStore]:
    for module in (links, opened, postgres_loan):
        monkeypatch.setattr(module, "DEADLINE", SHORT)
    made = PostgresStore(network.url + "?connect_timeout=2")
    yield made
    made.close()


@pytest.fixture
def direct(postgres_url: str) -> Iterator[PostgresStore]:
    made = PostgresStore(postgres_url)
    yield made
    made.close()


@pytest.fixture(params=["blocking", "async"])
def do(request: pytest.FixtureRequest, store: PostgresStore) -> Iterator[Do]:
    """Carries a plan out in either colour."""
    if request.param == "blocking":
        yield lambda made: store.run(made(store))
        return
    with asyncio.Runner() as runner:

        async def awaited(made: Callable[[PostgresStore], Plan[object]]) -> object:
            return await store.arun(made(store))

        yield lambda made: runner.run(awaited(made))
        runner.run(store.aclose())


def read(job: NewJob, store: PostgresStore) -> Plan[object]:
    return store.operations.get(job.id)  # type: ignore[return-value]  # Plan is invariant, and what it gives is of no matter


def write(job: NewJob, store: PostgresStore) -> Plan[object]:
    return store.operations.enqueue([job])  # type: ignore[return-value]  # as above


def again(job: NewJob, store: PostgresStore) -> Plan[object]:
    return store.operations.repeat_enqueue([job])  # type: ignore[return-value]  # as above


def test_a_read_that_is_not_answered_is_given_up_and_its_connection_with_it(do: Do, network: Network) -> None:
    job = new_job()
    do(partial(write, job))
    network.disturb(Fault.SILENCE, READ)
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.5 s"):
        do(partial(read, job))
    assert do(partial(read, job))
    until(lambda: network.open == 1)


@pytest.mark.parametrize(("fault", "there"), [(Fault.SILENCE, 0), (Fault.DEAF, 1), (Fault.CUT, 1), (Fault.RESET, 0)])
def test_of_a_write_that_is_not_answered_nobody_knows(
    do: Do, network: Network, direct: PostgresStore, fault: Fault, there: int
) -> None:
    network.disturb(fault, INSERT)
    with pytest.raises(OutcomeUnknown):
        do(partial(write, new_job()))
    until(lambda: rows(direct, "SELECT count(*) FROM conveyor_job") == [(there,)])
    do(partial(write, new_job()))


def test_what_is_lost_before_its_commit_is_sent_is_not_there(do: Do, network: Network, direct: PostgresStore) -> None:
    """To enqueue once more takes several statements, and so a transaction."""
    network.disturb(Fault.SILENCE, INSERT)
    with pytest.raises(StoreUnavailable):
        do(partial(again, new_job()))
    network.disturb(Fault.DEAF, COMMIT)
    with pytest.raises(OutcomeUnknown):
        do(partial(again, new_job()))
    until(lambda: rows(direct, "SELECT count(*) FROM conveyor_job") == [(1,)])


def test_a_server_that_accepts_and_never_answers_is_unavailable(do: Do, network: Network) -> None:
    network.silence()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer|timeout"):
        do(partial(read, new_job()))
    assert time.monotonic() - begun < 4  # once, and not once more
    network.heal()
    assert do(partial(read, new_job())) is None


def test_an_answer_that_takes_its_time_is_heard_out(do: Do, direct: PostgresStore) -> None:
    """What counts is silence: many rows may take longer on their way than the server has for an answer."""
    payload = "x" * 100_000
    for _ in range(30):
        enqueue(direct, new_job(args=payload.encode()))

    def steps() -> Steps[int]:
        slow = "SELECT args, pg_sleep(:pause) IS NULL FROM conveyor_job"
        return len((yield Statement(slow, {"pause": SHORT / 8})).rows)

    assert do(lambda _: Plan(steps, writes=False)) == 30  # type: ignore[arg-type,return-value]  # as above


def test_connections_that_lay_idle_beside_one_that_fell_silent_are_not_used_again(
    store: PostgresStore, network: Network
) -> None:
    barrier = threading.Barrier(3, timeout=10)

    def steps() -> Steps[None]:
        barrier.wait()
        yield Statement("SELECT 1", {})

    threads = [threading.Thread(target=store.run, args=(Plan(steps, writes=False),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert network.open == 3
    network.disturb(Fault.SILENCE, READ)
    with pytest.raises(StoreUnavailable):
        see(store, new_job().id)
    until(lambda: network.open == 0)


def test_a_call_that_is_cancelled_ends_though_nobody_answers(store: PostgresStore, network: Network) -> None:
    async def cancelled() -> float:
        task = asyncio.create_task(store.arun(store.operations.get(new_job().id)))
        await auntil(lambda: network.faults.total() > 0)
        network.silence()
        begun = time.monotonic()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.aclose()
        return time.monotonic() - begun

    network.disturb(Fault.SILENCE, READ)
    assert asyncio.run(cancelled()) < 3  # psycopg alone would wait ten


def test_the_server_does_not_go_on_with_what_nobody_waits_for(store: PostgresStore, direct: PostgresStore) -> None:
    with psycopg.connect(direct._text) as holder:
        holder.execute("LOCK TABLE conveyor_job")
        with pytest.raises(OutcomeUnknown):
            enqueue(store, new_job())
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT%'"
        until(lambda: rows(direct, waiting) == [(0,)])


def test_a_lease_is_renewed_over_another_connection_when_its_own_falls_silent(
    store: PostgresStore, network: Network
) -> None:
    leases, runner = store.leases(2.0), b"\1" * 16
    leases.register(runner, INFO)
    network.disturb(Fault.SILENCE, "UPDATE conveyor_runner SET expires_at")
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        leases.renew([runner])
    assert time.monotonic() - begun < 1.5  # well within the lease
    assert leases.renew([runner]) == {runner}
    leases.retire(runner, clean=True)
    leases.close()


def test_a_user_has_all_the_time_in_the_world_and_our_own_statements_have_not(
    store: PostgresStore, network: Network
) -> None:
    with store.connect() as connection:
        loan = lend(connection)
        assert isinstance(loan, BlockingLoan)
        loan.begin()
        connection.execute("SELECT pg_sleep(%s)", (3 * SHORT,))
        loan.commit()
        loan.begin()
        network.disturb(Fault.DEAF, COMMIT)
        with pytest.raises(psycopg.OperationalError, match="no answer"):
            loan.commit()
        assert loan.lost


async def test_a_listener_that_hears_its_own_pings_no_more_listens_anew(
    store: PostgresStore, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "PING_EVERY", 0.6)
    monkeypatch.setattr(listen, "PATIENCE", 0.5)
    listener, heard = store.listener(b"\7" * 16), list[Ring]()

    task = asyncio.create_task(listener.listen(heard.append))
    await auntil(lambda: len(heard) == len(Ring))
    network.silence_those("LISTEN")
    await auntil(lambda: not listener.hears)
    await auntil(lambda: len(heard) == 2 * len(Ring))  # whatever came meanwhile
    assert listener.hears
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await store.aclose()
