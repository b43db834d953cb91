"""SQLite has one writer at a time: who waits for it inside a transaction of the user's, and who is told what to do."""

import asyncio
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connections

from conveyor import StoreUnavailable, UsageError
from conveyor.store.sqlite import holder, opened
from tests.support.carriers import ALIAS, CARRIERS, Carrier, Opening
from tests.support.cli import clean_environment
from tests.support.ground import PLAIN, Ground, Lender


def only(*carriers: Carrier) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("carrier", carriers, indirect=True, ids=lambda carrier: carrier.id)


SQLITE = [carrier for carrier in CARRIERS if carrier.kind == "sqlite"]
EACH = only(*SQLITE)
DEFERRED = only(*(carrier for carrier in SQLITE if not carrier.implicit or not carrier.locks))
"""Those that can read in a transaction before they write in it."""
ONE_OF_EACH = only(*(carrier for carrier in SQLITE if carrier in PLAIN and "connection" not in carrier.id))
SQLITE3 = only(*(carrier for carrier in SQLITE if carrier.id == "sqlite-sqlite3"))
DJANGO = only(*(carrier for carrier in SQLITE if carrier.id == "sqlite-django"))


@contextmanager
def writer(ground: Ground) -> Generator[sqlite3.Connection]:
    """Somebody else, who holds the write lock."""
    ground.app.migrate()
    connection = sqlite3.connect(Opening(ground.url).path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO own VALUES (7)")
    try:
        yield connection
    finally:
        connection.close()


@EACH
def test_the_first_statement_of_a_transaction_waits_for_the_writer(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    with writer(ground) as other:
        soon = threading.Timer(0.2, other.commit)
        soon.start()
        with lender.within():
            lender.enqueue(1)
        soon.join()
    lender.held.commit()
    assert (ground.stored(), ground.own()) == ([1], [7])


@DEFERRED
def test_one_that_has_read_before_another_wrote_is_told_how_to_begin(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    assert lender.held.read("SELECT n FROM own") == []
    with writer(ground) as other:
        other.commit()
        told = pytest.raises(StoreUnavailable, match=r"has read, and somebody else.*IMMEDIATE")
        with lender.within(), told as raised:
            lender.enqueue(1)
    assert "database is locked" in str(raised.value.__cause__)
    assert lender.held.read("SELECT n FROM own") == []
    lender.held.rollback()
    lender.held.begin()
    with lender.within():
        lender.enqueue(2)
    lender.held.commit()
    assert ground.stored() == [2]


@DEFERRED
def test_one_that_has_read_while_another_writes_is_told_at_once(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    assert lender.held.read("SELECT n FROM own") == []
    told = pytest.raises(StoreUnavailable, match=r"somebody else holds it.*has read does not wait")
    with writer(ground), lender.within(), told:
        lender.enqueue(1)
    lender.held.rollback()
    assert ground.stored() == []


# ---------------------------------------------------------------- waiting for oneself

OWN = r"a transaction of your own is writing in .*enqueue in that transaction \(`with app\.within\(connection\):`\)"


@pytest.fixture
def idle() -> Generator[None]:
    """Another thread, which might hold the lock for all that one can see."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


@ONE_OF_EACH
def test_who_stays_out_of_their_own_transaction_is_told_so_at_once(ground: Ground, lender: Lender, idle: None) -> None:
    out = ground.task.using(within=None)
    lender.held.begin()
    lender.held.write("INSERT INTO own VALUES (1)")
    with lender.within():
        for call in (lender.enqueue, lambda n, task: lender.enqueue_many([n], task)):
            with pytest.raises(UsageError, match=OWN):
                call(1, out)
        lender.enqueue(2)
    lender.held.commit()
    assert (ground.stored(), ground.own()) == ([2], [1])


@DJANGO
def test_who_forgets_to_join_django_is_told_so_at_once(
    ground: Ground, lender: Lender, idle: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings, ALIAS, lender.held.connection.settings_dict)
    lender.held.begin()
    lender.held.write("INSERT INTO own VALUES (1)")
    with pytest.raises(UsageError, match=OWN):
        lender.enqueue(1)
    lender.held.commit()
    assert ground.stored() == []


SCRIPT = """
import asyncio
from conveyor import Conveyor, UsageError
app = Conveyor("sqlite:///jobs.db")
task = app.task(name="noted")(lambda n: n)
app.migrate()
{open}

async def asynchronously():
    await task.aenqueue(1)

try:
    {call}
except UsageError as error:
    print(error)
c.commit()
c.close()
task.enqueue(2)
print(sum(app.jobs.counts().values()))
"""
SQLITE3_OPEN = """
import sqlite3
c = sqlite3.connect('jobs.db')
c.execute('DELETE FROM conveyor_queue')
"""
SQLALCHEMY_OPEN = """
from sqlalchemy import create_engine, text
c = create_engine('sqlite:///jobs.db').connect()
c.execute(text('DELETE FROM conveyor_queue'))
"""


@pytest.mark.parametrize("open_", [SQLITE3_OPEN, SQLALCHEMY_OPEN], ids=["sqlite3", "SQLAlchemy"])
@pytest.mark.parametrize("call", ["task.enqueue(1)", "asyncio.run(asynchronously())"], ids=["blocking", "async"])
def test_a_script_that_waits_for_itself_is_told_so_at_once(tmp_path: Path, open_: str, call: str) -> None:
    """Every thread of it waits, and every task: nobody can end the transaction that holds the lock."""
    (tmp_path / "script.py").write_text(SCRIPT.format(open=open_, call=call))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=True
    )
    said, count = done.stdout.splitlines()
    assert re.search(OWN, said)
    assert count == "1"


@SQLITE3
def test_who_waits_for_another_thread_of_their_process_is_not_suspected(ground: Ground) -> None:
    with writer(ground) as other:
        soon = threading.Timer(0.5, other.commit)
        soon.start()
        ground.task.enqueue(1)
        soon.join()
    assert ground.stored() == [1]


@SQLITE3
def test_who_waits_for_another_task_of_their_thread_is_not_suspected(ground: Ground) -> None:
    """Until that one waits for the same."""

    async def other(connection: sqlite3.Connection, looked: asyncio.Event) -> None:
        await looked.wait()
        connection.commit()

    async def both(connection: sqlite3.Connection) -> None:
        looked = asyncio.Event()
        ends = asyncio.create_task(other(connection, looked))
        asyncio.get_running_loop().call_later(0.5, looked.set)
        await ground.task.aenqueue(1)
        await ends

    with writer(ground) as connection:
        asyncio.run(both(connection))
    assert ground.stored() == [1]


@SQLITE3
def test_a_wait_that_is_too_long_names_who_was_waited_for(
    ground: Ground, idle: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(opened, "BUSY_TIMEOUT", 300)
    with writer(ground), pytest.raises(StoreUnavailable, match=r"another connection of this very process.*within"):
        ground.task.enqueue(1)
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(1); input()"
    path = Opening(ground.url).path
    with subprocess.Popen(
        [sys.executable, "-uc", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreUnavailable, match=f"database is locked.* by process {process.pid}; nothing was done"):
            ground.task.enqueue(1)
        process.communicate("\n")
    monkeypatch.setattr(holder, "LOCKS", tmp_path / "nowhere")
    with writer(ground), pytest.raises(StoreUnavailable, match="by somebody else"):
        ground.task.enqueue(1)
    assert ground.stored() == []
