"""What the model is given, out of what was measured."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.scaling.measure import Sample
from benchmarks.scaling.run import Figures, Kind
from benchmarks.scaling.settings import Costs, Line

CORES: Final = 8
"""Of PostgreSQL's server in the model."""
COMMIT: Final = 0.001
"""Seconds of a flush in the model: as of a disk whose cache outlives a power cut, or a cloud's."""
POSTGRES_RATE: Final = 1.3
"""Transactions a second of a worker with nothing to do, by ``conveyor bench idle``."""


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """The line through *points* with the least relative errors; none of its parts is negative."""
    weights = [1 / max(y, 1e-9) ** 2 for _, y in points]
    whole = sum(weights)
    x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / whole
    y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / whole
    spread = sum(w * (at - x) ** 2 for w, (at, _) in zip(weights, points, strict=True))
    both = sum(w * (at - x) * (value - y) for w, (at, value) in zip(weights, points, strict=True))
    slope = max(both / spread, 0.0) if spread else 0.0
    return Line(max(y - slope * x, 0.0), slope)


def medians(rounds: Sequence[Sequence[Sample]], figure: Callable[[Sample], float]) -> list[tuple[float, float]]:
    """By the number of jobs of a call, the median of the rounds."""
    return [(of[0]["jobs"], statistics.median(map(figure, of))) for of in zip(*rounds, strict=True)]


def line(kind: Kind, call: str, figure: Callable[[Sample], float] = lambda one: one["server"]) -> Line:
    """What a call of that kind costs."""
    return fit(medians([turn[call] for turn in kind["calls"]], figure))


def per_job(kind: Kind, workers: int) -> float:
    """CPU seconds of the workers for a job, in a drain by so many."""
    runs = [drains[workers - 1] for drains in kind["drains"]]
    return statistics.median(run["worker"] / run["jobs"] for run in runs)


def _costs(kind: Kind, rate: float) -> Costs:
    looks = medians([turn["look"] for turn in kind["calls"]], lambda one: one["server"])
    return Costs(
        enqueue=line(kind, "enqueue"),
        claim=line(kind, "claim"),
        settle=line(kind, "settle"),
        look=looks[0][1],
        bell=fit(medians(kind["bell"], lambda one: one["server"])),
        rate=rate,
        worker_job=per_job(kind, 1),
        worker_call=line(kind, "claim", lambda one: one["client"]).each,
    )


def redis_costs(figures: Figures) -> Costs:
    """Of Redis."""
    return _costs(figures["redis"], idle_rate(figures["idle"]))


def postgres_costs(figures: Figures) -> Costs:
    """Of PostgreSQL."""
    return _costs(figures["postgresql"], POSTGRES_RATE)


def idle_rate(idle: Mapping[str, object]) -> float:
    """Scripts a second that a worker with nothing to do asks of one node that has one shard: those of one shard."""
    one = idle["1"]
    assert isinstance(one, dict)  # noqa: S101 - see Idle
    return float(max(one["calls"].values()) / one["seconds"])


def flush(kind: Kind) -> float:
    """Seconds of a flush of this machine's disk: what an enqueue of one job takes besides CPU."""
    waits = [turn["enqueue"][0] for turn in kind["calls"]]
    return max(statistics.median(one["took"] - one["server"] - one["client"] for one in waits), 0.0)
