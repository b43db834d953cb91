"""An enqueue inside a transaction of the user's shares its fate: for every connection that can lend it."""

import asyncio
from contextvars import copy_context

import pytest
from django.core.exceptions import SynchronousOnlyOperation

from conveyor import Conveyor, NotInTransaction, SchemaOutdated, UsageError, WrongStore
from conveyor.core.errors import StoreRefused
from tests.support.carriers import CARRIERS, Carrier, Isolation
from tests.support.ground import PLAIN, Ground, Lender
from tests.support.jobs import Hand
from tests.support.matrix import ENQUEUES


def only(*carriers: Carrier) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("carrier", carriers, indirect=True, ids=lambda carrier: carrier.id)


ALL = only(*ENQUEUES)
EACH = only(*PLAIN)
POSTGRES = only(*(carrier for carrier in PLAIN if carrier.kind == "postgresql"))
ASYNC = only(*(carrier for carrier in PLAIN if carrier.colour == "async"))
DJANGO = only(*(carrier for carrier in CARRIERS if "django" in carrier.id))
IMPLICIT = only(*(carrier for carrier in CARRIERS if carrier.implicit))


# ---------------------------------------------------------------- the user's commit decides


@ALL
def test_a_commit_stores_the_jobs_and_nobody_sees_them_before(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    lender.held.write("INSERT INTO own VALUES (1)")
    with lender.within():
        first = lender.enqueue(1)
    second = lender.enqueue(2, ground.task.using(within=lender.held.connection))
    assert first.created
    assert second.created
    assert ground.stored() == []
    lender.held.commit()
    assert ground.stored() == [1, 2]
    if ground.carrier.kind == "postgresql":
        assert len(ground.transactions()) == 1, "something was written outside of the user's transaction"
    hand = Hand(ground.app.store)
    assert [job.args for job in hand.claim(tasks=["noted"])] == [b"[[1],{}]", b"[[2],{}]"]
    hand.die()


@ALL
def test_a_rollback_leaves_nothing(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    lender.held.write("INSERT INTO own VALUES (1)")
    with lender.within():
        lender.enqueue(1)
        lender.enqueue_many([2, 3])
    lender.held.rollback()
    assert (ground.stored(), ground.own()) == ([], [])


@IMPLICIT
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_a_transaction_that_begins_with_the_enqueue_is_the_users_to_end(
    ground: Ground, lender: Lender, commits: bool
) -> None:
    with lender.within():
        lender.enqueue(1)
    assert ground.stored() == []
    if commits:
        lender.held.commit()
    else:
        lender.held.rollback()
    assert ground.stored() == ([1] if commits else [])


@ALL
def test_savepoints_keep_and_take_back_what_was_enqueued_in_them(ground: Ground, lender: Lender) -> None:
    held = lender.held
    held.begin()
    held.write("INSERT INTO own VALUES (1)")
    with lender.within():
        held.savepoint()
        lender.enqueue(1)
        held.rollback_to()
        lender.enqueue(2)
        held.savepoint()
        lender.enqueue(3)
        held.savepoint()
        lender.enqueue_many([4, 5])
        held.rollback_to()
        held.release()
        held.savepoint()
        held.savepoint()
        lender.enqueue(6)
        held.release()
        held.rollback_to()
    held.commit()
    assert (ground.stored(), ground.own()) == ([2, 3], [1])


@EACH
def test_the_first_enqueue_of_a_block_may_be_taken_back_by_a_savepoint_around_the_block(
    ground: Ground, lender: Lender
) -> None:
    held = lender.held
    held.begin()
    held.write("INSERT INTO own VALUES (1)")
    held.savepoint()
    with lender.within():
        lender.enqueue(1)
    held.rollback_to()
    with lender.within():
        lender.enqueue(2)
    held.commit()
    assert ground.stored() == [2]


@EACH
def test_a_thousand_of_one_call_are_stored_together_in_their_order(ground: Ground, lender: Lender) -> None:
    numbers = list(range(1_000))
    lender.held.begin()
    with lender.within():
        jobs = lender.enqueue_many(numbers)
    assert len({job.id for job in jobs}) == 1_000
    assert ground.stored() == []
    lender.held.commit()
    assert ground.stored() == numbers


# ---------------------------------------------------------------- what cannot join


def test_autocommit_is_refused_with_the_fix(ground: Ground) -> None:
    with ground.lent(autocommit=True) as lender:
        with lender.within(), pytest.raises(NotInTransaction, match=r"within= needs .*; .*, or leave out within="):
            lender.enqueue(1)
        with pytest.raises(NotInTransaction):
            lender.enqueue_many([2, 3], ground.task.using(within=lender.held.connection))
        assert lender.held.read("SELECT n FROM own") == []
    assert ground.stored() == []


@POSTGRES
def test_a_failed_transaction_is_refused_and_one_saved_by_a_savepoint_is_not(ground: Ground, lender: Lender) -> None:
    """asyncpg does not say that its transaction has failed: then the server does."""
    held = lender.held
    held.begin()
    held.write("INSERT INTO own VALUES (1)")
    held.savepoint()
    with pytest.raises(Exception, match="duplicate key"):
        held.write("INSERT INTO own VALUES (1)")
    with lender.within(), pytest.raises(Exception, match=r"failed|aborted") as refused:
        lender.enqueue(1)
    assert isinstance(refused.value, NotInTransaction) or "asyncpg" in ground.carrier.id
    held.rollback_to()
    with lender.within():
        lender.enqueue(2)
    held.commit()
    assert ground.stored() == [2]


@EACH
def test_another_database_or_file_is_refused_and_the_transaction_goes_on(
    ground: Ground, carrier: Carrier, elsewhere: str
) -> None:
    """It has tables of Conveyor's own, only not of this app's store."""
    with carrier.open(elsewhere) as held:
        lender = Lender(ground, held)
        held.begin()
        with lender.within(), pytest.raises(WrongStore, match=r"is connected to the store .*, and this app's is"):
            lender.enqueue(1)
        held.write("INSERT INTO own VALUES (1)")
        held.commit()
    assert ground.stored() == []
    assert Ground(carrier, elsewhere).own() == [1]
    assert Ground(carrier, elsewhere).stored() == []


@EACH
def test_a_database_without_the_tables_is_refused_and_the_transaction_goes_on(
    ground: Ground, carrier: Carrier, bare_url: str
) -> None:
    with carrier.open(bare_url) as held:
        lender = Lender(ground, held)
        held.begin()
        with lender.within(), pytest.raises(WrongStore, match="cannot see Conveyor's tables"):
            lender.enqueue(1)
        held.write("INSERT INTO own VALUES (1)")
        held.commit()
    assert ground.stored() == []
    assert Ground(carrier, bare_url).own() == [1]


@POSTGRES
def test_another_schema_is_refused_and_the_transaction_goes_on(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    lender.held.write("SET LOCAL search_path = pg_catalog")
    with lender.within(), pytest.raises(WrongStore, match="another database, schema or file"):
        lender.enqueue(1)
    lender.held.write("SET LOCAL search_path = public")
    lender.probe()


@POSTGRES
def test_a_role_without_the_rights_is_refused_and_the_transaction_goes_on(ground: Ground, lender: Lender) -> None:
    ground.execute("DROP ROLE IF EXISTS guest")
    ground.execute("CREATE ROLE guest")
    ground.execute("GRANT ALL ON own TO guest")
    ground.execute("GRANT SELECT ON conveyor_meta, conveyor_migration, conveyor_job, conveyor_bell TO guest")
    try:
        lender.held.begin()
        lender.held.write("SET LOCAL ROLE guest")
        with lender.within(), pytest.raises(StoreRefused, match="may not enqueue: its role needs SELECT and INSERT"):
            lender.enqueue(1)
        lender.probe()
        ground.execute("GRANT INSERT ON conveyor_job TO guest")
        ground.execute("DELETE FROM own")
        lender.held.begin()
        lender.held.write("SET LOCAL ROLE guest")
        with lender.within():
            lender.enqueue(2)
        lender.held.commit()
        assert ground.stored() == [2]
    finally:
        ground.execute("DROP OWNED BY guest")
        ground.execute("DROP ROLE guest")


@POSTGRES
def test_a_transaction_that_may_only_read_is_refused_and_goes_on(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    lender.held.write("SET TRANSACTION READ ONLY")
    with lender.within(), pytest.raises(NotInTransaction, match=r"is in a read-only transaction.*may write"):
        lender.enqueue(1)
    assert lender.held.read("SELECT n FROM own") == []
    lender.held.commit()
    assert ground.stored() == []


@EACH
def test_outdated_tables_are_refused_and_the_transaction_goes_on(ground: Ground, lender: Lender) -> None:
    ground.app.migrate()
    ground.execute("UPDATE conveyor_migration SET number = -number WHERE number > 1")
    try:
        lender.held.begin()
        with lender.within(), pytest.raises(SchemaOutdated, match="run `conveyor migrate`"):
            lender.enqueue(1)
        lender.probe()
    finally:
        ground.execute("UPDATE conveyor_migration SET number = -number WHERE number < 0")


@EACH
def test_a_store_of_the_other_kind_is_refused(lender: Lender, other_kind: Conveyor) -> None:
    task = other_kind.task(name="noted")(lambda n: n)
    lender.held.begin()
    with other_kind.within(lender.held.connection):
        for chosen in (task, task.using(within=lender.held.connection)):
            with pytest.raises(WrongStore, match=r"leads to (sqlite|postgresql), and this app's store is"):
                lender.enqueue(1, chosen)
    lender.probe()


@ASYNC
def test_enqueue_with_a_connection_that_is_awaited_says_what_to_write(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    with lender.within(), pytest.raises(UsageError, match=r"use `await ....aenqueue\(\)` with it"):
        ground.task.enqueue(1)
    lender.probe()


@DJANGO
def test_django_itself_forbids_its_connection_in_an_event_loop(ground: Ground, lender: Lender) -> None:
    async def enqueued() -> None:
        try:
            await ground.task.aenqueue(1)
        finally:
            await ground.app.aclose()

    lender.held.begin()
    with lender.within(), asyncio.Runner() as runner, pytest.raises(SynchronousOnlyOperation, match="sync_to_async"):
        runner.run(enqueued(), context=copy_context())
    lender.probe()


# ---------------------------------------------------------------- isolation levels


@POSTGRES
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_stricter_transactions_can_enqueue_too(ground: Ground, isolation: Isolation) -> None:
    with ground.lent(isolation=isolation) as lender:
        lender.held.begin()
        lender.held.write("INSERT INTO own VALUES (1)")
        with lender.within():
            lender.enqueue(1)
            lender.enqueue_many([2, 3])
        lender.held.commit()
        lender.held.begin()
        with lender.within():
            lender.enqueue(4)
        lender.held.rollback()
    assert ground.stored() == [1, 2, 3]
