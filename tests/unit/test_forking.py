"""A process that forks while its SQLite store is open: what SQLite knows of its locks does not come over."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from conveyor import Conveyor
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.sqlite.holder import LOCKS
from conveyor.store.sqlite.lane import Lane
from tests.support.forks import forked
from tests.support.stores import sqlite_url

WAIT = 5
"""Seconds that nothing here should take."""
WRITING = 0.3
"""Seconds for which the lane holds the write lock while somebody forks."""
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_a_child_is_not_kept_from_writing_by_what_another_thread_was_writing(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    inside, go_on = threading.Event(), threading.Event()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS line (number)")
        return connection

    def steps() -> Steps[None]:
        yield Statement("INSERT INTO line VALUES (1)", {})
        inside.set()
        go_on.wait(WAIT)

    def child() -> str:
        with closing(sqlite3.connect(file, isolation_level=None, timeout=1)) as connection:
            connection.execute("INSERT INTO line VALUES (2)")
        return "written"

    lane = Lane("forked", connect)
    pending = lane.submit(Plan(steps))
    assert inside.wait(WAIT)
    threading.Timer(WRITING, go_on.set).start()
    assert forked(child) == "written"
    assert pending.result(WAIT) is None
    lane.submit(Plan(steps)).result(WAIT)  # it has connected again
    lane.close()
    with closing(sqlite3.connect(file)) as connection:
        assert sorted(connection.execute("SELECT number FROM line")) == [(1,), (1,), (2,)]


def test_a_child_holds_the_locks_that_it_reads_under(tmp_path: Path) -> None:
    app = Conveyor(sqlite_url(tmp_path))
    app.task(name="echo")(print)
    app.tasks["echo"].enqueue()
    shm = next(tmp_path.glob("*-shm"))

    def locks() -> str:
        app.tasks["echo"].enqueue()
        number = f":{shm.stat().st_ino}"
        mine = [words for words in map(str.split, LOCKS.read_text().splitlines()) if words[4] == str(os.getpid())]
        return " ".join(words[3] for words in mine if words[5].endswith(number))

    assert locks() == "READ"
    assert forked(locks) == "READ"
    assert locks() == "READ"
    app.close()


def test_what_is_in_memory_only_outlives_a_fork() -> None:
    app = Conveyor("sqlite:///:memory:")
    app.task(name="echo")(print)
    job = app.tasks["echo"].enqueue()
    assert forked(lambda: "there") == "there"
    assert app.jobs.get(job.id).id == job.id
    app.close()
