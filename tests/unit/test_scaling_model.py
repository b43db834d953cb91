"""The model of many workers and shards gives what is known without it, and the page says what it gave."""

import json
import random
from dataclasses import replace
from functools import partial

import pytest

from benchmarks.scaling.__main__ import FIGURES, MODELLED, PAGE
from benchmarks.scaling.clockwork import Clock, Disk, Station
from benchmarks.scaling.costs import fit
from benchmarks.scaling.model import modelled
from benchmarks.scaling.report import chart, renewed, tables
from benchmarks.scaling.settings import Costs, Line, Setting

COSTS = Costs(
    enqueue=Line(0.0, 0.0),
    claim=Line(0.0001, 0.00001),
    settle=Line(0.0001, 0.00002),
    look=0.00005,
    bell=Line(0.0, 0.0),
    rate=0.1,
    worker_job=0.0,
    worker_call=0.0,
)
SERVICE = 0.001


def waits(load: float, jobs: int) -> float:
    """The mean wait before one server, of requests that come at random and take the same time each."""
    clock, found = Clock(), list[float]()
    station, chance = Station(clock), random.Random(7)

    def begin(came: float) -> float:
        found.append(clock.now - came)
        return SERVICE

    at = 0.0
    for _ in range(jobs):
        at += chance.expovariate(load / SERVICE)
        clock.after(at, lambda at=at: station.ask(partial(begin, at), lambda: None))  # type: ignore[misc]  # a lambda's default
    clock.run(float("inf"))
    return sum(found) / len(found)


@pytest.mark.parametrize("load", [0.3, 0.6])
def test_a_line_before_one_server_is_as_long_as_pollaczek_and_khinchine_say(load: float) -> None:
    assert waits(load, 20_000) == pytest.approx(load * SERVICE / (2 * (1 - load)), rel=0.1)


def test_several_servers_have_one_line_and_cores_are_shared() -> None:
    for servers, cores, seconds in ((1, 4, 8.0), (2, 4, 4.0), (4, 2, 4.0)):
        clock = Clock()
        host = Station(clock, cores)
        station, ends = Station(clock, servers, host), list[float]()
        for _ in range(8):
            station.ask(lambda: 1.0, lambda clock=clock, ends=ends: ends.append(clock.now))  # type: ignore[misc]  # a lambda's default
        clock.run(100.0)
        assert (max(ends), station.busy) == (seconds, 8.0)


def test_commits_that_wait_for_a_flush_share_the_next_one() -> None:
    clock, ends = Clock(), list[float]()
    disk = Disk(clock, 1.0)
    for at in (0.0, 0.25, 0.5):
        clock.after(at, lambda: disk.commit(lambda: ends.append(clock.now)))
    clock.run(10.0)
    assert ends == [1.0, 2.0, 2.0]


def test_a_shard_that_has_no_time_left_gets_through_what_its_service_times_say() -> None:
    # Hundreds of jobs a call, so that one costs little more than its own share of claim and end.
    found = modelled(Setting(COSTS, workers=10, slots=300))
    assert max(found.busy) == pytest.approx(1.0, abs=0.02)
    assert 0.85 / 0.00003 < found.ended < 1 / 0.00003


def test_shards_share_the_work_until_workers_are_what_is_short() -> None:
    one, four = (modelled(Setting(COSTS, workers=60, shards=shards, seconds=0.5)) for shards in (1, 4))
    assert 60 * 10 / 0.01 * 0.9 < four.ended <= 60 * 10 / 0.01 * 1.05
    assert four.ended > 2 * one.ended
    assert four.hottest == pytest.approx(0.25, abs=0.03)


def test_a_job_alone_waits_for_one_claim_and_its_ways() -> None:
    found = modelled(Setting(COSTS, workers=1, offered=20.0, round_trip=0.002, seconds=5.0))
    # The ring is on its way, and then a claim goes there and back.
    assert found.wait(0.5) == pytest.approx(0.001 + 0.002 + 0.00011, rel=0.1)


def test_where_all_are_rung_the_bell_has_a_way_of_its_own() -> None:
    found = modelled(Setting(COSTS, workers=1, offered=20.0, round_trip=0.002, seconds=5.0, rings_one=False))
    assert found.wait(0.5) == pytest.approx(0.001 + 0.002 + 0.002 + 0.00011, rel=0.1)


def test_only_the_shard_that_rings_is_asked_however_many_there_are() -> None:
    one, many = (modelled(Setting(COSTS, 1, shards, offered=20.0, seconds=5.0)) for shards in (1, 32))
    assert many.wait(0.5) == pytest.approx(one.wait(0.5), rel=0.05)


def test_a_job_alone_wakes_two_however_many_workers_rest() -> None:
    few, many = (modelled(Setting(COSTS, workers, offered=20.0, seconds=5.0)) for workers in (2, 50))
    assert max(many.busy) < 1.5 * max(few.busy) + 50 * COSTS.rate * COSTS.look + 50 * COSTS.claim.each / 5


def test_jobs_of_one_schedule_lie_in_one_shard() -> None:
    even = Setting(replace(COSTS, enqueue=Line(0.0, 0.00001)), workers=20, shards=4, slots=100, warm=0.5, seconds=0.5)
    found, hot = modelled(even), modelled(replace(even, hot=0.5, warm=3.0))
    assert hot.hottest == pytest.approx(0.5 + 0.5 / 4, abs=0.06)
    assert hot.ended < 0.8 * found.ended


def test_the_same_setting_gives_the_same_each_time_and_another_seed_another() -> None:
    setting = Setting(COSTS, workers=5, shards=4, offered=200.0)
    one, again, other = modelled(setting), modelled(setting), modelled(replace(setting, seed=2))
    assert (one.waits, one.busy) == (again.waits, again.busy)
    assert one.waits != other.waits


def test_a_line_goes_through_what_was_measured() -> None:
    found = fit([(1, 12.0), (10, 30.0), (100, 210.0), (1_000, 2_010.0)])
    assert (found.each, found.job) == (pytest.approx(10.0), pytest.approx(2.0))
    assert fit([(1, 1.0), (10, 20.0)]).each == 0.0


def test_the_page_has_the_tables_of_what_was_measured_and_modelled() -> None:
    figures, rows = json.loads(FIGURES.read_text("utf-8")), json.loads(MODELLED.read_text("utf-8"))
    text = PAGE.read_text("utf-8")
    assert renewed(text, tables(figures, rows)) == text, "run: python -m benchmarks.scaling report"
    assert PAGE.with_suffix(".svg").read_text("utf-8") == chart(figures, rows)
    assert all(f"<!-- scaling: {name} -->" in text for name in tables(figures, rows))
