"""The PostgreSQL launcher leaves nothing behind, however a server or its starter ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import PostgresServer, find_binaries
from tests.support.server import ServerError

ROOT = Path(__file__).parents[2]
VERSION = os.environ.get("CONVEYOR_TEST_PG", "17")

pytestmark = pytest.mark.postgres


def processes_of(folder: Path) -> list[int]:
    """Every process that names *folder* in its arguments or works below it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                where = str((entry / "cwd").readlink())
            except OSError:
                continue
            if os.fsencode(folder) in line or where.startswith(str(folder)):
                found.append(int(entry.name))
    return found


def one(url: str, query: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return str(row[0])


@pytest.mark.smoke
def test_starts_restarts_and_leaves_nothing() -> None:
    with PostgresServer(VERSION) as server:
        assert one(server.url(), "show server_version").startswith(VERSION)
        assert one(server.url(), "show server_encoding") == "UTF8"
        url = server.create_database("kept")
        with psycopg.connect(url) as connection:
            connection.execute("create table t as select 41 + 1 as answer")
        server.restart("immediate")
        assert one(url, "select answer from t") == "42"
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start()
        assert processes_of(server.root)
    assert not server.root.exists()
    assert processes_of(server.root) == []


@pytest.mark.smoke
def test_a_killed_server_comes_back_with_what_was_committed() -> None:
    with PostgresServer(VERSION) as server:
        with psycopg.connect(server.url()) as connection:
            connection.execute("create table t as select 7 as n")
        server.kill()
        server.start()
        assert one(server.url(), "select n from t") == "7"


def test_a_copied_database_has_what_its_template_had() -> None:
    with PostgresServer(VERSION) as server:
        with psycopg.connect(server.create_database("pattern")) as connection:
            connection.execute("create table t as select 1 as n")
        url = server.create_database("copy", template="pattern")
        assert one(url, "select n from t") == "1"
        with psycopg.connect(url):
            server.drop_database("copy")
        assert one(server.url(), "select count(*) from pg_database where datname = 'copy'") == "0"


def test_fsync_is_off_unless_durable() -> None:
    with PostgresServer(VERSION) as quick, PostgresServer(VERSION, durable=True) as durable:
        assert one(quick.url(), "show fsync") == "off"
        assert one(durable.url(), "show fsync") == "on"


def test_a_setting_that_the_server_refuses_is_shown_and_nothing_is_left() -> None:
    server = PostgresServer(VERSION, no_such_setting="1")
    with pytest.raises(ServerError, match="no_such_setting"), server:
        pass
    assert not server.root.exists()
    assert processes_of(server.root) == []


def test_a_missing_server_says_what_to_install() -> None:
    with pytest.raises(ServerError, match="apt-get install postgresql-9"):
        find_binaries("9")


def test_a_starter_killed_with_sigkill_takes_its_server_along() -> None:
    command = [sys.executable, "-m", "tests.support.postgres", "--version", VERSION]
    # The server and its guard inherit standard error: its end says that the last of them is gone.
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stderr is not None
        url = starter.stdout.readline().decode().strip()
        folder = Path(one(url, "show data_directory")).parent
        starter.send_signal(signal.SIGKILL)
        starter.wait()
        starter.stderr.read()
    assert not folder.exists()
    assert processes_of(folder) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_the_command_stops_its_server_on_ctrl_c() -> None:
    command = [sys.executable, "-m", "tests.support.postgres", "--version", VERSION]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().decode().strip()
        folder = Path(one(url, "show data_directory")).parent
        starter.send_signal(signal.SIGINT)
        assert starter.wait(30) == 0
    assert not folder.exists()
    assert processes_of(folder) == []
