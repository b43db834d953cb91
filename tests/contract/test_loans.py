"""What every connection that a user lends owes: our statements join their transaction, and can be one."""

import asyncio
import json
import logging
import sqlite3

import pytest

from conveyor.core.errors import ConveyorError, NotInTransaction
from conveyor.drivers.lend import Lent, lend
from conveyor.plan import Answer
from tests.support.carriers import CARRIERS, Carrier, Held, Isolation, outside
from tests.support.lending import INSERT, WITH_INSERT, carry, insert, stored

NASTY = [
    "",
    "it's",
    '"quoted"',
    "100 %s %(n)s %",
    "a:b :n ::text",
    "back\\slash \\: \\n",
    "line\nbreak\ttab",
    "żółć 🙂 \u2028",
    json.dumps({"a": ["\\", "'", '"', "%", ":n", None]}),
    "$1 ? ?1 @n {n}",
    "x" * 100_000,
]
LEVEL = "transaction_isolation"
NUMBERS = [0, 1, -1, 2**15, 2**31, 2**31 - 1, -(2**31) - 1, 2**63 - 1, -(2**63)]


@pytest.fixture
def loan(held: Held) -> Lent:
    return lend(held.connection)


def only(*carriers: Carrier) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("carrier", carriers, indirect=True, ids=lambda carrier: carrier.id)


IMPLICIT = only(*(carrier for carrier in CARRIERS if carrier.implicit))
OUTERMOST = only(*(carrier for carrier in CARRIERS if carrier.outermost))
LOCKING = only(*(carrier for carrier in CARRIERS if carrier.kind == "sqlite" and carrier.outermost and carrier.locks))
POSTGRES = only(*(carrier for carrier in CARRIERS if carrier.kind == "postgresql"))


# ---------------------------------------------------------------- joining


@pytest.mark.smoke
@pytest.mark.parametrize("text", [INSERT, WITH_INSERT], ids=["insert", "with"])
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_what_is_carried_shares_the_fate_of_the_users_own(
    held: Held, loan: Lent, lender_url: str, text: str, commits: bool
) -> None:
    held.begin()
    loan.check()
    insert(held, loan, 1, text)
    held.write("INSERT INTO own VALUES (7)")
    loan.check()
    insert(held, loan, 2, text)
    assert held.read("SELECT n FROM ours ORDER BY n") == [(1,), (2,)]
    assert stored(lender_url) == []
    if commits:
        held.commit()
    else:
        held.rollback()
    assert stored(lender_url) == ([1, 2] if commits else [])
    assert stored(lender_url, "own") == ([7] if commits else [])


@IMPLICIT
@pytest.mark.parametrize("text", [INSERT, WITH_INSERT], ids=["insert", "with"])
def test_a_transaction_that_the_library_begins_by_itself_is_the_users_to_end(
    held: Held, loan: Lent, lender_url: str, text: str
) -> None:
    """Also after a read of ours, and when nothing of the user's own has come before."""
    for commits in (False, True):
        loan.check()
        assert carry(held, loan, "SELECT CAST(count(*) AS bigint) FROM ours").rows == [(0,)]
        insert(held, loan, 1, text)
        assert stored(lender_url) == []
        if commits:
            held.commit()
        else:
            held.rollback()
    assert stored(lender_url) == [1]


def test_a_savepoint_takes_back_what_was_carried_in_it(held: Held, loan: Lent, lender_url: str) -> None:
    held.begin()
    held.write("INSERT INTO own VALUES (1)")
    held.savepoint()
    insert(held, loan, 1)
    held.rollback_to()
    insert(held, loan, 2)
    held.savepoint()
    insert(held, loan, 3)
    held.savepoint()
    insert(held, loan, 4)
    held.release()
    insert(held, loan, 5)
    held.rollback_to()
    held.savepoint()
    insert(held, loan, 6)
    held.savepoint()
    insert(held, loan, 7)
    held.rollback_to()
    held.release()
    loan.check()
    held.commit()
    assert stored(lender_url) == [2, 6]


# ---------------------------------------------------------------- values


def test_values_arrive_and_come_back_as_they_were_in_plain_tuples(held: Held, loan: Lent) -> None:
    held.begin()
    values = [*((n, note) for n, note in enumerate(NASTY)), *((n, None) for n in NUMBERS[3:])]
    for n, note in values:
        assert carry(held, loan, INSERT, n=n, note=note) == Answer([], 1)
    answer = carry(held, loan, "SELECT CAST(n AS bigint), CAST(note AS text) FROM ours")
    assert sorted(answer.rows, key=str) == sorted(values, key=str)
    assert answer.touched == len(values)
    assert {type(row) for row in answer.rows} == {tuple}
    for number in NUMBERS:
        both = carry(held, loan, "SELECT CAST(:n AS bigint), CAST(:n AS bigint), ':n', '%'", n=number)
        assert both.rows == [(number, number, ":n", "%")]
    for note in (*NASTY, None):
        assert carry(held, loan, "SELECT CAST(:note AS text), CAST(:none AS bigint)", note=note, none=None).rows == [
            (note, None)
        ]
    held.rollback()


def test_rows_touched_are_counted(held: Held, loan: Lent) -> None:
    held.begin()
    for n in range(4):
        insert(held, loan, n)
    assert carry(held, loan, "UPDATE ours SET note = CAST(:note AS text) WHERE n >= 2", note="x") == Answer([], 2)
    assert carry(held, loan, "UPDATE ours SET note = CAST(:note AS text) WHERE n >= 9", note="x") == Answer([], 0)
    returned = carry(held, loan, "DELETE FROM ours WHERE n >= 1 RETURNING CAST(note AS text)")
    assert (sorted(returned.rows), returned.touched) == ([("note 1",), ("x",), ("x",)], 3)
    assert carry(held, loan, "DELETE FROM ours WHERE n >= 1 RETURNING CAST(note AS text)") == Answer([], 0)
    held.rollback()


def test_the_librarys_own_error_comes_out(carrier: Carrier, held: Held, loan: Lent) -> None:
    held.begin()
    insert(held, loan, 1)
    with pytest.raises(Exception, match=r"(?i)unique") as raised:
        insert(held, loan, 1)
    assert type(raised.value).__name__ in {"IntegrityError", "UniqueViolation", "UniqueViolationError"}
    assert not isinstance(raised.value, ConveyorError)
    held.rollback()


@POSTGRES
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_the_transaction_keeps_its_isolation_level(carrier: Carrier, lender_url: str, isolation: Isolation) -> None:
    with carrier.open(lender_url, isolation=isolation) as held:
        loan = lend(held.connection)
        held.begin()
        level = carry(held, loan, "SELECT CAST(current_setting(CAST(:name AS text)) AS text)", name=LEVEL)
        assert level.rows == [(isolation.lower(),)] == held.read(f"SHOW {LEVEL}")
        held.rollback()


# ---------------------------------------------------------------- refusing


@pytest.mark.smoke
def test_a_connection_in_autocommit_is_refused(carrier: Carrier, lender_url: str) -> None:
    with carrier.open(lender_url, autocommit=True) as held:
        loan = lend(held.connection)
        if carrier.id != "sqlite-aiosqlite-off":  # only aiosqlite's thread may read `autocommit`
            with pytest.raises(NotInTransaction, match=r"within= needs an open transaction, and .*, or leave out with"):
                loan.check()
        with pytest.raises(NotInTransaction, match=r"AUTOCOMMIT|autocommit|has none"):
            insert(held, loan, 1)
    assert stored(lender_url) == []


@POSTGRES
def test_a_failed_transaction_is_refused_until_a_savepoint_saves_it(
    carrier: Carrier, held: Held, loan: Lent, lender_url: str
) -> None:
    """asyncpg does not say that its transaction has failed; then the server does."""
    held.begin()
    held.write("INSERT INTO own VALUES (1)")
    held.savepoint()
    with pytest.raises(Exception, match="duplicate key"):
        held.write("INSERT INTO own VALUES (1)")
    if "asyncpg" not in carrier.id:
        with pytest.raises(NotInTransaction, match="failed"):
            loan.check()
    with pytest.raises(Exception, match=r"failed|aborted"):
        insert(held, loan, 1)
    held.rollback_to()
    loan.check()
    insert(held, loan, 2)
    held.commit()
    assert stored(lender_url) == [2]


@only(*(carrier for carrier in CARRIERS if "session" not in carrier.id and "django" not in carrier.id))
def test_a_closed_connection_is_refused(held: Held, loan: Lent, lender_url: str) -> None:
    """Some libraries say so themselves. A session is never closed for good, and Django's connection opens again."""
    held.close()
    for refused in (loan.check, loan.idle, lambda: insert(held, loan, 1)):
        with pytest.raises(Exception, match=r"closed|no active connection|released"):
            refused()
    assert stored(lender_url) == []


# ---------------------------------------------------------------- beginning and ending


@pytest.mark.smoke
@OUTERMOST
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_a_transaction_can_be_begun_and_ended_again_and_again(
    held: Held, loan: Lent, lender_url: str, commits: bool
) -> None:
    for n in (1, 2):
        loan.idle()
        held.finish(loan.begin())
        assert loan.begun
        loan.check()
        held.write(f"INSERT INTO own VALUES ({n})")
        held.finish(loan.flush())
        insert(held, loan, n)
        assert stored(lender_url) == ([1] if n == 2 and commits else [])
        held.finish(loan.commit() if commits else loan.rollback())
        assert not loan.begun
    assert stored(lender_url) == stored(lender_url, "own") == ([1, 2] if commits else [])
    loan.idle()


@OUTERMOST
def test_none_is_begun_in_another(held: Held, loan: Lent, lender_url: str) -> None:
    held.begin()
    held.write("INSERT INTO own VALUES (1)")
    for refused in (loan.idle, lambda: held.finish(loan.begin())):
        with pytest.raises(ConveyorError, match=r"must be the outermost one, and .*; "):
            refused()
    assert not loan.begun
    held.finish(loan.rollback())
    held.commit()
    assert stored(lender_url, "own") == [1]
    loan.idle()


@OUTERMOST
def test_one_that_the_users_code_has_ended_is_missed(carrier: Carrier, held: Held, loan: Lent, lender_url: str) -> None:
    """Django forbids it; by hand it can be done, and is then seen by nobody before the commit fails."""
    if "django" in carrier.id:
        held.finish(loan.begin())
        with pytest.raises(Exception, match="forbidden when an 'atomic' block is active"):
            held.connection.commit()
        held.finish(loan.rollback())
        return
    held.finish(loan.begin())
    held.write("INSERT INTO own VALUES (1)")
    insert(held, loan, 1)
    if held.over_session:
        held.commit()
    else:
        held.write("COMMIT")
    for refused in (loan.check, lambda: insert(held, loan, 2), lambda: held.finish(loan.commit())):
        with pytest.raises(NotInTransaction, match="inside of the transaction that was begun for the attempt"):
            refused()
    held.finish(loan.rollback())
    assert stored(lender_url) == [1]
    loan.idle()


@OUTERMOST
def test_after_a_failed_commit_nothing_is_left(
    held: Held, loan: Lent, lender_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    held.finish(loan.begin())
    insert(held, loan, 1)
    held.write("INSERT INTO child VALUES (99)")
    with pytest.raises(Exception, match=r"(?i)foreign key") as raised:
        held.finish(loan.commit())
    assert not isinstance(raised.value, ConveyorError)
    held.finish(loan.rollback())
    assert [record for record in caplog.records if record.name == "conveyor"] == []
    assert stored(lender_url) == []
    loan.idle()
    held.finish(loan.begin())
    insert(held, loan, 2)
    held.finish(loan.commit())
    assert stored(lender_url) == [2]


@POSTGRES
def test_a_lost_connection_can_be_rolled_back(
    held: Held, loan: Lent, lender_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    held.finish(loan.begin())
    insert(held, loan, 1)
    ((pid,),) = held.read("SELECT pg_backend_pid()")
    with outside(lender_url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    with pytest.raises(Exception, match=r"."):
        insert(held, loan, 2)
    with caplog.at_level(logging.WARNING, "conveyor"):
        held.finish(loan.rollback())
    assert not loan.begun
    assert stored(lender_url) == []


@only(*(carrier for carrier in CARRIERS if carrier.id.startswith("sqlite-aiosqlite") and carrier.outermost))
def test_a_begin_whose_caller_is_cancelled_leaves_nothing_open(held: Held, loan: Lent, lender_url: str) -> None:
    """aiosqlite's thread goes on with what nobody waits for any more."""
    assert loan.colour == "async"
    with outside(lender_url) as other:
        other.execute("BEGIN IMMEDIATE")

        async def cancelled() -> None:
            task = asyncio.ensure_future(loan.begin())
            await asyncio.sleep(0)  # BEGIN is under way, and waits for the lock
            task.cancel()
            await asyncio.sleep(0)
            other.execute("ROLLBACK")
            with pytest.raises(asyncio.CancelledError):
                await task

        held.finish(cancelled())
        assert not held.connection.in_transaction
        assert not loan.begun
        loan.idle()
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")


@LOCKING
def test_on_sqlite_it_is_begun_for_writing(held: Held, loan: Lent, lender_url: str) -> None:
    held.finish(loan.begin())
    with outside(lender_url) as other:
        other.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    held.finish(loan.rollback())
