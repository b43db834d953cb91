"""What Django's connections have of their own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections, transaction
from django.db.utils import ConnectionHandler
from django.utils.connection import ConnectionProxy

from conveyor.core.errors import ConveyorError, NotInTransaction
from conveyor.drivers.django import DjangoLoan
from conveyor.drivers.lend import lend
from conveyor.plan import Statement
from tests.support.carriers import ALIAS, Django, Opening
from tests.support.lending import INSERT, make_tables, stored
from tests.support.stores import sqlite_url

WRITE = Statement(INSERT, {"n": 1, "note": "100 %"})


@pytest.fixture
def url(folder: Path) -> str:
    address = sqlite_url(folder)
    make_tables(address)
    return address


@pytest.fixture
def held(url: str) -> Iterator[Django]:
    opened = Django(Opening(url))
    yield opened
    opened.end()


@pytest.fixture
def loan(held: Django) -> DjangoLoan:
    made = lend(held.connection)
    assert isinstance(made, DjangoLoan)
    return made


def test_the_message_names_the_alias_and_the_fix(loan: DjangoLoan) -> None:
    with pytest.raises(NotInTransaction) as raised:
        loan.check()
    assert str(raised.value) == (
        "within= needs an open transaction, and Django's connection 'lent' has none; "
        "wrap the call in transaction.atomic(using='lent'), or leave out within="
    )


def test_hooks_run_once_the_commit_stands(loan: DjangoLoan, url: str) -> None:
    seen: list[list[int]] = []
    loan.begin()
    transaction.on_commit(lambda: seen.append(stored(url)), using=ALIAS)
    loan.carry(WRITE)
    loan.commit()
    assert seen == [[1]]


def test_no_hook_runs_after_a_rollback(held: Django, loan: DjangoLoan, url: str) -> None:
    loan.begin()
    transaction.on_commit(lambda: pytest.fail("it was rolled back"), using=ALIAS)
    loan.carry(WRITE)
    loan.rollback()
    held.begin()
    held.commit()
    assert stored(url) == []


def test_the_error_of_a_hook_comes_out_of_a_commit_that_stands(
    loan: DjangoLoan, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    loan.begin()
    transaction.on_commit(lambda: 1 / 0, using=ALIAS)
    loan.carry(WRITE)
    with pytest.raises(ZeroDivisionError):
        loan.commit()
    loan.rollback()
    assert stored(url) == [1]
    assert caplog.records == []
    loan.idle()


def test_a_block_inside_is_a_savepoint(loan: DjangoLoan, url: str) -> None:
    loan.begin()

    def failing() -> None:
        with transaction.atomic(using=ALIAS):
            loan.carry(WRITE)
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        failing()
    loan.carry(Statement(INSERT, {"n": 2, "note": None}))
    loan.commit()
    assert stored(url) == [2]


def test_a_block_that_must_roll_back_is_refused(held: Django, loan: DjangoLoan, url: str) -> None:
    held.begin()
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=ALIAS, savepoint=False):
        _ = 1 / 0
    for refused in (loan.check, lambda: loan.carry(WRITE)):
        with pytest.raises(NotInTransaction, match="is in one that has failed; let the error leave its"):
            refused()
    held.rollback()
    assert stored(url) == []


def test_an_attempt_that_must_roll_back_is_not_committed(loan: DjangoLoan, url: str) -> None:
    """Django itself would roll back without a word."""
    loan.begin()
    loan.carry(WRITE)
    transaction.set_rollback(True, using=ALIAS)
    with pytest.raises(NotInTransaction, match="inside of the transaction that was begun for the attempt"):
        loan.commit()
    loan.rollback()
    assert stored(url) == []


def test_a_durable_block_of_the_users_cannot_hide_in_an_attempt(loan: DjangoLoan) -> None:
    loan.begin()
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic(using=ALIAS, durable=True):
        pass
    loan.rollback()


def test_a_connection_that_atomic_would_not_use_can_lend_but_not_begin(url: str, held: Django) -> None:
    stranger = ConnectionHandler({"default": {}, ALIAS: held.wrapper.settings_dict})[ALIAS]
    loan = lend(stranger)
    with pytest.raises(ConveyorError, match=r"lend django.db.connections\['lent'\]"):
        loan.idle()
    stranger.close()


def test_a_connection_without_autocommit_cannot_begin(held: Django, loan: DjangoLoan) -> None:
    loan.idle()
    held.wrapper.settings_dict["AUTOCOMMIT"] = False
    with pytest.raises(ConveyorError, match="has autocommit off"):
        loan.idle()
    held.wrapper.settings_dict["AUTOCOMMIT"] = True
    held.wrapper.set_autocommit(False)
    with pytest.raises(ConveyorError, match="has autocommit off"):
        loan.idle()
    held.wrapper.set_autocommit(True)
    loan.idle()


def test_a_proxy_is_the_connection_of_the_thread_that_lent_it(held: Django, url: str) -> None:
    """Used in another thread, Django refuses it; resolved there, it would be another connection without a word."""
    loan = lend(ConnectionProxy(connections, ALIAS))
    assert isinstance(loan, DjangoLoan)
    errors: list[Exception] = []

    def elsewhere() -> None:
        try:
            loan.carry(WRITE)
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    held.begin()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    held.rollback()
    assert [type(error).__name__ for error in errors] == ["DatabaseError"]
    assert "created in thread id" in str(errors[0])
