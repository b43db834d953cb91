"""The database of a test is always as new, though it may have been another test's before."""

import psycopg
import pytest

from tests.conftest import TEMPLATE
from tests.support.databases import NEXT_TRANSACTION, Databases
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.postgres

USES = {
    "nothing": "SELECT 1",
    "a row": "INSERT INTO conveyor_queue VALUES ('mail', 1)",
    "a long row": "INSERT INTO conveyor_queue SELECT string_agg(random()::text, ''), 1 FROM generate_series(1, 120)",
    "a row taken back": "BEGIN; INSERT INTO conveyor_queue VALUES ('mail', 1); ROLLBACK",
    "a deleted row": "INSERT INTO conveyor_queue VALUES ('mail', 1); DELETE FROM conveyor_queue",
    "the bell": "SELECT nextval('conveyor_bell')",
    "all figures of a table": "ANALYZE conveyor_queue",
}
CHANGES = {
    "a table": "CREATE TABLE own (n int)",
    "a table for the session": "CREATE TEMPORARY TABLE own (n int)",
    "a column": "ALTER TABLE conveyor_job ADD COLUMN own int",
    "a missing index": "DROP INDEX conveyor_job_expires",
    "a missing table": "DROP TABLE conveyor_queue",
    "a setting of a table": "ALTER TABLE conveyor_job SET (autovacuum_enabled = false)",
    "a function": "CREATE OR REPLACE FUNCTION conveyor_now() RETURNS bigint LANGUAGE sql RETURN 1",
    "a right": "GRANT SELECT ON conveyor_job TO PUBLIC",
    "a remark": "COMMENT ON TABLE conveyor_job IS 'mine'",
    "a row of the template": "UPDATE conveyor_meta SET value = 'another'",
    "a missing row of the template": "DELETE FROM conveyor_migration WHERE number = 2",
    "a large object": "SELECT lo_create(0)",
}
LASTING_CHANGES = {
    "a table": "CREATE TABLE own (n int)",
    "figures of rows of the template": "ANALYZE conveyor_meta",
    "vacuumed rows of the template": "VACUUM conveyor_meta",
    "a setting of the database": "ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'",
    "a limit of the database": "ALTER DATABASE {name} CONNECTION LIMIT 3",
    "a right on the database": "REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC",
    "a remark on the database": "COMMENT ON DATABASE {name} IS 'mine'",
}
STATE = """
    SELECT
        (SELECT array_agg(format('%s %s %s %s', relname, relpages, reltuples, pg_total_relation_size(oid)) ORDER BY oid)
            FROM pg_class WHERE relname LIKE 'conveyor%'),
        (SELECT format('%s %s', last_value, is_called) FROM conveyor_bell),
        (SELECT count(*) FROM conveyor_queue), (SELECT array_agg(name || value) FROM conveyor_meta)
"""
COUNTED = "SELECT sum(n_tup_ins + n_tup_del + n_live_tup + n_dead_tup) FROM pg_stat_user_tables"
OID = "SELECT oid FROM pg_database WHERE datname = current_database()"
"""What a database is known by, whatever its name."""


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def change(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.replace("{name}", connection.info.dbname).encode())


@pytest.mark.smoke
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_one_that_was_used_is_as_new(postgres_server: PostgresServer, databases: Databases, use: str) -> None:
    with databases.lent() as first:
        oid = ask(first, OID)
        change(first, use)
    with databases.lent() as second:
        assert ask(second, OID) == oid
        assert ask(second, COUNTED) == [(0,)]
        assert ask(second, STATE) == ask(postgres_server.url(TEMPLATE), STATE)


@pytest.mark.parametrize("text", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed(databases: Databases, text: str) -> None:
    with databases.lent() as url, psycopg.connect(url) as connection:
        ((since,),) = connection.execute(NEXT_TRANSACTION).fetchall()
        assert databases.pattern.fits(connection, since)
        connection.execute(text.encode())
        assert not databases.pattern.fits(connection, since)
        connection.rollback()  # so that the next one need not be made anew


@pytest.mark.parametrize("text", LASTING_CHANGES.values(), ids=LASTING_CHANGES)
def test_one_that_was_changed_is_not_used_again(databases: Databases, text: str) -> None:
    with databases.lent() as first:
        oid = ask(first, OID)
        change(first, text)
    with databases.lent() as second:
        assert ask(second, OID) != oid


def test_nor_is_one_that_is_gone(databases: Databases, postgres_server: PostgresServer) -> None:
    with databases.lent() as first:
        change(postgres_server.url(), f"DROP DATABASE {first.rpartition('/')[2]}")
    with databases.lent() as second:
        assert ask(second, "SELECT count(*) FROM conveyor_queue") == [(0,)]


def test_whoever_is_still_in_it_is_sent_away_and_finds_it_never_again(databases: Databases) -> None:
    with databases.lent() as first:
        oid = ask(first, OID)
        one, other = psycopg.connect(first), psycopg.connect(first, autocommit=True)
        one.execute("CREATE TABLE own (n int); LOCK conveyor_queue; INSERT INTO conveyor_queue VALUES ('mail', 1)")
        other.execute("SELECT pg_advisory_lock(1); LISTEN bell")
    for connection in (one, other):
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)
    with databases.lent() as second:
        assert (ask(second, OID), ask(second, "SELECT count(*) FROM conveyor_queue")) == (oid, [(0,)])
