"""Blocking and async: each operation gives the same through ``run`` and through ``arun``."""

from collections.abc import Iterator

import pytest

from conveyor.core.clock import stored
from conveyor.core.errors import StoreRefused
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import JobFilter
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.answers import Rescued, Settled
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, Hire, enqueue, new_job, new_jobs, outcome, see
from tests.support.stores import Do, Loop, pass_time, tables


@pytest.fixture(params=["blocking", "async"])
def do(request: pytest.FixtureRequest, store: Store) -> Iterator[Do]:
    """Carries a plan out, in one colour."""
    if request.param == "blocking":
        yield store.run
    else:
        with Loop(store) as loop:
            yield loop.do


def test_enqueue(store: Store, do: Do) -> None:
    jobs = new_jobs(50)
    assert do(store.operations.enqueue(jobs)) == {}
    with pytest.raises(StoreRefused):
        do(store.operations.enqueue([new_job(), jobs[0]]))
    assert do(store.operations.repeat_enqueue([*jobs, new_job()])) == {}
    assert tables(store) == (51, 0)


def test_claim_and_settle(store: Store, do: Do, hand: Hand) -> None:
    jobs = new_jobs(4)
    enqueue(store, *jobs)
    pass_time(store, 1)
    claimed = do(store.operations.claim(hand.id, {QUEUE: 9}, [TASK]))
    assert [job.id for job in claimed] == [job.id for job in jobs]
    held = do(store.operations.held(hand.id))
    assert sorted((bytes(id_), token) for id_, token in held) == sorted((job.id, job.token) for job in claimed)
    events = [Event.SUCCEED, Event.FAIL, Event.RETRY, Event.RELEASE]
    outcomes = [outcome(job, hand.id, event) for job, event in zip(claimed, events, strict=True)]
    spoiled = outcomes[1]._replace(token=1)
    assert do(store.operations.settle([outcomes[0], spoiled, *outcomes[2:]])) == Settled(frozenset({spoiled.id}))
    assert do(store.operations.settle(outcomes)) == Settled()
    states = [State.SUCCEEDED, State.FAILED, State.READY, State.READY]
    assert [see(store, job.id).state for job in jobs] == states


def test_rescue(store: Store, do: Do, hire: Hire) -> None:
    job = new_job()
    enqueue(store, job)
    dead = hire()
    dead.take_one()
    assert do(store.operations.rescue(5)) == Rescued((), more=False)
    dead.die()
    assert do(store.operations.dead_runners()) == 1
    assert [runner.alive for runner in do(store.operations.runners())] == [False]
    rescued = do(store.operations.rescue(1))
    assert ([held.id for held, _ in rescued.jobs], rescued.more) == ([job.id], True)
    assert do(store.operations.rescue(1)) == Rescued((), more=False)
    assert see(store, job.id).crashes == 1


def test_reading(store: Store, do: Do) -> None:
    first, second = new_job(delay=HOUR), new_job()
    enqueue(store, first, second)
    pass_time(store, 1)
    info = do(store.operations.get(first.id))
    assert info is not None
    assert info.state is State.SCHEDULED
    assert do(store.operations.get(new_job().id)) is None
    page = do(store.operations.list(JobFilter(), limit=5, after=None, direction="oldest"))
    assert [job.payload for job in page] == [first.args, second.args]
    counts = do(store.operations.counts(JobFilter()))
    assert (counts[State.READY], counts[State.SCHEDULED]) == (1, 1)
    assert do(store.operations.ahead(info, 10)) == 1
    due = do(store.operations.next_due([QUEUE]))
    assert due is not None
    assert 0 < due < stored(info.run_after)
    assert do(store.operations.schema()) == store.migrations


def test_an_error_reaches_the_plan_where_it_yielded_and_the_caller_as_ours(store: Store, do: Do) -> None:
    seen: list[Exception] = []

    def steps() -> Steps[None]:
        try:
            yield Statement("SELECT 1 / :zero + nothing", {"zero": 1})
        except Exception as error:
            seen.append(error)
            raise

    with pytest.raises(Exception, match=r"nothing") as caught:
        do(Plan(steps, writes=False))
    assert type(caught.value).__module__ == "conveyor.core.errors"
    assert len(seen) == 1
    assert do(store.operations.schema()) == store.migrations


def test_what_failed_half_way_is_undone(store: Store, do: Do) -> None:
    job = new_job()

    def steps() -> Steps[None]:
        yield from store.operations.enqueue([job]).steps()
        raise LookupError("half way")

    with pytest.raises(LookupError, match="half way"):
        do(Plan(steps, atomic=True))
    assert tables(store) == (0, 0)
