"""``conveyor bench`` on real stores, with real workers; few jobs, for what counts here is that nothing is missing."""

import contextlib
import json
import signal
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast
from uuid import UUID

import psycopg
import pytest

from conveyor.cli.bench.figures import STANDARD
from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.store.openers import open_ground
from conveyor.store.postgres.bench import scratch
from conveyor.store.postgres.bench.scratch import PREFIX
from conveyor.store.postgres.opened import PostgresStore
from conveyor.store.redis.opened import RedisStore
from tests.support.cli import PATIENCE, Terminal
from tests.support.jobs import enqueue, new_job
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.waiting import until

# Several commands, each of which starts workers, on a machine that is busy.
pytestmark = [pytest.mark.direct, pytest.mark.timeout(150)]

BUSY = 140.0
"""Seconds that one command gets."""
Figures = Mapping[str, float | None]


def said(terminal: Terminal, *words: str) -> str:
    """What ``bench`` prints. It starts one process after the other, which a busy machine draws out."""
    with terminal.started("bench", *words) as process:
        out, err = process.communicate(timeout=BUSY)
    assert (process.returncode, err) == (0, "")
    return out


def measured(terminal: Terminal, *words: str) -> Mapping[str, Figures]:
    """The medians by measure; each figure of ``STANDARD`` is there, or says why it is not."""
    told = cast(
        Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]], json.loads(said(terminal, *words, "--json"))
    )
    for name, result in told["measures"].items():
        for figure in STANDARD if name != "idle" else ():
            assert (result["median"][figure] is None) == (figure in result["not_measured"]), (name, figure)
    return {name: result["median"] for name, result in told["measures"].items()}


def scratches(server: PostgresServer) -> list[str]:
    """The databases that measures have made and not dropped."""
    with psycopg.connect(server.url()) as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database") if name.startswith(PREFIX)]


def test_jobs_are_stored_and_worked_off_beside_the_store_that_is_named(
    terminal: Terminal, store: Store, url: str, tmp_path: Path
) -> None:
    enqueue(store, *(new_job(queue="bench") for _ in range(3)))
    before = sorted(path.name for path in tmp_path.iterdir())
    words = ("enqueue", "drain", "latency", "--jobs", "300", "--rate", "100", "--seconds", "0.5", "--processes", "2")

    told = measured(terminal, *words, "--url", url, "--svg", "here.svg")

    assert [*told] == ["enqueue.bulk", "enqueue.callers", "enqueue.single", "drain", "latency"]
    assert all(figures["jobs_per_second"] for figures in told.values())
    assert [figures["jobs"] for figures in told.values()] == [300, 300, 15, 300, 50]
    assert (told["drain"]["history_rows"], told["drain"]["dead_tuples_per_job"] is None) == (300, "sqlite" in url)
    assert told["latency"]["p50_ms"]
    assert (told["latency"]["ratio_p50"] is None) == ("sqlite" in url)
    plain = measured(terminal, "drain", "--jobs", "300", "--cells", "2", "--url", url)["drain"]
    assert (plain["jobs"], plain["history_rows"]) == (300, 300)
    drawn = ET.parse(terminal.folder / "here.svg")  # noqa: S314 - bench wrote it
    assert drawn.getroot().tag.endswith("svg")
    assert store.run(store.operations.schema()) == store.migrations
    assert sorted(path.name for path in tmp_path.iterdir()) == before  # no folder is left beside the file
    states = cast(Mapping[str, Mapping[str, int]], terminal.tells("status", "--store", url))["jobs"]
    assert {state: number for state, number in states.items() if number} == {"ready": 3}


def test_the_long_measures_are_short_when_asked(
    terminal: Terminal, postgres_url: str, postgres_server: PostgresServer
) -> None:
    words = ("steady", "backlog", "held-snapshot", "--jobs", "400", "--waiting", "300", "--finished", "500")

    told = measured(terminal, *words, "--rate", "200", "--seconds", "1", "--hold", "--url", postgres_url)

    assert (told["steady"]["jobs"], told["steady"]["history_rows"]) == (200, 200)
    assert told["steady"]["dead_tuples_per_job"] == pytest.approx(2, abs=0.2)
    assert told["steady"]["transactions_per_job"]
    full = told["backlog.full"]
    assert (full["waiting"], full["finished"], full["history_rows"]) == (300, 500, 400)
    assert all(full[name] for name in full if name.endswith("_ms") and not name.startswith(("p", "max")))
    assert (told["held-snapshot.clean"]["jobs"], told["held-snapshot.held"]["jobs"]) == (400, 400)
    assert told["held-snapshot.held"]["share_of_clean"]
    assert scratches(postgres_server) == []


def test_what_sqlite_has_not_is_said(terminal: Terminal) -> None:
    for words in (["drain", "held-snapshot"], ["steady", "--hold"]):
        assert "measure PostgreSQL: --store postgresql" in terminal.refuses("bench", *words)
    words = ("backlog", "idle", "--jobs", "50", "--waiting", "40", "--finished", "60", "--seconds", "1")
    told = said(terminal, *words)
    assert "not measured: SQLite has no server" in told
    assert "not measured: SQLite keeps no count of it" in told
    assert "pss_bytes" in told


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer("valkey") as started:
        yield started


def keys(server: RedisServer) -> set[str]:
    return {key.decode() for key in cast("list[bytes]", server.said("KEYS", "*"))}


def test_jobs_on_redis_are_measured_beside_those_that_are_there(terminal: Terminal, redis_server: RedisServer) -> None:
    redis_server.flush()
    with contextlib.closing(RedisStore(redis_server.url())) as store:
        enqueue(store, *(new_job(queue="bench") for _ in range(3)))
    before = keys(redis_server)
    what = ("enqueue", "drain", "latency", "backlog", "steady")
    words = (*what, "--jobs", "300", "--waiting", "1200", "--finished", "1500")

    told = measured(terminal, *words, "--rate", "100", "--seconds", "0.5", "--url", redis_server.url())

    parts = ["enqueue.bulk", "enqueue.callers", "enqueue.single", "drain", "latency", "backlog.empty", "backlog.full"]
    assert [*told] == [*parts, "steady"]
    assert [told[name]["jobs"] for name in told] == [300, 300, 15, 300, 50, 300, 300, 50]
    assert told["drain"]["history_rows"] == 300
    assert all(told["drain"][name] for name in ("jobs_per_second", "transactions_per_job"))
    assert all(told["latency"][name] for name in ("p50_ms", "probe_p50_ms", "ratio_p50"))
    assert (told["backlog.full"]["waiting"], told["backlog.full"]["finished"]) == (1200, 1500)
    assert keys(redis_server) == before


def test_schedules_on_redis_are_measured(terminal: Terminal, redis_server: RedisServer) -> None:
    words = ("schedules", "--jobs", "3", "--seconds", "1", "--url", redis_server.url())
    told = measured(terminal, *words)["schedules"]
    assert (told["jobs"], told["history_rows"], told["ticks"]) == (3, 3, 1)


def test_what_redis_has_not_is_said(terminal: Terminal, redis_server: RedisServer) -> None:
    address = redis_server.url()
    assert "measure PostgreSQL: --store postgresql" in terminal.refuses("bench", "held-snapshot", "--url", address)
    told = said(terminal, "drain", "idle", "--jobs", "50", "--seconds", "1", "--url", address)
    assert "not measured: the append-only file is off (wal_bytes_per_job)" in told
    assert "not measured: Redis keeps no count of it (fsyncs_per_job)" in told
    assert "pss_bytes" in told


def test_what_is_filled_in_on_redis_is_what_jobs_are(redis_server: RedisServer) -> None:
    redis_server.flush()
    with contextlib.closing(open_ground(redis_server.url())) as ground:
        ground.fill(1_500, 1_200)
        with contextlib.closing(RedisStore(ground.url)) as store:
            counts = store.run(store.operations.counts(JobFilter()))
            groups = store.run(store.operations.failures(JobFilter(), 100))
            (oldest,) = store.run(store.operations.list(JobFilter(), limit=1, after=None, direction="oldest"))
            assert {state: number for state, number in counts.items() if number} == {
                State.READY: 750,
                State.SCHEDULED: 750,
                State.SUCCEEDED: 1_188,
                State.FAILED: 12,
            }
            assert sum(group.jobs for group in groups) == 12
            assert store.run(store.operations.get(UUID(oldest.id).bytes)) == oldest
        assert ground.tally()[:3] == (0, 0, 0)
        assert ground.sizes().values["memory_bytes"] > 0
    assert keys(redis_server) == set()


def test_the_append_only_file_tells_what_was_written() -> None:
    with (
        RedisServer("valkey", appendonly="yes") as server,
        contextlib.closing(open_ground(server.url())) as ground,
        contextlib.closing(RedisStore(ground.url)) as store,
    ):
        before = ground.written()
        enqueue(store, new_job(args=b"x" * 1_000))
        assert ground.written().since(before).values["wal_bytes"] > 1_000
        assert ground.about["appendfsync"] == "everysec"


def test_keys_of_a_run_that_was_killed_are_named(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis_server.flush()
    left = open_ground(redis_server.url())
    prefix = left.url.partition("prefix=")[2]
    with contextlib.closing(open_ground(redis_server.url())):
        assert f"redis-cli --scan --pattern '{{{prefix}:*'" in caplog.text
    left.close()
    assert keys(redis_server) == set()


def test_a_role_must_be_allowed_to_make_databases(terminal: Terminal, postgres_url: str, poor_role: str) -> None:
    told = terminal.refuses("bench", "drain", "--url", postgres_url.replace("postgres@", f"{poor_role}@"))
    assert "bench needs a database of its own" in told
    assert "ALTER ROLE ... CREATEDB" in told


def test_the_size_of_history_is_that_of_its_partitions(postgres_url: str) -> None:
    with contextlib.closing(open_ground(postgres_url)) as ground:
        PostgresStore(ground.url).migrate()
        ground.fill(10, 500)
        sizes = ground.sizes().values
    assert all(sizes[name] > 0 for name in ("table_bytes", "index_bytes", "history_bytes"))


def test_nothing_is_done_where_a_name_leads_to_another_database(
    postgres_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = scratch._named
    monkeypatch.setattr(scratch, "_named", lambda _: usual(postgres_url))  # as a pooler does that maps every name
    with pytest.raises(UsageError, match=r"leads to test_.*nothing was done"):
        open_ground(postgres_url)
    assert scratches(postgres_server) == []


@pytest.fixture
def poor_role(postgres_server: PostgresServer) -> Iterator[str]:
    """A role that may connect, and no more."""
    with contextlib.closing(psycopg.connect(postgres_server.url(), autocommit=True)) as connection:
        connection.execute("CREATE ROLE poor LOGIN")
        yield "poor"
        connection.execute("DROP ROLE poor")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_measure_that_is_stopped_leaves_no_worker_behind(
    terminal: Terminal, postgres_url: str, postgres_server: PostgresServer, number: signal.Signals
) -> None:
    def sessions() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, %s) AND application_name = 'conveyor'"
        with psycopg.connect(postgres_server.url()) as connection:
            ((count,),) = connection.execute(query, (PREFIX,)).fetchall()
        return int(count)

    with terminal.started("bench", "idle", "--seconds", "600", "--url", postgres_url) as bench:
        until(lambda: sessions() > 1, patience=BUSY)  # one may be that of who measures; a worker has several
        bench.send_signal(number)
        status = bench.wait(PATIENCE)
    until(lambda: sessions() == 0, patience=PATIENCE)
    left = scratches(postgres_server)
    assert (status, left) == (128 + number, []) if number is signal.SIGTERM else (-number, left[:1])
    for name in left:
        assert f"DROP DATABASE {name}" in terminal.run("bench", "enqueue", "--jobs", "1", "--url", postgres_url).err
        postgres_server.drop_database(name)
