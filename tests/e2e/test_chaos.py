"""``conveyor chaos`` on real stores, with real workers that are killed; few faults, for the long runs are soaks.

What takes the two cores of CI for twenty seconds and more is a soak as well, short as it is.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import psycopg
import pytest

from conveyor.cli.chaos.keys import keys
from conveyor.cli.chaos.namespace import NotRun, namespace
from conveyor.cli.chaos.scenarios.scarce import cannot_mount
from conveyor.cli.chaos.scenarios.ticks import SCHEDULES
from tests.support.chaos import BUSY, found
from tests.support.cli import PATIENCE, Terminal
from tests.support.cluster import Clustered
from tests.support.postgres import PostgresServer
from tests.support.redis import versions
from tests.support.waiting import until

# Several commands, each of which starts workers and kills them, on a machine that is busy.
pytestmark = [pytest.mark.direct, pytest.mark.timeout(200)]


@pytest.fixture
def scratch(terminal: Terminal, tmp_path: Path) -> Path:
    """Where the command makes what it needs."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    terminal.environment["TMPDIR"] = str(folder)
    return folder


def living(scratch: Path) -> list[int]:
    """The processes that a run in *scratch* has started, and not ended."""
    mark = f"CONVEYOR_CHAOS={scratch}".encode()
    return [pid for pid, environment in _environments() if mark in environment]


def _environments() -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                yield int(entry.name), (entry / "environ").read_bytes()
            except OSError:  # it has ended, or is somebody else's
                continue


def databases(server: PostgresServer) -> list[str]:
    """The databases that runs have made and not dropped."""
    with psycopg.connect(server.url()) as connection:
        names = [name for (name,) in connection.execute("SELECT datname FROM pg_database")]
    return [name for name in names if name.startswith("conveyor_chaos_")]


def makes_networks(folder: Path) -> bool:
    """Whether this machine lets us make networks: root's right, and in some containers not even his."""
    try:
        with namespace(folder):
            return True
    except NotRun:
        return False


def networks() -> list[str]:
    """The network namespaces that runs have made and not taken away."""
    return [path.name for path in Path("/run/netns").glob("conveyor-*")]


def groups() -> list[str]:
    """The same of control groups."""
    return [str(path) for path in Path("/sys/fs/cgroup").glob("**/conveyor-*")]


# X02, and D02 on PostgreSQL, are run by the page docs/how-to/chaos.md.
def test_killed_workers_lose_nothing_on_sqlite(terminal: Terminal, scratch: Path) -> None:
    told = found(terminal, "P01", "D02", "--rounds", "1")
    killed, other = told["P01"], told["D02"]
    assert (killed["outcome"], killed["faults"], killed["lost"], killed["doubled_effects"]) == ("ok", 1, 0, 0)
    assert cast(int, killed["accepted"]) > 0
    assert other == {"outcome": "not run", "why": "it is about PostgreSQL"}
    assert (living(scratch), [*scratch.iterdir()]) == ([], [])


@pytest.mark.soak
@pytest.mark.parametrize("words", [("R02", "R03"), ("R08", "U03")], ids="-".join)
def test_want_and_excess_harm_nobody_on_sqlite(terminal: Terminal, scratch: Path, words: Sequence[str]) -> None:
    told = found(terminal, *words, "--rounds", "1", "--seconds", "2")
    outcomes = {name: figures["outcome"] for name, figures in told.items()}
    assert outcomes == {name: "not run" if name == "R02" and cannot_mount() else "ok" for name in words}
    assert (living(scratch), [*scratch.iterdir()]) == ([], [])


@pytest.mark.soak
def test_a_soak_is_sampled_and_drawn_and_wrong_clocks_cost_no_lease(
    terminal: Terminal, scratch: Path, tmp_path: Path, postgres_url: str
) -> None:
    picture = tmp_path / "soak.svg"
    told = found(terminal, "R01", "C02", "--rounds", "2", "--svg", str(picture), "--store", postgres_url)
    soak, clocks = told["R01"], told["C02"]
    series = cast(Sequence[Mapping[str, float]], soak["series"])
    assert (soak["outcome"], len(series), clocks["outcome"], clocks["faults"]) == ("ok", 2, "ok", 2)
    assert {"supervisor1_rss_bytes", "runner2_descriptors", "connections", "table_bytes"} <= series[-1].keys()
    assert picture.read_text("utf-8").count("<polyline") > 10
    assert (living(scratch), [*scratch.iterdir()]) == ([], [])


@pytest.mark.soak
def test_killed_workers_and_lost_calls_lose_nothing_on_redis_and_no_key_is_left(
    terminal: Terminal, scratch: Path, redis_url: str
) -> None:
    told = found(terminal, "P01", "D05", "D12", "--rounds", "1", "--store", redis_url)
    killed, lossy, other = told["P01"], told["D05"], told["D12"]
    assert (killed["outcome"], killed["faults"], killed["lost"]) == ("ok", 1, 0)
    assert (lossy["outcome"], lossy["lost"]) == ("ok", 0)
    assert other == {"outcome": "not run", "why": "it is about SQLite"}
    with keys(redis_url) as here:
        left = here.servers("KEYS", "{conveyor-chaos-*")
    assert (living(scratch), [*scratch.iterdir()], left) == ([], [], [[]])


@pytest.mark.soak
def test_on_a_cluster_killed_workers_lose_nothing_and_cancelled_jobs_end(terminal: Terminal, scratch: Path) -> None:
    with Clustered(versions()[0]) as cluster:
        told = found(terminal, "P01", "X02", "N01", "--rounds", "1", "--store", cluster.url("?shards=4"))
        sizes = [node.ask("DBSIZE") for node in cluster.nodes if node.leads]
    killed, cancelled, other = told["P01"], told["X02"], told["N01"]
    assert (killed["outcome"], killed["faults"], killed["lost"]) == ("ok", 1, 0)
    assert (cancelled["outcome"], cancelled["faults"], cancelled["lost"]) == ("ok", 20, 0)
    assert other["outcome"] == "not run"
    assert (living(scratch), [*scratch.iterdir()], sizes) == ([], [], [0] * 3)


def test_jobs_that_kill_their_workers_are_put_away_on_sqlite(terminal: Terminal, scratch: Path) -> None:
    told = found(terminal, "P05", "--rounds", "1")["P05"]
    assert (told["outcome"], told["faults"], told["lost"], told["doubled_effects"]) == ("ok", 8, 0, 0)
    assert (living(scratch), [*scratch.iterdir()]) == ([], [])


def each_tick_has_one_job(terminal: Terminal, *words: str) -> str:
    """What C04 notes; nothing may be violated, and each tick must have its job."""
    told = found(terminal, "C04", "--rounds", "4", *words)["C04"]
    assert (told["outcome"], told["faults"], told["lost"], told["doubled_effects"]) == ("ok", 4, 0, 0)
    assert cast(int, told["accepted"]) >= 4 * SCHEDULES
    assert " ticks, 0 doubled, 0 missed; " in str(told["notes"])
    return str(told["notes"])


@pytest.mark.soak  # the one below does the same, and more
def test_watchers_that_are_hit_at_a_tick_neither_miss_nor_double_it_on_sqlite(
    terminal: Terminal, scratch: Path
) -> None:
    assert "not tried: a wrong clock" in each_tick_has_one_job(terminal)
    assert (living(scratch), [*scratch.iterdir()]) == ([], [])


def test_watchers_that_are_hit_at_a_tick_neither_miss_nor_double_it_though_a_clock_is_wrong(
    terminal: Terminal, scratch: Path, postgres_url: str, postgres_server: PostgresServer
) -> None:
    assert "the clock of one +600 s wrong" in each_tick_has_one_job(terminal, "--store", postgres_url)
    assert (living(scratch), [*scratch.iterdir()], databases(postgres_server)) == ([], [], [])


@pytest.mark.soak
def test_workers_that_are_suspended_together_come_back_to_other_peoples_jobs(terminal: Terminal, scratch: Path) -> None:
    told = found(terminal, "C05", "--rounds", "1", "--seconds", "1")["C05"]
    assert (told["outcome"], told["faults"], told["lost"], told["overlap_ms"]) == ("ok", 1, 0, 0)
    assert (living(scratch), groups(), [*scratch.iterdir()]) == ([], [], [])


@pytest.mark.soak
def test_workers_that_nobody_answers_stop_their_jobs_in_time(
    terminal: Terminal, scratch: Path, tmp_path: Path, postgres_url: str, postgres_server: PostgresServer
) -> None:
    told = found(terminal, "N01", "--rounds", "1", "--store", postgres_url)["N01"]
    assert (told["outcome"], told["lost"], told["overlap_ms"]) == ("ok", 0, 0)
    assert "SIGTERM to exit" in str(told["notes"])
    possible = makes_networks(tmp_path)
    assert (told["faults"], "not tried: lost packets" in str(told["notes"])) == ((2, False) if possible else (1, True))
    assert (living(scratch), networks(), databases(postgres_server)) == ([], [], [])


@pytest.mark.soak  # a network for a worker is made for the test above as well
def test_a_worker_that_is_cut_off_has_stopped_its_jobs_before_others_start_them(
    terminal: Terminal, scratch: Path, tmp_path: Path, postgres_url: str, postgres_server: PostgresServer
) -> None:
    told = found(terminal, "N04", "--rounds", "1", "--store", postgres_url)["N04"]
    if makes_networks(tmp_path):
        assert (told["outcome"], told["faults"], told["lost"], told["overlap_ms"]) == ("ok", 1, 0, 0)
    else:
        assert told["outcome"] == "not run"
        assert told["why"]
    assert (living(scratch), networks(), databases(postgres_server)) == ([], [], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_process_behind(
    terminal: Terminal, scratch: Path, number: signal.Signals
) -> None:
    with terminal.started("chaos", "P04", "--seconds", "600") as process:
        until(lambda: len(living(scratch)) > 3 and any(scratch.glob("*/*.history")), patience=BUSY)
        process.send_signal(number)
        status = process.wait(PATIENCE)
    until(lambda: living(scratch) == [], patience=PATIENCE)
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert number is signal.SIGKILL or [*scratch.iterdir()] == []
