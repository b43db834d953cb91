"""PostgreSQL: connections that died while they lay idle, all at once, cost no read."""

import asyncio
from collections.abc import Callable
from functools import partial
from threading import Barrier

import pytest

from conveyor.core.model import JobInfo
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.contract import Store
from tests.support.jobs import enqueue, new_job, see
from tests.support.stores import rows
from tests.support.threads import together

IDLE = 4
WAIT = 10
TERMINATE = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
    "AND datname = current_database() AND backend_type = 'client backend'"
)

pytestmark = [pytest.mark.direct, pytest.mark.parametrize("url", ["postgres"], indirect=True)]


def many_idle(store: Store) -> None:
    """Read in so many threads at once that as many connections lie idle after."""
    all_there = Barrier(IDLE, timeout=WAIT)

    def steps() -> Steps[None]:
        all_there.wait()
        yield Statement("SELECT 1", {})

    together([partial(store.run, Plan(steps, writes=False))] * IDLE)


def test_the_next_read_succeeds(store: Store, opened: Callable[[], Store]) -> None:
    killer, job = opened(), new_job()
    enqueue(store, job)
    many_idle(store)
    assert len(rows(killer, TERMINATE)) == IDLE + 1  # that by which the job was stored
    assert see(store, job.id).attempt == 0


def test_reads_of_many_threads_succeed(store: Store, opened: Callable[[], Store]) -> None:
    killer, job = opened(), new_job()
    enqueue(store, job)
    many_idle(store)
    assert len(rows(killer, TERMINATE)) == IDLE + 1  # that by which the job was stored
    reads: list[Callable[[], JobInfo]] = [partial(see, store, job.id)] * IDLE
    assert [info.attempt for info in together(reads)] == [0] * IDLE


async def test_the_next_read_in_the_loop_succeeds_and_so_do_many_at_once(
    store: Store, opened: Callable[[], Store]
) -> None:
    killer, look = opened(), store.operations.schema
    for reads in (1, IDLE):
        await asyncio.gather(*(store.arun(look()) for _ in range(IDLE)))
        assert len(rows(killer, TERMINATE)) == IDLE
        assert await asyncio.gather(*(store.arun(look()) for _ in range(reads))) == [store.migrations] * reads
    await store.aclose()
