"""Pages of jobs: by id, in both directions, over both tables, without gap or repeat."""

import random

import pytest

from conveyor.core import ids
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Direction, JobFilter, JobInfo
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, Hand, enqueue, new_job, new_jobs, outcome
from tests.support.stores import pass_time, tables

DIRECTIONS: list[Direction] = ["newest", "oldest"]
ANY = JobFilter()


def page(store: Store, where: JobFilter, limit: int, after: bytes | None, direction: Direction) -> list[JobInfo]:
    found = store.run(store.operations.list(where, limit=limit, after=after, direction=direction))
    return list(found)


def pages(store: Store, where: JobFilter, limit: int, direction: Direction) -> list[bytes]:
    found: list[bytes] = []
    while part := page(store, where, limit, found[-1] if found else None, direction):
        assert len(part) <= limit
        found += [ids.parse(info.id) for info in part]
    return found


@pytest.fixture
def jobs(store: Store, hand: Hand) -> list[bytes]:
    """The ids of 60 jobs, oldest first, 40 of them in history, in no order that ids would tell."""
    made = [new_job(queue=random.Random(place).choice("ab"), task=f"t{place % 3}") for place in range(60)]
    random.Random(3).shuffle(made)
    enqueue(store, *made)
    pass_time(store, 1)
    taken = hand.claim({"a": 99, "b": 99}, ["t0", "t1", "t2"])
    ends = [Event.SUCCEED, Event.FAIL, Event.QUARANTINE, Event.SUCCEED, Event.RETRY, Event.RELEASE]
    assert hand.settle(*(outcome(job, hand.id, ends[place % 6]) for place, job in enumerate(taken))) == frozenset()
    assert tables(store) == (20, 40)
    return sorted(job.id for job in made)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("limit", [1, 7, 59, 60, 61])
def test_pages_join_without_gap_or_repeat(store: Store, jobs: list[bytes], limit: int, direction: Direction) -> None:
    expected = jobs if direction == "oldest" else jobs[::-1]
    assert pages(store, ANY, limit, direction) == expected


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "where",
    [
        JobFilter(queue="a"),
        JobFilter(task="t1"),
        JobFilter(states=(State.FAILED,)),
        JobFilter(states=(State.READY,)),
        JobFilter(states=(State.READY, State.SUCCEEDED, State.QUARANTINED), queue="b", task="t2"),
        JobFilter(states=(State.BLOCKED,)),
        JobFilter(states=(State.CANCELLED, State.RUNNING, State.SCHEDULED)),
        JobFilter(queue="nowhere"),
    ],
)
def test_filters_narrow_the_pages(store: Store, jobs: list[bytes], where: JobFilter, direction: Direction) -> None:
    def wanted(info: JobInfo) -> bool:
        return (
            (not where.states or info.state in where.states)
            and where.queue in {None, info.queue}
            and where.task in {None, info.task}
        )

    everything = page(store, ANY, 100, None, direction)
    assert len(everything) == len(jobs)
    assert pages(store, where, 4, direction) == [ids.parse(info.id) for info in everything if wanted(info)]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_listed_record_is_the_one_that_get_gives(store: Store, jobs: list[bytes], direction: Direction) -> None:
    listed = page(store, ANY, 100, None, direction)
    assert listed == [store.run(store.operations.get(ids.parse(info.id))) for info in listed]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_jobs_that_finish_between_two_pages_are_neither_lost_nor_repeated(
    store: Store, hand: Hand, direction: Direction
) -> None:
    made = new_jobs(50)
    enqueue(store, *made)
    taken = hand.take(50)
    random.Random(5).shuffle(taken)
    found: list[bytes] = []
    while part := page(store, ANY, 9, found[-1] if found else None, direction):
        found += [ids.parse(info.id) for info in part]
        hand.settle(*(outcome(taken.pop(), hand.id, Event.SUCCEED) for _ in range(8) if taken))
    assert found == sorted((job.id for job in made), reverse=direction == "newest")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_page_may_start_behind_a_job_that_is_not_there(store: Store, jobs: list[bytes], direction: Direction) -> None:
    gone = (int.from_bytes(jobs[30]) + 1).to_bytes(16)
    expected = jobs[31:] if direction == "oldest" else jobs[30::-1]
    assert [ids.parse(info.id) for info in page(store, ANY, 100, gone, direction)] == expected


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_empty_store_has_no_page(store: Store, direction: Direction) -> None:
    assert page(store, ANY, 10, None, direction) == []


def test_shown_states_part_the_waiting_jobs(store: Store, hand: Hand) -> None:
    ready, scheduled, retryable = new_jobs(3)
    enqueue(store, retryable)
    hand.end(hand.take_one(), Event.RETRY, delay=HOUR)
    enqueue(store, ready)
    enqueue(store, scheduled._replace(delay=HOUR))
    for state, job in ((State.READY, ready), (State.SCHEDULED, scheduled), (State.RETRYABLE, retryable)):
        assert pages(store, JobFilter(states=(state,)), 10, "newest") == [job.id]
