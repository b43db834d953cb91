"""What must not grow in a soak, and how far it may: invariant I14."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from conveyor.cli.chaos.samples import Sample
from conveyor.cli.chaos.trend import HOUR, Points, Trend, trend, warm

MIB: Final = 1024.0 * 1024.0
WARMING: Final = 1 / 3
"""The first share of a run that is not judged by its slope: memory, pools and tables grow to their size."""
LONG: Final = 1800.0
"""A run must last so many seconds for the slope of a memory, or of a table, to say anything."""
SHORT: Final = 30.0
"""And so many for that of what is counted."""
PER_CELL: Final = 4
"""Descriptors that a runner holds for each of its cells."""


class Bound(NamedTuple):
    """How far one kind of figure may go, for each process or for the store."""

    most: float
    per_hour: float
    """What it may grow by in an hour, beyond the noise, once a run has lasted for ``LONG``."""
    rise: float = 0.0
    """What it may have grown by in a shorter one."""
    unit: str = ""
    scale: float = 1.0
    since: float = SHORT
    """How long a run must be for its slope to be judged."""
    step: float = 0.0
    """What it may have grown by in all, however steep the line is: allocators take memory in steps."""


BOUNDS: Final[Mapping[str, Bound]] = {
    "rss_bytes": Bound(128 * MIB, MIB, 0.0, " MiB", MIB, LONG, step=2 * MIB),
    "descriptors": Bound(128, 4, 8),
    "threads": Bound(24, 2, 4),
    "connections": Bound(8, 2, 4),
    "table_bytes": Bound(64 * MIB, 8 * MIB, 0.0, " MiB", MIB, LONG),
    "log_bytes": Bound(64 * MIB, 8 * MIB, 0.0, " MiB", MIB, LONG),
}
"""``log_bytes`` are those of SQLite's write-ahead log."""
PER_JOB: Final = 4096.0
"""Bytes of the database that a finished job may take."""
ENOUGH: Final = 1000
"""Jobs from which on that is judged: an empty database has a size too."""

Lines = Mapping[str, Points]


def lines(series: Sequence[Sample]) -> Lines:
    """What is judged, over time: figures of cells, and connections, for each process."""
    found: dict[str, list[tuple[float, float]]] = {}
    for sample in series:
        for name, value in _each(sample):
            found.setdefault(name, []).append((sample["at"], value))
    return found


def _each(sample: Sample) -> Iterator[tuple[str, float]]:
    processes = {name: count for name, count in sample.items() if name[-1].isdigit() and count}
    for process, count in processes.items():
        for kind in ("rss_bytes", "descriptors", "threads"):
            more = PER_CELL * sample.get(f"cells{process[-1]}", 0) if process.startswith("runner") else 0
            yield f"{process}_{kind}", sample[f"{process}_{kind}"] / count - (more if kind == "descriptors" else 0)
    if processes:
        yield "connections", sample["connections"] / sum(processes.values())
    for name in ("table_bytes", "log_bytes"):
        if name in sample:
            yield name, sample[name]


def trends(series: Sequence[Sample]) -> Mapping[str, Trend]:
    """What became of each, once all was warm; nothing where that cannot be told."""
    warmed = {name: warm(points, WARMING) for name, points in lines(series).items()}
    return {name: trend(points) for name, points in warmed.items() if points[-1][0] > points[0][0]}


def grown(series: Sequence[Sample], jobs: int) -> Iterator[str]:
    """What has grown, or is too big; of a run in which so many *jobs* ended."""
    lasted = series[-1]["at"]
    for name, line in lines(series).items():
        bound, most = _bound(name), max(value for _, value in line)
        if most > bound.most:
            yield f"I14: {name} went up to {_told(most, bound)}, and {_told(bound.most, bound)} is the most"
    for name, seen in trends(series).items():
        bound, hours = _bound(name), (1 - WARMING) * lasted / HOUR
        allowed = max(bound.per_hour, bound.step / hours) if lasted >= LONG else bound.rise / hours
        if lasted >= bound.since and seen.surely > allowed:
            yield f"I14: {name} grows by {_told(seen.per_hour, bound)} an hour (noise: {_told(seen.noise, bound)})"
    size = (series[-1]["database_bytes"] - series[0]["database_bytes"]) / jobs
    if jobs >= ENOUGH and size > PER_JOB:
        yield f"I14: the database grows by {size:,.0f} bytes a job"


def grows(series: Sequence[Sample]) -> Iterator[str]:
    """The figures, in words: the most, and by how much they grow in an hour."""
    found = trends(series)
    for kind, bound in BOUNDS.items():
        told = [
            f"{name.removesuffix(f'_{kind}')} {_told(seen.most, bound)} ({_told(seen.per_hour, bound, '+')}/h)"
            for name, seen in found.items()
            if _bound(name) is bound
        ]
        if told:
            yield f"{kind.removesuffix('_bytes')}: {', '.join(told)}"


def _bound(name: str) -> Bound:
    return next(bound for kind, bound in BOUNDS.items() if name.endswith(kind))


def _told(value: float, bound: Bound, sign: str = "") -> str:
    return f"{value / bound.scale:{sign},.1f}{bound.unit}"
