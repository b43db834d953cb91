"""The comparison's arithmetic and its tables; the runs themselves are ``make compare``."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.compare import PEERS, chosen
from benchmarks.environments import Missing
from benchmarks.figures import Summary, gather, ratios, summary
from benchmarks.grounds import RedisGround
from benchmarks.machine import Spent, cpu_of
from benchmarks.measures import Sizes, percentile
from benchmarks.peers.common import About, Tally
from benchmarks.place import Peer
from benchmarks.report import Report, markdown
from benchmarks.tables import ROWS, behind, figures_table, ratios_table
from tests.support.redis import versions

TITLES = {"conveyor": "Conveyor", "pgqueuer": "PgQueuer", "oban": "Oban"}
RESULTS = {
    "conveyor": {"drain": [30_000.0, 10_000.0, 20_000.0], "drain_kept": [1.0], "single": [900.0], "p50": [2.25]},
    "pgqueuer": {"drain": [10_000.0, 5_000.0, 8_000.0], "drain_kept": [0.5], "single": [1_200.0], "p50": [3.0]},
    "oban": {"drain": [2_500.0, 1_250.0, 800.0], "drain_kept": [1.0]},
}


def test_a_summary_is_the_median_and_the_extremes() -> None:
    assert summary([3.0, 1.0, 2.0]) == Summary(2.0, 1.0, 3.0)
    assert summary([4.0, 1.0]) == Summary(2.5, 1.0, 4.0)


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was half as fast in the second round, for both.
    assert list(ratios([30.0, 15.0], [10.0, 5.0])) == [3.0, 3.0]


def test_a_ratio_wants_both_of_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([30.0, 15.0], [10.0])


def test_rounds_are_gathered_by_peer_and_key() -> None:
    rounds = [{"a": {"x": 1.0, "y": 2.0}, "b": {"x": 3.0}}, {"b": {"x": 4.0}, "a": {"x": 5.0, "y": 6.0}}]
    assert gather(rounds) == {"a": {"x": [1.0, 5.0], "y": [2.0, 6.0]}, "b": {"x": [3.0, 4.0]}}


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (0, 1), (1, 1)])
def test_a_percentile_is_one_of_the_values(percent: int, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_a_percentile_of_few_is_on_the_slow_side() -> None:
    assert percentile([1, 2, 3], 50) == 2
    assert percentile([1, 2, 3], 99) == 3


def test_figures_are_shown_with_their_spread_and_what_was_not_measured_as_a_dash() -> None:
    assert figures_table(TITLES, RESULTS) == (
        "|  | better | Conveyor | PgQueuer | Oban |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| drain, one process, jobs/s | more | 20,000 (10,000 to 30,000) | 8,000 (5,000 to 10,000) "
        "| 1,250 (800 to 2,500) |\n"
        "| enqueue, one awaited at a time, jobs/s | more | 900 | 1,200 | - |\n"
        "| enqueue to start at 20/s, p50, ms | less | 2.25 | 3.00 | - |\n"
    )


def test_ratios_are_shown_in_the_same_way() -> None:
    lines = ratios_table(TITLES, RESULTS, "pgqueuer").splitlines()
    assert lines[2] == (
        "| drain, one process, jobs/s | more | 2.50 (2.00 to 3.00) | 1.00 (1.00 to 1.00) | 0.25 (0.10 to 0.25) |"
    )
    assert lines[3:] == [
        "| enqueue, one awaited at a time, jobs/s | more | 0.75 | 1.00 | - |",
        "| enqueue to start at 20/s, p50, ms | less | 0.75 | 1.00 | - |",
    ]


def test_it_is_said_where_ours_is_behind() -> None:
    assert list(behind(TITLES, RESULTS, "conveyor")) == [
        "enqueue, one awaited at a time, jobs/s: Conveyor 900, PgQueuer 1,200."
    ]
    assert list(behind(TITLES, RESULTS, "oban")) == ["drain, one process, jobs/s: Oban 1,250, Conveyor 20,000."]


def test_every_row_has_a_key_and_a_title_of_its_own() -> None:
    assert len({row.key for row in ROWS}) == len({row.title for row in ROWS}) == len(ROWS)


def report(back: dict[str, float | None]) -> Report:
    about: About = {"version": "1.2", "settings": "`batch=100`", "unfinished": "SELECT 1", "kept": "SELECT 2"}
    return {
        "date": "2026-11-29 04:00 UTC",
        "machine": {"cores": "2"},
        "python": "3.13",
        "store": "PostgreSQL",
        "server": {"fsync": "on"},
        "jobs": {"conveyor": 40_000, "pgqueuer": 40_000, "oban": 6_000},
        "rounds": 3,
        "seconds": 5.0,
        "titles": TITLES,
        "about": dict.fromkeys(TITLES, about),
        "results": RESULTS,
        "comes_back": back,
    }


def test_a_report_says_where_it_was_made_and_what_each_peer_keeps_and_loses() -> None:
    text = markdown(report({"conveyor": 21.74, "pgqueuer": None}))
    assert "cores: 2; Python 3.13 for all; PostgreSQL with `fsync=on`." in text
    assert (
        "Where Conveyor is behind:\n\n* enqueue, one awaited at a time, jobs/s: Conveyor 900, PgQueuer 1,200.\n" in text
    )
    assert "| Conveyor | 1.2 | 40,000 | 100% | ran again after 21.7 s | `batch=100` |\n" in text
    assert "| PgQueuer | 1.2 | 40,000 | 50% | did not come back | `batch=100` |\n" in text
    assert "| Oban | 1.2 | 6,000 | 100% | not tried | `batch=100` |\n" in text


def test_a_peer_of_which_only_the_worker_was_killed_stands_in_the_last_table_alone() -> None:
    whole = report({"late": None})
    whole["titles"] = {**TITLES, "late": "Late"}
    whole["about"] = {**whole["about"], "late": whole["about"]["oban"]}
    text = markdown(whole)
    assert text.count("Late") == 1
    assert "| Late | 1.2 | - | - | did not come back | `batch=100` |\n" in text


@pytest.mark.parametrize("store", PEERS)
def test_every_peer_of_a_store_has_a_driver_and_pinned_requirements(store: str) -> None:
    folder = Path(compare.__file__).parent
    for peer in chosen(store, None):
        assert (folder / "peers" / f"{peer.name}.py").exists()
        pins = (folder / peer.requirements / "requirements.txt").read_text().split()
        assert pins
        assert all("==" in pin for pin in pins)


def test_every_peer_that_waits_for_its_killed_worker_has_a_redis_database_of_its_own() -> None:
    assert len(PEERS["redis"]) <= RedisGround.DATABASES


def test_a_peer_is_chosen_by_name_and_refused_on_the_wrong_store() -> None:
    assert [peer.name for peer in chosen("redis", ["rq", "conveyor"])] == ["conveyor", "rq"]
    with pytest.raises(Missing, match="no peer rq on postgres"):
        chosen("postgres", ["rq", "oban"])


def test_a_redis_database_is_empty_at_its_turn_and_what_the_server_spends_is_counted() -> None:
    with contextlib.closing(RedisGround(versions()[0])) as ground:
        before = ground.spent()
        first = ground.fresh("x")
        with ground.asking(first) as ask:
            assert ask("redis.call('SET', 'a', 'b') return redis.call('DBSIZE')") == 1
        spent = ground.spent().since(before)
        assert spent.counts["commands"] >= 3  # those of the script are counted too
        assert spent.counts["log"] > 0
        others = [ground.fresh("x") for _ in range(RedisGround.DATABASES)]
        assert others[-1] == first
        with ground.asking(first) as ask:
            assert ask("return redis.call('DBSIZE')") == 0
        assert ground.settings()["appendfsync"] == "everysec"


def test_a_report_comes_back_from_its_file() -> None:
    whole = report({"conveyor": 21.74, "pgqueuer": None})
    assert markdown(json.loads(json.dumps(whole))) == markdown(whole)


def test_a_tally_is_read_while_it_is_written(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    assert Tally.read(tmp_path) == []
    before = time.monotonic_ns()
    tally.hit(0)
    tally.hit(before - 1_000)
    tally.hit(-1)
    (started,) = Tally.read(tmp_path)
    assert started.number == 3
    assert before <= started.first <= time.monotonic_ns()
    assert [wait >= 1_000 for wait in started.waits] == [True]


def test_slow_peers_get_fewer_jobs_but_a_whole_call_of_them() -> None:
    sizes = Sizes(jobs=40_000)
    assert [sizes.drained(Peer("x", "X", share)) for share in (1.0, 0.15, 0.001)] == [40_000, 6_000, 1_000]


def test_what_was_spent_is_a_difference() -> None:
    spent = Spent(2.5, {"wal": 300}).since(Spent(1.0, {"wal": 100}))
    assert spent == Spent(1.5, {"wal": 200})
    assert spent.each("drain", 50) == {"drain_wal": 4}


def test_the_cpu_of_a_process_grows_with_its_work_and_of_none_is_none() -> None:
    before = cpu_of(os.getpid())
    end = time.process_time() + 0.05  # five ticks of the clock that /proc has
    while time.process_time() < end:
        pass
    assert cpu_of(os.getpid()) > before
    assert cpu_of(2**22 + 1) == 0  # more than a pid can be
