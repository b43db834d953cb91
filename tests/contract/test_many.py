"""PostgreSQL: what people look at is found at once, however many jobs are due, or scheduled for later, beside it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pytest

from conveyor.core.lifecycle import Event, State
from conveyor.core.model import COUNTED, JobFilter, JobInfo
from conveyor.drivers.postgres import carry
from conveyor.drivers.postgres_wire import Wire
from conveyor.plan import Plan, run
from conveyor.store.contract import Store
from conveyor.store.postgres.links import own
from tests.support.explaining import FETCHED
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, enqueue, new_job, new_jobs
from tests.support.stores import number, rows

pytestmark = [pytest.mark.parametrize("url", ["postgres"], indirect=True), pytest.mark.smoke]
T = TypeVar("T")
MANY = 30_000
"""More than are followed lane by lane."""
ROWS = (
    "INSERT INTO conveyor_job (id, task, queue, priority, run_after, enqueued_at, max_attempts, args) "
    "SELECT gen_random_uuid(), 'none', '{queue}', {priority}, {run_after}, i, 5, '' "
    "FROM generate_series(1, {many}) AS i"
)
FEW = 200
"""Pages, to be told of a few jobs."""


class Crowd(NamedTuple):
    """A store of many jobs, and those few that are looked for."""

    store: Store
    connection: Wire
    running: list[bytes]
    retryable: list[bytes]

    def pages(self, plan: Plan[T]) -> int:
        """How many pages of ours *plan* asks for."""
        with self.connection.transaction():
            before = self.connection.execute(FETCHED).fetchone() or (0,)
            run(plan, carry(self.connection))
            after = self.connection.execute(FETCHED).fetchone() or (0,)
        return int(after[0] - before[0])

    def listed(self, state: State, **more: str) -> list[bytes]:
        """The ids of a page of them."""
        where = JobFilter(states=frozenset([state]), **more)
        plan = self.store.operations.list(where, limit=50, after=None, direction="newest")
        found: list[JobInfo] = list(run(plan, carry(self.connection)))
        return sorted(bytes.fromhex(info.id.replace("-", "")) for info in found)


@pytest.fixture
def crowd(store: Store, hand: Hand, url: str, request: pytest.FixtureRequest) -> Iterator[Crowd]:
    """All scheduled, or due and of a task that nobody knows."""
    enqueue(store, *new_jobs(6))
    taken = hand.take(6)
    for job in taken[:3]:
        hand.end(job, Event.RETRY, delay=HOUR)
    for queue, priority, run_after in request.param:
        rows(store, ROWS.format(queue=queue, priority=priority, run_after=run_after, many=MANY))
    with own(url) as connection:
        connection.execute("VACUUM ANALYZE conveyor_job")
        yield Crowd(store, connection, sorted(job.id for job in taken[3:]), sorted(job.id for job in taken[:3]))


LATER, DUE = f"conveyor_now() + {HOUR} + i", "i + 1"
CROWDS = pytest.mark.parametrize(
    "crowd",
    [[(QUEUE, 5, LATER)], [("a", 3, DUE), (QUEUE, 0, LATER)]],
    ids=["scheduled", "due and scheduled"],
    indirect=True,
)


LATER, DUE = f"conveyor_now() + {HOUR} + i", "i + 1"
SCHEDULED = pytest.mark.parametrize("crowd", [[(QUEUE, 5, LATER), ("a", 0, LATER)]], ids=["scheduled"], indirect=True)


@SCHEDULED
def test_the_few_are_found_among_the_many(crowd: Crowd) -> None:
    operations = crowd.store.operations
    looks: dict[str, Callable[[], Plan[Any]]] = {
        "queue": partial(operations.queue, QUEUE, 10),
        "due tasks": partial(operations.due_tasks, QUEUE, 100),
    }
    for state in (State.RUNNING, State.RETRYABLE, State.READY):
        where = JobFilter(states=frozenset([state]))
        looks[f"{state} counted"] = partial(operations.counts, where)
        looks[f"{state} listed"] = partial(operations.list, where, limit=50, after=None, direction="newest")
    pages = {name: crowd.pages(look()) for name, look in looks.items()}
    assert {name: count for name, count in pages.items() if not 0 < count < FEW} == {}
    assert crowd.listed(State.RUNNING) == crowd.listed(State.RUNNING, queue=QUEUE) == crowd.running
    assert crowd.listed(State.RETRYABLE) == crowd.retryable


@pytest.mark.parametrize(
    "crowd",
    [[(QUEUE, 5, LATER)], [(QUEUE, 0, DUE)], [("a", 3, DUE), (QUEUE, 0, LATER)]],
    ids=["scheduled", "due in front of them", "both"],
    indirect=True,
)
def test_they_are_counted_right(crowd: Crowd) -> None:
    """And what there is more of than anybody counts is told as that."""
    assert crowd.listed(State.RUNNING) == crowd.listed(State.RUNNING, task=TASK) == crowd.running
    counts = run(crowd.store.operations.counts(JobFilter()), carry(crowd.connection))
    assert (counts[State.RUNNING], counts[State.RETRYABLE]) == (3, 3)
    for state, when in ((State.READY, "run_after < conveyor_now()"), (State.SCHEDULED, "run_after > conveyor_now()")):
        every = f"SELECT count(*) FROM conveyor_job WHERE attempts IS NULL AND state = 'waiting' AND {when}"
        assert counts[state] == min(number(crowd.store, every), COUNTED + 1)
    mine = run(crowd.store.operations.queue(QUEUE), carry(crowd.connection))
    assert (mine.running, mine.retryable) == (3, 3)
    (again,) = [queue for queue in run(crowd.store.operations.queues(), carry(crowd.connection)) if queue.name == QUEUE]
    assert replace(again, oldest=None) == replace(mine, oldest=None)


@pytest.mark.parametrize("crowd", [[("a", 0, DUE)]], ids=["due"], indirect=True)
def test_a_page_of_the_many_is_a_page(crowd: Crowd) -> None:
    """They are read by id, since there are so many; and the few scheduled ones are not looked for among them."""
    assert len(crowd.listed(State.READY)) == 50
    later = new_job(delay=HOUR)
    enqueue(crowd.store, later)
    assert crowd.listed(State.SCHEDULED) == [later.id]


@SCHEDULED
def test_a_job_that_is_due_is_found_and_how_many_are_before_it(crowd: Crowd) -> None:
    jobs = [new_job(), new_job(priority=7), new_job()]
    enqueue(crowd.store, *jobs)
    assert crowd.listed(State.READY) == sorted(job.id for job in jobs)
    last = crowd.store.run(crowd.store.operations.get(jobs[2].id))
    assert last is not None
    ahead = crowd.store.operations.ahead(last, 100)
    assert crowd.store.run(ahead) == 2
    assert crowd.pages(ahead) < FEW
