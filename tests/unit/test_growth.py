"""A soak must see what grows, and nothing else."""

import random
from collections.abc import Callable

import pytest

from conveyor.cli import main
from conveyor.cli.chaos.growth import LONG, MIB, grown, grows, lines
from conveyor.cli.chaos.pictures import picture
from conveyor.cli.chaos.samples import Sample
from conveyor.cli.chaos.trend import trend, warm

HOUR = 3600.0


def series(seconds: float = HOUR, points: int = 60, **changes: Callable[[float], float]) -> list[Sample]:
    """Of one worker with two cells that stays as it is, but for *changes*: figures by the second."""
    chance = random.Random(1)
    flat = {
        "supervisor1": 1,
        "supervisor1_rss_bytes": 30 * MIB,
        "supervisor1_descriptors": 18,
        "supervisor1_threads": 7,
        "cells1": 2,
        "cells1_rss_bytes": 70 * MIB,
        "cells1_descriptors": 20,
        "cells1_threads": 10,
        "connections": 12,
        "database_bytes": 4 * MIB,
        "log_bytes": 4 * MIB,
    }
    times = [seconds * (number + 1) / points for number in range(points)]
    noise = {name: chance.uniform(-0.2, 0.2) * MIB for name in flat if name.endswith("rss_bytes")}
    found: list[Sample] = []
    for at in times:
        beside = {name: flat[name] + most * chance.random() for name, most in noise.items()}
        found.append({"at": at, **flat, **beside, **{name: change(at) for name, change in changes.items()}})
    return found


def test_the_slope_is_that_of_most_pairs_and_not_of_outliers() -> None:
    points = [(float(at), 5 + 2.0 * at) for at in range(20)]
    points[7] = (7.0, 1000.0)
    seen = trend(points)
    assert (seen.per_hour, seen.noise, seen.most) == (2 * HOUR, 0.0, 1000.0)
    assert warm(points, 0.5)[0] == points[10]


def test_what_stays_as_it_is_has_not_grown() -> None:
    assert list(grown(series(), 100_000)) == []
    assert "rss: supervisor1 30." in " ".join(grows(series()))


GROWING: dict[str, tuple[str, Callable[[float], float]]] = {
    "memory by 3 MiB an hour": ("supervisor1_rss_bytes", lambda at: (30 + 3 * at / HOUR) * MIB),
    "each cell's memory": ("cells1_rss_bytes", lambda at: 2 * (35 + 3 * at / HOUR) * MIB),
    "memory beyond its ceiling": ("supervisor1_rss_bytes", lambda at: (200 if 60 < at < 200 else 30) * MIB),
    "a descriptor each minute": ("supervisor1_descriptors", lambda at: 18 + at // 60),
    "a thread each five minutes": ("supervisor1_threads", lambda at: 7 + at // 300),
    "connections": ("connections", lambda at: 12 + at // 400),
    "the write-ahead log": ("log_bytes", lambda at: (4 + 20 * at / HOUR) * MIB),
}


@pytest.mark.parametrize("case", GROWING)
def test_what_grows_is_told_alone(case: str) -> None:
    name, change = GROWING[case]
    (told,) = grown(series(**{name: change}), 100_000)
    assert told.startswith(f"I14: {name} ")


def test_memory_that_is_taken_in_two_steps_has_not_grown() -> None:
    """As it was seen of a runner, while another gave some back."""
    stepped = series(supervisor1_rss_bytes=lambda at: (30 + 0.9 * (at > 1_900) + 0.75 * (at > 2_830)) * MIB)
    assert list(grown(stepped, 100_000)) == []


def test_a_short_run_says_nothing_of_memory_and_all_of_descriptors() -> None:
    short = LONG / 20
    grow = {"supervisor1_rss_bytes": lambda at: (30 + at) * MIB, "supervisor1_descriptors": lambda at: 18 + at // 3}
    (told,) = grown(series(short, **grow), 100)
    assert told.startswith("I14: supervisor1_descriptors ")
    assert list(grown(series(5.0, 1), 100)) == []


def test_a_database_may_keep_its_jobs_and_no_more() -> None:
    kept = series(database_bytes=lambda at: at / HOUR * 900 * MIB)
    assert list(grown(kept, 1_000_000)) == []
    assert "bytes a job" in "".join(grown(kept, 10_000))


def test_descriptors_that_a_runner_holds_for_its_cells_are_no_growth() -> None:
    sample = {"runner1": 1, "runner1_rss_bytes": MIB, "runner1_descriptors": 38, "runner1_threads": 5, "connections": 1}
    (line,) = (line for name, line in lines([{"at": 1.0, "cells1": 0, **sample}]).items() if "descr" in name)
    assert line == [(1.0, 38.0)]
    cells = {"cells1": 2, "cells1_rss_bytes": MIB, "cells1_descriptors": 20, "cells1_threads": 4}
    assert lines([{"at": 1.0, **sample, **cells}])["runner1_descriptors"] == [(1.0, 30.0)]


def test_all_that_was_sampled_is_drawn() -> None:
    about = {"conveyor": "1", "python": "3", "cores": 2, "at": "now", "store": "sqlite:///a.db"}
    drawn = picture(about, {"R01": series()})
    assert drawn.count("<polyline") == 9
    assert ">supervisor 1<" in drawn
    assert "sqlite, 2 cores" in drawn


def test_a_picture_of_what_is_not_sampled_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "P01", "--svg", "x.svg"]) == 1
    assert "none of these samples anything; R01 does" in capsys.readouterr().err
