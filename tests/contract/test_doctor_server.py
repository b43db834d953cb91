"""``conveyor doctor`` on a PostgreSQL server: each fault is made on a real one, and mended as the doctor says."""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from conveyor.client.doctor import examined
from conveyor.core.health import Finding, Severity
from conveyor.core.model import RunnerInfo
from conveyor.store.postgres.checks import server as settings
from conveyor.store.postgres.checks import sessions, vacuum
from conveyor.store.postgres.opened import PostgresStore
from tests.support.feedback import standby
from tests.support.inventory import FILE, things, written
from tests.support.jobs import INFO
from tests.support.postgres import PostgresServer, prepare
from tests.support.waiting import until

VERBS = ("ALTER ", "CREATE ", "DROP ", "GRANT ", "INSERT ", "REINDEX ", "ROLLBACK ", "SELECT ", "VACUUM ")

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server as in production, that does nothing by itself; its disk is memory where it may be, to cost nothing."""
    version = os.environ.get("CONVEYOR_TEST_PG", "17")
    quiet = {"autovacuum_naptime": "1d", "max_prepared_transactions": "5"}
    with pytest.MonkeyPatch.context() as patched:
        if Path("/dev/shm").is_dir():  # noqa: S108 - the server's folder has a name of its own
            patched.setattr(tempfile, "tempdir", "/dev/shm")  # noqa: S108 - the same
        made = PostgresServer(version, durable=True, **quiet)
    with made:
        prepare(made.create_database("shop"))
        yield made


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    """A healthy database, and whatever the test did to it, it has been mended after that, or there is a new one."""
    yield server.url("shop")
    left = doctor(server.url("shop"))
    if left:
        server.drop_database("shop")
        prepare(server.create_database("shop"))
    assert left == []


@pytest.fixture
def operator(url: str) -> Iterator[Connection[TupleRow]]:
    """Whoever may do everything there."""
    with psycopg.connect(url, autocommit=True, application_name="operator") as connection:
        yield connection


@pytest.fixture
def role(operator: Connection[TupleRow]) -> Iterator[str]:
    """A role that may do nothing."""
    operator.execute("CREATE ROLE clerk LOGIN; GRANT pg_read_all_stats TO clerk")
    yield "clerk"
    operator.execute("DROP OWNED BY clerk; DROP ROLE clerk")


def doctor(url: str) -> list[Finding]:
    """All that is not as it should be; that no worker runs is no matter here."""
    store = PostgresStore(url)
    found = examined(lambda: store, None, deep=False)
    store.close()
    return [finding for finding in found if finding.severity is not Severity.FINE and finding.check != "workers"]


def one(url: str, check: str) -> Finding:
    """The one thing that is wrong, which is of that *check*."""
    (finding,) = doctor(url)
    assert finding.check == check
    return finding


def commands(fix: str) -> list[str]:
    """The statements that *fix* begins with; words for people follow."""
    return list(itertools.takewhile(lambda part: part.startswith(VERBS), fix.split("; ")))


def mend(operator: Connection[TupleRow], findings: Sequence[Finding]) -> None:
    """Do what the doctor says."""
    for finding in findings:
        statements = commands(finding.fix)
        assert statements, finding
        for statement in statements:
            operator.execute(statement.encode())


def as_role(url: str, role: str) -> str:
    return url.replace("postgres@", f"{role}@")


def reloaded(operator: Connection[TupleRow], url: str, name: str, value: str) -> None:
    """Wait until new sessions have the setting: a reload is a signal."""

    def shown() -> bool:
        with psycopg.connect(url) as connection:
            return connection.execute(f"SHOW {name}".encode()).fetchone() == (value,)

    operator.execute("SELECT pg_reload_conf()")
    until(shown)


# ---------------------------------------------------------------- a healthy server


def test_a_healthy_server_gives_no_finding(url: str) -> None:
    store = PostgresStore(url)
    leases = store.leases(60)
    leases.register(b"\1" * 16, INFO)
    found = examined(lambda: store, None, deep=False)
    leases.retire(b"\1" * 16, clean=True)
    leases.close()
    store.close()
    assert [finding for finding in found if finding.severity is not Severity.FINE] == []
    assert [finding.check for finding in found] == [
        *("store", "schema", "rights", "tables", "clock", "queues", "workers", "pooler", "durability"),
        *("commits", "connections", "snapshots", "vacuum", "history", "listen"),
    ]


def test_what_the_migrations_make_is_written_down(url: str) -> None:
    assert written(things(url)) == FILE.read_text("utf-8"), "run: python -m tests.support.inventory"


# ---------------------------------------------------------------- the tables

BROKEN = {
    "primary key": (
        ["ALTER TABLE conveyor_queue DROP CONSTRAINT conveyor_queue_pkey"],
        "conveyor_queue_pkey is missing",
    ),
    "invalid index": (
        ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'conveyor_job_expires'::regclass"],
        "the index conveyor_job_expires is invalid",
    ),
    "what a broken REINDEX leaves": (
        [
            "CREATE INDEX conveyor_job_fetch_ccnew ON conveyor_job (queue)",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'conveyor_job_fetch_ccnew'::regclass",
        ],
        "the index conveyor_job_fetch_ccnew is invalid",
    ),
    "another index of the name": (
        ["DROP INDEX conveyor_job_fetch", "CREATE INDEX conveyor_job_fetch ON conveyor_job (run_after)"],
        "the index conveyor_job_fetch is 'CREATE INDEX",
    ),
    "column": (["ALTER TABLE conveyor_job DROP COLUMN progress"], "the column conveyor_job.progress is missing"),
    "type": (
        ["ALTER TABLE conveyor_job ALTER COLUMN token TYPE integer"],
        "token is 'integer DEFAULT 0 NOT NULL', and should be 'bigint DEFAULT 0 NOT NULL'",
    ),
    "default": (
        ["ALTER TABLE conveyor_job ALTER COLUMN state DROP DEFAULT"],
        "state is 'text NOT NULL', and should be",
    ),
    "not null": (["ALTER TABLE conveyor_job ALTER COLUMN task DROP NOT NULL"], "task is 'text', and should be"),
    "unlogged": (["ALTER TABLE conveyor_meta SET UNLOGGED"], "is 'unlogged', and should be 'permanent'"),
    "sequence": (["DROP SEQUENCE conveyor_bell"], "the sequence conveyor_bell is missing"),
}


@pytest.mark.parametrize(("seed", "text"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_as_the_migrations_make_it(
    url: str, operator: Connection[TupleRow], seed: list[str], text: str
) -> None:
    for statement in seed:
        operator.execute(statement.encode())
    finding = one(url, "tables")
    assert text in finding.text
    mend(operator, [finding])


def test_every_index_is_missed_and_made_again_without_a_lock(url: str, operator: Connection[TupleRow]) -> None:
    names = [thing.name for thing in things(url) if thing.kind == "index"]
    for name in names:
        operator.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    found = doctor(url)
    assert [finding.text for finding in found] == [f"the index {name} is missing" for name in names]
    assert all(" INDEX CONCURRENTLY " in finding.fix for finding in found)
    mend(operator, found)


@pytest.mark.parametrize(("kind", "name"), [("table", "conveyor_queue"), ("function", "conveyor_now")])
def test_what_cannot_be_made_again_from_nothing(url: str, operator: Connection[TupleRow], kind: str, name: str) -> None:
    newest = PostgresStore(url).migrations
    operator.execute(f"ALTER {kind} {name} RENAME TO hidden".encode())
    (finding,) = [finding for finding in doctor(url) if finding.check == "tables"]
    operator.execute(f"ALTER {kind} hidden RENAME TO {name}".encode())
    assert finding.text == f"the {kind} {name} is missing"
    assert finding.fix == f"restore it from a backup; conveyor migrate --sql 0 {newest} prints how it was made"


def test_a_migration_that_is_not_recorded(url: str, operator: Connection[TupleRow]) -> None:
    operator.execute("DELETE FROM conveyor_migration WHERE number = 1")
    finding = one(url, "schema")
    assert finding.text.startswith("0001_spine is not recorded")
    mend(operator, [finding])


def test_tables_that_are_looked_for_elsewhere(url: str, operator: Connection[TupleRow], role: str) -> None:
    operator.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; GRANT ALL ON SEQUENCE conveyor_bell TO clerk")
    operator.execute("ALTER ROLE clerk SET search_path = clerk")
    theirs = as_role(url, role)
    finding = one(theirs, "schema")
    assert finding.text == "Conveyor's tables are in schema public, and role clerk looks through clerk"
    assert doctor(f"{theirs}?options={quote('-csearch_path=public')}") == []
    mend(operator, [finding])
    assert doctor(theirs) == []
    operator.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    finding = one(theirs, "schema")
    assert finding.text == "Conveyor's tables are in schema public, which role clerk may not use"
    mend(operator, [finding])
    assert doctor(theirs) == []
    operator.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")


@pytest.mark.parametrize(
    ("granted", "severity", "text"),
    [
        ("SELECT", Severity.TROUBLE, "SELECT, UPDATE on conveyor_bell; "),
        ("ALL", Severity.TROUBLE, "role clerk lacks SELECT, UPDATE on conveyor_bell"),
        (None, Severity.TROUBLE, "SELECT on conveyor_meta, conveyor_migration"),
    ],
)
def test_rights_that_a_worker_needs(
    url: str, operator: Connection[TupleRow], role: str, granted: str | None, severity: Severity, text: str
) -> None:
    if granted is not None:
        operator.execute(f"GRANT {granted} ON ALL TABLES IN SCHEMA public TO clerk".encode())
    finding = one(as_role(url, role), "rights")
    assert finding.severity is severity
    assert text in finding.text
    mend(operator, [finding])
    assert doctor(as_role(url, role)) == []


def test_who_only_reads_is_told_so_and_not_alarmed(url: str, operator: Connection[TupleRow], role: str) -> None:
    operator.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk")
    operator.execute("GRANT SELECT, UPDATE ON SEQUENCE conveyor_bell TO clerk")
    finding = one(as_role(url, role), "rights")
    assert finding.severity is Severity.NOTE
    assert finding.text.endswith("it cannot be a worker's")


# ---------------------------------------------------------------- settings

LOSING = {
    "database": ("ALTER DATABASE {database} SET synchronous_commit = off", "synchronous_commit is off"),
    "role": ("ALTER ROLE postgres SET synchronous_commit = off", "synchronous_commit is off"),
    "both": ("ALTER ROLE postgres IN DATABASE {database} SET synchronous_commit = off", "synchronous_commit is off"),
}


@pytest.mark.parametrize(("seed", "text"), LOSING.values(), ids=LOSING)
def test_settings_of_a_role_or_database_that_lose_data(
    url: str, operator: Connection[TupleRow], seed: str, text: str
) -> None:
    operator.execute(seed.format(database=url.rpartition("/")[2]).encode())
    found = doctor(url)
    assert {finding.check for finding in found} == {"durability"}
    assert text in found[0].text
    mend(operator, found)


def test_another_role_that_would_lose_data(url: str, operator: Connection[TupleRow], role: str) -> None:
    operator.execute("ALTER ROLE clerk SET synchronous_commit = off")
    assert doctor(url) == []  # it may not write a job
    operator.execute("GRANT UPDATE ON conveyor_job TO clerk")
    finding = one(url, "durability")
    assert finding.severity is Severity.NOTE
    assert "set for ROLE clerk" in finding.text
    mend(operator, [finding])


def test_a_url_that_loses_data(url: str) -> None:
    finding = one(f"{url}?options={quote('-csynchronous_commit=off')}", "durability")
    assert finding.fix == "take synchronous_commit out of the URL's options= or PGOPTIONS"


SYSTEM = {
    "fsync": ("durability", "fsync is off"),
    "full_page_writes": ("durability", "full_page_writes is off"),
    "synchronous_commit": ("durability", "synchronous_commit is off"),
    "autovacuum": ("vacuum", "autovacuum is off"),
    "track_counts": ("vacuum", "track_counts is off"),
}


@pytest.mark.parametrize(("name", "told"), SYSTEM.items(), ids=SYSTEM)
def test_settings_of_the_whole_server(
    url: str, operator: Connection[TupleRow], name: str, told: tuple[str, str]
) -> None:
    check, text = told
    operator.execute(f"ALTER SYSTEM SET {name} = off".encode())
    try:
        reloaded(operator, url, name, "off")
        finding = one(url, check)
        assert text in finding.text
        mend(operator, [finding])
    finally:
        operator.execute(f"ALTER SYSTEM RESET {name}".encode())
        reloaded(operator, url, name, "on")


def test_a_server_that_takes_no_writes(url: str, operator: Connection[TupleRow]) -> None:
    finding = one(f"{url}?options={quote('-cdefault_transaction_read_only=on')}", "server")
    assert "lets nothing be written" in finding.text


def test_a_disk_that_takes_its_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "COMMIT_SLOW", 0.0)
    finding = one(url, "commits")
    assert finding.severity is Severity.NOTE
    assert finding.text.startswith("a commit takes ")


def test_a_partition_of_history_that_lacks_an_index(url: str, operator: Connection[TupleRow]) -> None:
    operator.execute("ALTER TABLE conveyor_past_loose DROP CONSTRAINT conveyor_past_loose_pkey")
    operator.execute("DROP INDEX conveyor_past_stray_state_id_idx, conveyor_past_stray_fingerprint_id_idx")
    found = [finding for finding in doctor(url) if finding.check == "history"]
    assert [finding.text.split()[2] for finding in found] == [
        "conveyor_past_loose",
        "conveyor_past_stray",
        "conveyor_past_stray",
    ]
    mend(operator, found)
    assert doctor(url) == []


# ---------------------------------------------------------------- what is cleared away


def test_a_table_that_autovacuum_may_not_touch(url: str, operator: Connection[TupleRow]) -> None:
    operator.execute("ALTER TABLE conveyor_past_loose SET (autovacuum_enabled = off)")
    finding = one(url, "vacuum")
    assert finding.text.startswith("autovacuum is off for conveyor_past_loose")
    mend(operator, [finding])


def fill(operator: Connection[TupleRow], rows: int) -> None:
    """Jobs that come and go, and are counted at once."""
    operator.execute(
        "INSERT INTO conveyor_job (id, run_after, enqueued_at, priority, max_attempts, task, queue, args) "
        "SELECT gen_random_uuid(), n, 0, 0, 1, 'task', 'queue', '[]' FROM generate_series(1, %s) AS n",
        (rows,),
    )
    operator.execute("DELETE FROM conveyor_job")
    operator.execute("SELECT pg_stat_force_next_flush()")
    operator.execute("SELECT 1")


def test_dead_rows_that_nobody_clears_away(
    url: str, operator: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "LATE", -1.0)
    monkeypatch.setattr(vacuum, "DEAD_FEW", 1_000)
    assert doctor(url) == []
    fill(operator, 3_000)
    finding = one(url, "vacuum")
    assert "conveyor_job has 3,000 dead rows beside 0 live ones" in finding.text
    mend(operator, [finding])


def test_a_table_and_an_index_far_larger_than_what_is_in_them(
    url: str, operator: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "TABLE_SPARE", 65_536)
    monkeypatch.setattr(vacuum, "INDEX_SPARE", 65_536)
    operator.execute("VACUUM (FULL, ANALYZE) conveyor_job")
    assert doctor(url) == []
    fill(operator, 3_000)
    finding = one(url, "vacuum")
    assert finding.text.startswith("conveyor_job takes ")
    operator.execute("VACUUM (ANALYZE) conveyor_job")  # which gives the table's end back, and none of the index
    found = doctor(url)
    assert {finding.text.split()[0] for finding in found} == {"conveyor_job_pkey", "conveyor_job_fetch"}
    mend(operator, found)


def test_a_server_that_runs_out_of_transaction_numbers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "XIDS_NOTE", 1)
    finding = one(url, "vacuum")
    assert (finding.severity, "the server takes no more writes" in finding.text) == (Severity.NOTE, True)
    monkeypatch.setattr(settings, "XIDS_TROUBLE", 1)
    assert one(url, "vacuum").severity is Severity.TROUBLE


# ---------------------------------------------------------------- sessions


@contextlib.contextmanager
def reading(url: str) -> Iterator[Connection[TupleRow]]:
    """A session that sees what was, and goes on doing so."""
    with psycopg.connect(url, application_name="report") as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM conveyor_job")
        yield connection
        with contextlib.suppress(psycopg.OperationalError):  # the doctor's cure
            connection.execute("ROLLBACK")


def test_who_keeps_an_old_snapshot_is_named_and_sent_away(
    url: str, operator: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading(url) as reader:
        assert doctor(url) == []
        monkeypatch.setattr(sessions, "HELD_LONG", 0.0)
        finding = one(url, "snapshots")
        who = f"pid {reader.info.backend_pid} (report, role postgres)"
        assert finding.text.startswith(f"{who} is idle in transaction; its transaction is open for ")
        assert "(SELECT count(*) FROM conveyor_job)" in finding.text
        assert "idle_in_transaction_session_timeout" in finding.fix
        monkeypatch.setattr(sessions, "HELD_TOO_LONG", 0.0)
        assert one(url, "snapshots").severity is Severity.TROUBLE
        mend(operator, [finding])
        until(lambda: doctor(url) == [])


def test_a_prepared_transaction_holds_on_for_ever(
    url: str, operator: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "HELD_LONG", 0.0)
    operator.execute("BEGIN")
    operator.execute("SELECT pg_current_xact_id()")
    operator.execute("PREPARE TRANSACTION 'it''s gone'")
    finding = one(url, "snapshots")
    assert finding.text.startswith("the prepared transaction 'it''s gone' of role postgres is open since ")
    mend(operator, [finding])


@pytest.mark.parametrize("slot", ["shop_standby", None])
def test_a_standby_and_its_slot_hold_back_what_it_still_reads(
    url: str, operator: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch, slot: str | None
) -> None:
    monkeypatch.setattr(sessions, "HELD_MANY", 0)
    if slot is not None:
        operator.execute("SELECT pg_create_physical_replication_slot(%s)", (slot,))
    with standby(url, slot) as fed_back:
        until(fed_back)
        finding = one(url, "snapshots")
        assert ("slot 'shop_standby' (active)" if slot else "the standby 'walreceiver' (pid ") in finding.text
        assert "hot_standby_feedback = off" in finding.fix
    if slot is not None:
        until(lambda: "(inactive)" in one(url, "snapshots").text)
        mend(operator, doctor(url))
    until(lambda: doctor(url) == [])


def test_what_cannot_be_seen_is_said(url: str, operator: Connection[TupleRow], role: str) -> None:
    operator.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; GRANT ALL ON SEQUENCE conveyor_bell TO clerk")
    operator.execute("REVOKE pg_read_all_stats FROM clerk")
    finding = one(as_role(url, role), "snapshots")
    assert finding.text.startswith("role clerk cannot look into 1 of the sessions")
    mend(operator, [finding])
    assert doctor(as_role(url, role)) == []


@pytest.mark.parametrize("what", ["DATABASE {database}", "ROLE clerk"])
def test_connections_that_are_nearly_used_up(url: str, operator: Connection[TupleRow], role: str, what: str) -> None:
    operator.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; GRANT ALL ON SEQUENCE conveyor_bell TO clerk")
    whose = what.format(database=url.rpartition("/")[2])
    operator.execute(f"ALTER {whose} CONNECTION LIMIT 20".encode())
    theirs = as_role(url, role)
    with contextlib.ExitStack() as stack:
        assert doctor(theirs) == []
        for _ in range(10):
            stack.enter_context(psycopg.connect(theirs))
        finding = one(theirs, "connections")
        assert f" of 20 connections of {whose.lower()} are taken, " in finding.text
        assert finding.fix.startswith(f"ALTER {whose} CONNECTION LIMIT")
    operator.execute(f"ALTER {whose} CONNECTION LIMIT -1".encode())


def test_a_bell_that_nobody_has_asked_for(url: str, operator: Connection[TupleRow]) -> None:
    operator.execute("SELECT setval('conveyor_bell', conveyor_now() + 7200000000)")
    finding = one(url, "bell")
    assert finding.text.startswith("each enqueue notifies for 2 h more")
    mend(operator, [finding])
    operator.execute("SELECT setval('conveyor_bell', 9223372036854775807)")
    mend(operator, [one(url, "bell")])


# ---------------------------------------------------------------- workers


def test_workers_of_several_kinds(url: str) -> None:
    store = PostgresStore(url)
    with contextlib.ExitStack() as stack:
        for number, (version, tasks) in enumerate([("1", ("a", "b")), ("2", ("a", "b", "c"))]):
            info = RunnerInfo("box", number, {"mail": 1}, tasks, version)
            leases, runner = store.leases(60), bytes([number]) * 16
            leases.register(runner, info)
            stack.callback(leases.close)
            stack.callback(leases.retire, runner, clean=True)
        found = examined(lambda: store, None, deep=False)
    store.close()
    assert [finding.text for finding in found if finding.check == "workers"] == [
        "workers of several versions are running: 1, 2",
        "1 of 2 workers of queue 'mail' do not know all that the others know: c",
    ]


# ---------------------------------------------------------------- what keeps the doctor from looking


def test_a_table_that_somebody_holds_keeps_nobody_waiting(url: str, operator: Connection[TupleRow]) -> None:
    """A size cannot be asked for while a table is being rewritten; all else is told."""
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE conveyor_history IN ACCESS EXCLUSIVE MODE")
        found = doctor(url)
    assert "vacuum" in {finding.check for finding in found}
    hindered = "this could not be looked at: another transaction has held for too long"
    assert [finding.text for finding in found if not finding.text.startswith(hindered)] == []
