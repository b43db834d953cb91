"""What ``conveyor bench`` makes of what it measures."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from conveyor.cli import build, main
from conveyor.cli.bench import command, proc, svg, tape
from conveyor.cli.bench import options as given
from conveyor.cli.bench.figures import STANDARD, Result, Run, Waits, completed, percentiles, quantile, rounded
from conveyor.cli.bench.options import USUAL, Settings
from conveyor.cli.bench.pictures import picture
from conveyor.cli.bench.site import BRIEF, Site, reported
from conveyor.cli.bench.steady import _drift
from conveyor.cli.bench.tasks import Measured
from conveyor.cli.bench.told import shown, tell
from conveyor.core.errors import ConveyorError
from conveyor.store.ground import Ground, NotHere, Reading, Server, Tally
from conveyor.store.postgres.bench.scratch import beside

ABOUT: Mapping[str, object] = {
    "conveyor": "1",
    "python": "3",
    "cores": 2,
    "at": "today",
    "store": {"kind": "sqlite", "version": "3 <&>", "settings": {"synchronous": "FULL"}},
}


def typed(*words: str) -> Settings:
    """What is understood of the words behind ``conveyor bench``."""
    parser, _ = build(["bench"])
    return given.read(parser.parse_args(["bench", *words]), "sqlite:///x.db")


# ---------------------------------------------------------------- options


def test_without_a_word_a_short_set_is_measured() -> None:
    assert typed() == Settings("sqlite:///x.db")
    assert typed().what == USUAL


def test_what_was_asked_for_is_measured_once_each() -> None:
    told = typed("drain", "idle", "drain", "--jobs", "7", "--rate", "0.5", "--runs", "3", "--hold")
    assert told == Settings("sqlite:///x.db", what=["drain", "idle"], jobs=7, rate=0.5, runs=3, hold=True)


@pytest.mark.parametrize(
    "words",
    [
        ("--jobs", "0"),
        ("--jobs", "1.5"),
        ("--slots", "10001"),
        ("--processes", "none"),
        ("--rate", "nan"),
        ("--rate", "-1"),
        ("--seconds", "inf"),
        ("--runs", "101"),
    ],
    ids=" ".join,
)
def test_numbers_that_make_no_sense_are_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", *words])
    assert f"argument {words[0]}: {words[1]} must be a number from " in capsys.readouterr().err


def test_the_url_is_not_told_for_it_may_hold_a_password() -> None:
    assert "url" not in typed().as_json()


def test_a_database_beside_another_has_all_else_of_its_url() -> None:
    url = "postgresql://me:pass%40word@host:1/shop?sslmode=require&dbname=other&options=-c%20a%3Db"
    assert beside(url, "new") == "postgresql://me:pass%40word@host:1/new?sslmode=require&options=-c%20a%3Db"
    assert beside("postgresql:///shop?host=/run/pg", "new") == "postgresql:///new?host=/run/pg"


# ---------------------------------------------------------------- figures


def test_quantiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert [quantile([7.0], share) for share in (0.0, 0.5, 1.0)] == [7, 7, 7]
    assert percentiles([]) == {}


def test_counted_waits_have_the_same_percentiles_to_three_digits() -> None:
    waits, more = Waits(), Waits()
    times = [number * number for number in range(1, 2_000)]
    for time in times[:500]:
        waits.add(time)
    for time in times[500:]:
        more.add(time)
    waits.merge(more)
    assert len(waits) == len(times)
    exact = percentiles([time / 1_000 for time in times])
    assert waits.percentiles() == pytest.approx(exact, rel=0.006)
    assert Waits().percentiles() == {}


@pytest.mark.parametrize(
    ("value", "told"), [(None, None), (3.0, 3), (1234567.89, 1234570), (0.00123456789, 0.00123457)]
)
def test_figures_are_rounded_and_none_stays_none(value: float | None, told: float | None) -> None:
    assert rounded(value) == told


RUNS = Result(
    [
        Run({"jobs": 10, "jobs_per_second": speed}, {"p50_ms": "no clock"}, [{"at": 1.0, "jobs_per_second": speed}])
        for speed in (30.0, 10.0, 20.5)
    ]
)


def test_runs_come_to_a_median_and_their_spread() -> None:
    told = RUNS.as_json()
    assert json.loads(json.dumps(told)) == told
    assert told["runs"] == 3
    assert told["median"] == {"jobs": 10, "jobs_per_second": 20.5, "p50_ms": None}
    assert told["lowest"] == {"jobs": 10, "jobs_per_second": 10, "p50_ms": None}
    assert told["highest"] == {"jobs": 10, "jobs_per_second": 30, "p50_ms": None}
    assert told["not_measured"] == {"p50_ms": "no clock"}
    (first, *_) = cast(list[object], told["each"])
    figures = {"jobs": 10, "jobs_per_second": 30, "p50_ms": None}
    assert first == {"figures": figures, "series": [{"at": 1, "jobs_per_second": 30}]}


def test_a_figure_that_one_run_misses_is_missing() -> None:
    result = Result([Run({"a": 1.0}), Run({}, {"a": "gone"})])
    assert (result.median("a"), result.missing) == (None, {"a": "gone"})


def test_every_standard_figure_is_there_or_says_why_not() -> None:
    run = completed({"jobs": 1.0, "other": 2.0}, {"p50_ms": "a", "another": "b"}, "c")
    assert {*run.figures()} == {*STANDARD, "other", "another"}
    assert (run.missing["p50_ms"], run.missing["another"], run.missing["p95_ms"]) == ("a", "b", "c")


def test_what_was_counted_is_told_for_each_job() -> None:
    before = Reading({"wal_bytes": 100, "worker_cpu": 1.0, "server_cpu": 1.0, "only": 1}, {"fsyncs": "off"})
    reading = Reading({"wal_bytes": 1_100, "worker_cpu": 3.0, "server_cpu": 1.001}, {}).since(before)
    run = reported(10, 2.0, reading, {"history_rows": 10}, "nobody")
    assert run.values == {
        "jobs": 10,
        "seconds": 2.0,
        "jobs_per_second": 5.0,
        "wal_bytes_per_job": 100,
        "worker_cpu_us_per_job": 200_000,
        "history_rows": 10,
    }
    assert run.missing["fsyncs_per_job"] == "off"
    assert run.missing["server_cpu_us_per_job"] == BRIEF
    assert run.missing["transactions_per_job"] == "nobody"


@pytest.mark.parametrize("tally", [Tally(1, 9, 9, 0, 1), Tally(0, 10, 9, 0, 1), Tally(0, 11, 11, 0, 1)])
def test_jobs_that_are_not_in_history_spoil_the_measure(tally: Tally) -> None:
    ground = cast(Ground, SimpleNamespace(tally=lambda: tally))
    with pytest.raises(ConveyorError, match=r"of 10 jobs .* the measure says nothing"):
        Site(Settings(""), ground, cast(Measured, None)).check(10)


def test_what_stays_as_it_is_does_not_drift() -> None:
    flat = [{"at": float(at), "p99_ms": 2.0, "table_bytes": 0.0} for at in range(10)]
    assert _drift(flat) == {"drift_p99_ms": 1}
    rising = [{"at": float(at), "jobs_per_second": 2.0 if at < 6 else 1.0} for at in range(10)]
    assert _drift(rising) == {"drift_jobs_per_second": 0.5}
    assert _drift([]) == {}


def test_what_was_measured_before_an_error_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(_: Settings) -> Mapping[str, Run]:
        raise ConveyorError("a job is lost")

    monkeypatch.setattr(command, "MEASURES", {"drain": lambda _: {"": Run({"jobs": 1.0})}, "idle": lost})
    assert main(["bench", "drain", "idle", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["measures"]["drain"]["median"] == {"jobs": 1}
    assert json.loads(told.out)["error"] == "a job is lost"
    assert told.err == "conveyor bench: a job is lost\n"
    assert main(["bench", "idle"]) == 1
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------- tapes and processes


def test_a_tape_tells_when_jobs_were_sent_and_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100_000, 100_010, 200_000])
    monkeypatch.setattr(tape, "now", lambda: next(clock))
    recorder = tape.Recorder(tmp_path)
    for sent in (1, 2, 3):
        recorder.note(sent)
        assert tape.started(tmp_path) == {1: 1, 2: 1, 3: 3}[sent]  # the second was too soon to be written
    recorder.flush()
    assert list(tape.read(tmp_path)) == [(1, 100_000), (2, 100_010), (3, 200_000)]


def process(folder: Path, number: int, parent: int, ticks: tuple[int, int], *, title: str = "", exact: int = 0) -> None:
    """A process in the folder that stands for /proc."""
    home = folder / str(number)
    (home / "task" / str(number)).mkdir(parents=True)
    own, reaped = ticks
    before, behind = "0 " * 9, "20 0 1 0"  # proc_pid_stat(5): the CPU times are the fields 14 to 17
    (home / "stat").write_text(f"{number} (a) b (c) S {parent} {before}{own} 0 {reaped} 0 {behind}")
    (home / "cmdline").write_text(title)
    (home / "task" / str(number) / "schedstat").write_text(f"{exact} 0 0")
    (home / "smaps_rollup").write_text("Rss: 9 kB\nPss: 7 kB\n")


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /proc."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    monkeypatch.setattr(proc, "PROC", tmp_path)
    monkeypatch.setattr(proc, "_tick_rate", lambda: 100)
    return tmp_path


def test_cpu_time_is_the_schedulers_or_where_that_is_less_the_coarse_one(processes: Path) -> None:
    process(processes, 7, 1, (150, 0), exact=2_000_000_000)
    process(processes, 8, 1, (150, 0), exact=1_000_000_000)
    assert (proc.cpu_seconds(7), proc.cpu_seconds(8)) == (2.0, 1.5)
    assert proc.pss_bytes(7) == 7 * 1024


def test_a_servers_cpu_time_is_that_of_all_its_processes_the_ended_ones_too(processes: Path) -> None:
    process(processes, 50, 1, (100, 300), title="postgres -D data")
    process(processes, 51, 50, (20, 0), title="postgres: me conveyor_bench_1 [local] idle")
    process(processes, 52, 50, (3, 0))
    process(processes, 60, 1, (999, 0))
    assert proc.server_cpu_seconds(Server(51, "conveyor_bench_1")) == pytest.approx(4.23)


@pytest.mark.parametrize("title", ["postgres: me other_database idle", "vim conveyor_bench_1", None])
def test_a_process_that_only_has_the_number_is_not_the_server(processes: Path, title: str | None) -> None:
    if title is not None:
        process(processes, 51, 50, (20, 0), title=title)
    with pytest.raises(NotHere, match="not to be seen from here"):
        proc.server_cpu_seconds(Server(51, "conveyor_bench_1"))


def test_a_system_without_proc_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "PROC", tmp_path)
    with pytest.raises(NotHere, match="no /proc"):
        proc.cpu_seconds(1)


# ---------------------------------------------------------------- what is shown


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("jobs_per_second", 12_345.6, "12,346 /s"),
        ("p50_ms", 1.23456, "1.235 ms"),
        ("wal_bytes_per_job", 785.66, "785.7 B"),
        ("worker_cpu_us_per_job", 25.16, "25.2 us"),
        ("drift_p99_ms", 1.5, "1.500 x"),
        ("dead_tuples_per_job", 2.0, "2"),
        ("p50_ms", None, "not measured"),
    ],
)
def test_figures_are_shown_with_their_units(name: str, value: float | None, told: str) -> None:
    assert shown(name, value) == told


def test_people_are_told_what_could_not_be_measured_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    tell(ABOUT, {"drain": RUNS})
    told = capsys.readouterr().out
    assert "drain, median of 3 runs" in told
    assert "not measured: no clock (p50_ms)" in told
    assert [line.split() for line in told.splitlines() if line.startswith("jobs_per_second")] == [
        ["jobs_per_second", "20.5", "/s", "10", "/s", "30", "/s"]
    ]


@pytest.mark.parametrize(
    ("most", "found"),
    [
        (0, [0, 2.5e-10]),
        (1, [0, 0.25, 0.5, 0.75, 1.0]),
        (9, [0, 2.5, 5, 7.5, 10]),
        (41_000, [0, 20_000, 40_000, 60_000]),
    ],
)
def test_an_axis_has_a_few_round_levels_up_to_the_highest_value(most: float, found: list[float]) -> None:
    assert svg.levels(most) == pytest.approx(found)


def test_a_picture_is_well_formed_and_draws_what_is_known() -> None:
    looks = Result([Run({"status_ms": 3.0, "jobs_per_second": 0.0})])
    results = {"drain": RUNS, "held-snapshot.clean": RUNS, "backlog.full": looks, "idle": Result([Run({}, {"x": "y"})])}
    drawn = ET.fromstring(picture(ABOUT, results))  # noqa: S314 - we wrote it
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(text.itertext()) for text in drawn.iter(f"{space}text")]
    assert "sqlite 3 <&>, 2 cores, Python 3, today" in texts
    assert {"throughput, jobs per second", "backlog: questions, ms", "drain: throughput, jobs per second"} <= {*texts}
    assert "20.5" in texts
    style = "".join(style.text or "" for style in drawn.iter(f"{space}style"))
    assert "prefers-color-scheme:dark" in style
    assert len(list(drawn.iter(f"{space}polyline"))) == 2


def test_a_picture_of_nothing_is_a_picture() -> None:
    assert ET.fromstring(picture(ABOUT, {"idle": Result([Run({}, {"x": "y"})])})).get("role") == "img"  # noqa: S314 - as above
