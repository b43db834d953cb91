"""Which block an enqueue joins: the innermost one of its app that it stands in, while that lasts."""

import asyncio
import contextvars
from collections.abc import Generator

import pytest

from conveyor import Conveyor, NotInTransaction, UsageError
from tests.support.carriers import CARRIERS
from tests.support.ground import Ground, Lender


def only(*ids: str) -> pytest.MarkDecorator:
    chosen = [carrier for carrier in CARRIERS if carrier.id in ids]
    return pytest.mark.parametrize("carrier", chosen, indirect=True, ids=lambda carrier: carrier.id)


EACH = only("sqlite-sqlite3", "sqlite-aiosqlite", "postgres-psycopg", "postgres-async-psycopg")
PLAIN = only("sqlite-sqlite3", "postgres-psycopg")
POSTGRES = only("postgres-psycopg", "postgres-async-psycopg")
AWAITED = only("sqlite-aiosqlite", "postgres-async-psycopg")

ENDED = r"the within block of this .* has ended; .* needs a block of its own, or using\(within=None\)"


@pytest.fixture
def second(ground: Ground) -> Generator[Lender]:
    with ground.lent() as opened:
        yield opened


@PLAIN
def test_after_the_block_an_enqueue_commits_by_itself(ground: Ground, lender: Lender) -> None:
    with lender.within():
        pass
    lender.enqueue(1)
    assert ground.stored() == [1]


@PLAIN
def test_what_took_the_block_along_is_told_that_it_has_ended(ground: Ground, lender: Lender) -> None:
    """As a thread does that was started in the block with its context."""
    lender.held.begin()
    with lender.within():
        inside = contextvars.copy_context()
        inside.run(lender.enqueue, 1)
    with pytest.raises(NotInTransaction, match=ENDED):
        inside.run(lender.enqueue, 2)
    lender.held.commit()
    with pytest.raises(NotInTransaction, match=ENDED):
        inside.run(ground.app.enqueue_many, [ground.task.bind(2)])
    inside.run(lender.enqueue, 3, ground.task.using(within=None))
    assert ground.stored() == [1, 3]


@AWAITED
def test_a_task_that_was_started_in_the_block_and_enqueues_later_is_told_that_it_has_ended(
    ground: Ground, lender: Lender
) -> None:
    async def later(gate: asyncio.Event) -> None:
        await gate.wait()
        await ground.task.aenqueue(2)

    async def story() -> None:
        gate = asyncio.Event()
        with ground.app.within(lender.held.connection):
            task = asyncio.create_task(later(gate))
            await ground.task.aenqueue(1)
        gate.set()
        with pytest.raises(NotInTransaction, match=ENDED):
            await task

    lender.held.begin()
    lender.do(list, story)
    lender.held.commit()
    assert ground.stored() == [1]


@POSTGRES
def test_within_none_stays_out_of_the_block(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    with lender.within():
        lender.enqueue(1)
        lender.enqueue(2, ground.task.using(within=None))
        assert ground.stored() == [2]
    lender.held.rollback()
    assert ground.stored() == [2]


@POSTGRES
def test_calls_of_one_enqueue_many_go_where_each_of_them_says(ground: Ground, lender: Lender) -> None:
    out, into = ground.task.using(within=None), ground.task.using(within=lender.held.connection)
    calls = [ground.task.bind(1), out.bind(2), out.bind(3), into.bind(4), ground.task.bind(5)]
    lender.held.begin()
    with lender.within():
        jobs = lender.do(lambda: ground.app.enqueue_many(calls), lambda: ground.app.aenqueue_many(calls))
    assert len(jobs) == 5
    assert ground.stored() == [2, 3]
    lender.held.commit()
    assert sorted(ground.stored()) == [1, 2, 3, 4, 5]


@POSTGRES
def test_the_innermost_block_is_joined_and_then_the_outer_one_again(
    ground: Ground, lender: Lender, second: Lender
) -> None:
    lender.held.begin()
    second.held.begin()
    if ground.awaited:  # each of the two connections has a loop of its own here
        with lender.within():
            with second.within():
                second.enqueue(1)
            lender.enqueue(2)
    else:
        with lender.within():
            with second.within():
                lender.enqueue(1)
            lender.enqueue(2)
    lender.held.rollback()
    second.held.commit()
    assert ground.stored() == [1]


@EACH
def test_a_block_is_of_one_app(ground: Ground, lender: Lender) -> None:
    """Another app, on the same store or not, enqueues as if there were none."""
    other = Conveyor("sqlite:///:memory:")
    task = other.task(name="noted")(lambda n: n)
    lender.held.begin()
    with lender.within():
        lender.enqueue(1)
        lender.do(lambda: task.enqueue(2), lambda: task.aenqueue(2))
    assert sum(other.jobs.counts().values()) == 1
    lender.held.rollback()
    other.close()
    assert ground.stored() == []


@EACH
def test_a_block_outlives_the_transactions_in_it(ground: Ground, lender: Lender) -> None:
    with lender.within():
        for n in (1, 2, 3):
            lender.held.begin()
            lender.enqueue(n)
            if n == 2:
                lender.held.rollback()
            else:
                lender.held.commit()
    assert ground.stored() == [1, 3]


@PLAIN
def test_a_block_that_is_left_in_another_context_than_it_was_entered_in_says_so(ground: Ground, lender: Lender) -> None:
    """As a generator does that a web framework runs in a pool of threads: the enqueues did not join, then."""
    block = ground.app.within(lender.held.connection)
    contextvars.copy_context().run(block.__enter__)
    with pytest.raises(UsageError, match="was entered in another context"):
        block.__exit__(None, None, None)


@EACH
def test_what_cannot_lend_is_refused_when_the_block_begins(ground: Ground) -> None:
    with pytest.raises(TypeError, match="has no transaction to join; hand over"), ground.app.within(object()):
        raise AssertionError("the block began")
