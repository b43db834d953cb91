"""What ``conveyor chaos`` says of what it finds, and what it takes on its command line."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from conveyor.cli import build, main
from conveyor.cli.chaos import command, namespace, tree
from conveyor.cli.chaos import options as given
from conveyor.cli.chaos.checker import Recovery, Report, check, violations
from conveyor.cli.chaos.forwarder import Forwarder
from conveyor.cli.chaos.freezer import KINDS, Kind, freezer
from conveyor.cli.chaos.history import History
from conveyor.cli.chaos.hits import Hits
from conveyor.cli.chaos.left import noted
from conveyor.cli.chaos.options import Settings
from conveyor.cli.chaos.processes import Watch
from conveyor.cli.chaos.scenarios import ALL, Scenario
from conveyor.cli.chaos.site import Found, Site
from conveyor.cli.chaos.tables import Tables
from conveyor.cli.chaos.told import HEAD, as_json, row, tell, tell_list
from conveyor.core.errors import ConveyorError
from tests.support.waiting import until

SCENARIO = Scenario("P99", "nothing happens", lambda _: Tables((), ()))
ABOUT = {"conveyor": "1", "python": "3", "cores": 2, "at": "now", "store": "sqlite:///a.db", "seed": 7}


def report(**changes: object) -> Report:
    """Of a good run, but for *changes*."""
    good = check([], Tables((), ()))
    return Report(
        **{
            **vars(good),
            "accepted": 12,
            "recoveries": tuple(Recovery(1.0, freed, 9.0) for freed in (0.5, 2.0, 1.0)),
            "refused": 3,
            **changes,
        }
    )


def read(*words: str) -> Settings:
    parser, _ = build(["chaos"])
    return given.read(parser.parse_args(["chaos", *words]), "sqlite:///x.db")


# ------------------------------------------------------------ command line


def test_words_are_scenarios_and_none_of_them_all() -> None:
    assert read().what == []
    assert read("P04", "p01", "P04", "--seconds", "3", "--rounds", "2", "--seed", "7") == Settings(
        "sqlite:///x.db", ["P04", "P01"], 3.0, 2, 7
    )
    assert read().seed != read().seed


WRONG: dict[str, tuple[Sequence[str], str]] = {
    "scenario": (["P1"], "there is no 'P1'; choose from 'P01',"),
    "seconds": (["--seconds", "0"], "must be a number from 0.1 to 86,400"),
    "rounds": (["--rounds", "x"], "x must be a number from 1"),
    "option": (["--kills"], "there is no option --kills"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_refused_in_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, said = WRONG[case]
    with pytest.raises(SystemExit) as ended:
        main(["chaos", *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_list_says_what_cannot_be_run_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "--list"]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert {scenario.name for scenario in ALL} <= listed.keys()
    assert "it is about PostgreSQL" in listed["D02"]
    tell_list(ALL, "postgresql://x/y")
    assert "it is about SQLite" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["redis+cluster://a:1,b:2/0", "redis+sentinel://a:1/shop/0", "postgresql://a:1,b:2/x"])
def test_no_proxy_stands_before_several_servers(url: str) -> None:
    """Whoever is told by one of them where the others are would pass it by."""
    why = {scenario.name: scenario.why_not(url) for scenario in ALL if scenario.proxied}
    assert why.keys() == {"D05", "N01", "N04"}
    assert all("one server's host and port" in said for said in why.values())


def test_without_the_rights_for_it_a_scenario_is_not_run_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["chaos", "N04", "--json", "--store", "postgresql://localhost:1/x"]) == 0
    told = json.loads(capsys.readouterr().out)["scenarios"]["N04"]
    assert told == {"outcome": "not run", "why": "it takes root, for a network namespace"}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")
    assert "there is no `ip` here" in namespace.impossible()


def test_what_turns_out_to_be_impossible_is_not_run_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(site: Site) -> Tables:
        monkeypatch.setattr(namespace, "impossible", str)
        monkeypatch.setattr(namespace, "ip", lambda *_: "Operation not permitted")
        with namespace.namespace(site.folder):
            raise AssertionError

    monkeypatch.setattr(command, "ALL", [Scenario("P01", "needs more than it seems", refused)])
    assert main(["chaos", "P01", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["scenarios"]["P01"]
    assert told["outcome"] == "not run"
    assert told["why"].startswith("`ip netns add conveyor-")
    assert told["why"].endswith("was refused: Operation not permitted")


def test_a_mute_forwarder_holds_back_what_is_said_and_passes_it_on_in_the_end() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Forwarder(f"postgresql://u:p@localhost:{server.getsockname()[1]}/x?sslmode=disable") as between,
    ):
        assert between.url == f"postgresql://u:p@127.0.0.1:{between.port}/x?sslmode=disable"
        with socket.create_connection(("127.0.0.1", between.port)) as client:
            there, _ = server.accept()
            client.sendall(b"before")
            assert there.recv(100) == b"before"
            between.mute()
            until(lambda: not between.speaks.is_set())
            client.sendall(b"meanwhile")
            there.settimeout(0.05)
            with pytest.raises(TimeoutError):
                there.recv(100)
        there.settimeout(10)  # the client has given up, and that is heard last
        between.heal()
        assert b"".join(iter(lambda: there.recv(100), b"")) == b"meanwhile"
        there.close()


@pytest.mark.parametrize("kinds", [KINDS, KINDS[1:], ()], ids=["any", "cgroup", "signals"])
def test_processes_are_frozen_together_and_let_go_and_no_group_is_left(tmp_path: Path, kinds: Sequence[Kind]) -> None:
    """By whatever this machine allows; without any rights, by signals."""
    writes = [sys.executable, "-c", "import os, time\nwhile True: os.write(1, b'.'); time.sleep(0.001)"]
    with subprocess.Popen(writes, stdout=subprocess.PIPE) as process, freezer(tmp_path, kinds) as ice:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        assert os.read(pipe, 1) == b"."
        assert ice.freeze(lambda: [process.pid]) == [process.pid]
        os.set_blocking(pipe, False)
        with contextlib.suppress(BlockingIOError):
            while os.read(pipe, 65_536):
                pass
        assert select.select([pipe], [], [], 0.1)[0] == []
        ice.thaw([process.pid])
        assert select.select([pipe], [], [], 30)[0] == [pipe]
        process.kill()
    assert [one.name for one in noted(tmp_path) if Path(one.name).exists()] == []


def test_the_status_is_1_when_anything_was_violated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results: dict[str, Found | str] = {"P01": Found(report()), "D02": "it is about PostgreSQL"}
    monkeypatch.setattr(command, "_result", lambda scenario, _: results[scenario.name])
    assert main(["chaos", "P01", "D02", "--json"]) == 0
    results["P01"] = Found(report(lost=("a",)), violations=["I1: 1 job accepted, and without an outcome: a"])
    assert main(["chaos", "P01", "D02", "--json"]) == 1
    good, bad = capsys.readouterr().out.split("\n}\n", 1)
    assert json.loads(good + "}")["scenarios"]["P01"]["outcome"] == "ok"
    told = json.loads(bad)["scenarios"]
    assert (told["P01"]["outcome"], told["P01"]["lost"], told["D02"]) == (
        "violated",
        1,
        {"outcome": "not run", "why": "it is about PostgreSQL"},
    )


# -------------------------------------------------------------------- table


def test_a_row_has_the_figures_in_the_order_of_the_head() -> None:
    found = Found(report(), faults=1234)
    told = dict(zip(HEAD, row("P01", found), strict=True))
    assert told == {
        "SCENARIO": "P01",
        "OUTCOME": "ok",
        "FAULTS": "1,234",
        "ACCEPTED": "12",
        "LOST": "0",
        "DOUBLED": "0",
        "REFUSED": "3",
        "P50": "1.00 s",
        "P99": "2.00 s",
        "MAX": "2.00 s",
    }


def test_without_a_recovery_there_is_no_time_and_not_the_time_zero() -> None:
    assert row("P01", Found(report(recoveries=())))[-3:] == ("-", "-", "-")
    assert as_json(Found(report(recoveries=())))["recovery_max"] is None


def test_what_was_not_run_has_no_figures() -> None:
    assert set(row("D02", "it is about PostgreSQL")[2:]) == {"-"}
    assert row("D02", "it is about PostgreSQL")[1] == "not run"


def test_what_could_not_be_carried_out_is_neither_good_nor_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Site) -> Tables:
        raise ConveyorError("who enqueues has ended")

    monkeypatch.setattr(command, "ALL", [Scenario("P01", "fails", fail)])
    assert main(["chaos", "P01"]) == 1
    told = capsys.readouterr().out
    assert "P01       FAILED   -" in told
    assert "P01 VIOLATED it could not be carried out: who enqueues has ended" in told
    assert as_json(Found(violations=["x"])) == {"outcome": "failed", "violations": ["x"]}


def test_below_the_table_stand_violations_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found(report(), violations=["I1: 1 job ..."], notes=["7 whole"])
    other = Scenario("N99", "nothing", SCENARIO.act, missing=lambda: "it takes root")
    tell(ABOUT, {SCENARIO: found, other: "it takes root"})
    told = capsys.readouterr().out
    assert "P99 VIOLATED I1: 1 job ...\nP99 nothing happens\n    7 whole\nN99 not run: it takes root\n" in told
    assert "seed=7" in told


def test_recoveries_are_told_by_what_was_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 20.0, 30.0, 40.0])
    monkeypatch.setattr("conveyor.cli.chaos.hits.time", SimpleNamespace(monotonic=lambda: next(now)))
    hits = Hits()
    assert hits.told([Recovery(5.0, 1.0, 1.0)]) == []
    hits.begin()  # at 10, and over some time later
    hits.add("cell")
    hits.begin()
    hits.add("whole")
    hits.begin()
    hits.add("cell")
    hits.add("packets")  # several at one moment: whose is a recovery?
    assert len(hits) == 4
    told: list[tuple[float, float | None, float]] = [
        (9.0, 7.0, 7.0),
        (11.0, 0.5, 1.0),
        (19.9, 0.25, 3.0),
        (20.0, 4.0, 5.0),
        (31.0, None, 2.0),
        (41.0, 9.0, 9.0),
    ]
    again = "1 job given back at once; started again after 2.00 s, p99 3.00, max 3.00"
    assert hits.told([Recovery(*each) for each in told]) == [
        "2 cell, 1 whole, 1 packets",
        f"cell: 2 jobs taken back after 0.25 s, p99 0.50, max 0.50, {again}",
        "whole: 1 job taken back after 4.00 s, p99 4.00, max 4.00; started again after 5.00 s, p99 5.00, max 5.00",
    ]


def test_each_violation_names_its_invariant_and_the_first_jobs() -> None:
    assert violations(report()) == []
    lines = violations(report(lost=("a", "b", "c", "d"), uninvited=2, overlaps=(250.0, 100.0), foreign=("e",)))
    assert lines == [
        "I1: 4 jobs accepted, and without an outcome: a, b, c, ...",
        "I4: 1 job ended by an attempt that had lost them: e",
        "I1: 2 jobs that nobody enqueued",
        "I4: 2 times two executions of a job at once, up to 250 ms",
    ]


# --------------------------------------------------------------- processes

SLEEP = "import os, subprocess, sys, time; os.write(1, b'.'); "
CHILD = f"{SLEEP}subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"


def test_a_tree_is_found_by_its_mark_and_ended_with_those_whose_parent_has_died() -> None:
    mark = f"test-{os.getpid()}"
    environment = {**os.environ, tree.RUN: mark}
    with subprocess.Popen([sys.executable, "-c", CHILD], env=environment, stdout=subprocess.DEVNULL) as parent:
        until(lambda: len(tree.family(tree.RUN, mark)) == 2, patience=30)
        members = tree.family(tree.RUN, mark)
        (child,) = members.keys() - {parent.pid}
        assert (tree.depth(parent.pid, members), tree.depth(child, members)) == (0, 1)
        assert tree.below(parent.pid, members) == [parent.pid, child]
        assert tree.family(tree.RUN, f"{mark}x") == {}
        parent.kill()
        parent.wait()
        until(lambda: tree.family(tree.RUN, mark).keys() == {child})
        assert tree.lives(child)
        tree.end(tree.RUN, mark)
        until(lambda: not tree.lives(child))
        assert tree.send([parent.pid], signal.SIGKILL) == []


def test_who_has_written_is_known_by_the_names_of_the_files(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert history.writers() == set()
    history.write("asked")
    assert history.writers() == {os.getpid()}


def test_the_death_of_a_process_is_seen_though_an_earlier_one_of_its_number_has_died(tmp_path: Path) -> None:
    """Over thousands of processes numbers come again; what such a one had begun would last for ever."""
    history = History(tmp_path)
    watch = Watch(history)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        until(lambda: process.pid in tree.present())
        with watch._lock:
            watch._gone[process.pid] = tree.began(process.pid) - 10
        (tmp_path / f"{process.pid}-1.history").touch()
        assert process.pid in history.writers()
        until(lambda: process.pid in watch._open)
        process.kill()
        until(lambda: [record.pid for record in history.read() if record.kind == "gone"] == [process.pid])
    watch.stop()
