"""What a soak has sampled, as a picture."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from conveyor.cli.bench.svg import Lines, Panel, drawn
from conveyor.cli.chaos.samples import Sample

MIB: Final = 1024 * 1024
PROCESSES: Final = (
    ("memory (RSS)", "MiB", "rss_bytes", MIB),
    ("descriptors", "open", "descriptors", 1),
    ("threads", "running", "threads", 1),
)
STORE: Final = (
    ("connections to the database", "open", "connections", 1),
    ("jobs that have not ended", "jobs", "unfinished", 1),
    ("table of unfinished jobs, with its indexes", "MiB", "table_bytes", MIB),
    ("write-ahead log", "MiB", "log_bytes", MIB),
    ("database, with all finished jobs", "MiB", "database_bytes", MIB),
)


def picture(about: Mapping[str, object], series: Mapping[str, Sequence[Sample]]) -> str:
    """The *series* of scenarios as SVG."""
    kind = str(about["store"]).partition(":")[0]
    where = f"{kind}, {about['cores']} cores, Python {about['python']}, {about['at']}"
    panels = [panel for samples in series.values() for panel in _panels(samples)]
    return drawn(f"conveyor chaos {' '.join(series)}, {about['conveyor']}", where, panels)


def _panels(series: Sequence[Sample]) -> Iterator[Panel]:
    roles = [name for name in series[-1] if name[-1].isdigit()]
    for title, unit, kind, scale in PROCESSES:
        lines = {_spaced(role): _line(series, f"{role}_{kind}", scale) for role in roles}
        yield Lines(title, unit, {name: line for name, line in lines.items() if line})
    for title, unit, name, scale in STORE:
        if line := _line(series, name, scale):
            yield Lines(title, unit, {title: line})


def _line(series: Sequence[Sample], name: str, scale: float) -> Sequence[tuple[float, float]]:
    return [(sample["at"], sample[name] / scale) for sample in series if name in sample]


def _spaced(role: str) -> str:
    return f"{role[:-1]} {role[-1]}"
