"""Which figures are drawn, and how."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from conveyor.cli.bench.figures import Result
from conveyor.cli.bench.svg import Bar, Bars, Lines, Panel, drawn

MIB: Final = 1024 * 1024
TIMES: Final = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "probe_p50_ms", "probe_p99_ms")
CPU: Final = ("worker_cpu_us_per_job", "server_cpu_us_per_job")
OVER_TIME: Final = (
    ("throughput", "jobs per second", {"jobs_per_second": 1}),
    ("from enqueue to start", "ms", {"p50_ms": 1, "p95_ms": 1, "p99_ms": 1}),
    ("size of what is unfinished", "MiB", {"table_bytes": MIB, "index_bytes": MIB}),
    ("size of history", "MiB", {"history_bytes": MIB}),
    ("size of the file", "MiB", {"file_bytes": MIB}),
    ("memory of the server", "MiB", {"memory_bytes": MIB}),
    ("dead tuples of what is unfinished", "rows", {"dead_tuples": 1}),
)
"""Panels of what is sampled: title, unit, and the figures with what they are divided by."""
WORDS: Final = {
    "jobs_per_second": "",
    "table_bytes": "table",
    "index_bytes": "indexes",
    "history_bytes": "",
    "file_bytes": "",
    "memory_bytes": "",
    "dead_tuples": "",
}
"""What a line is called, where that is not its figure's name."""

Results = Mapping[str, Result]


def picture(about: Mapping[str, object], results: Results) -> str:
    """*results* as SVG."""
    store = cast(Mapping[str, object], about["store"])
    where = f"{store['kind']} {store['version']}, {about['cores']} cores, Python {about['python']}, {about['at']}"
    panels = [*_speeds(results), *_cpu(results), *_latency(results), *_looks(results), *_series(results)]
    return drawn(f"conveyor bench {about['conveyor']}: {', '.join(_measures(results))}", where, panels)


def _measures(results: Results) -> Sequence[str]:
    return list(dict.fromkeys(name.partition(".")[0] for name in results))


def _speeds(results: Results) -> Iterable[Panel]:
    bars = [_bar(name, result, "jobs_per_second") for name, result in results.items() if name != "latency"]
    yield from _panel("throughput", "jobs per second", bars)


def _cpu(results: Results) -> Iterable[Panel]:
    busy = {name: result for name, result in results.items() if name != "latency"}  # which mostly waits
    bars = [_bar(name, result, figure, place) for name, result in busy.items() for place, figure in enumerate(CPU)]
    yield from _panel("CPU time", "microseconds per job", bars, ["worker", "server"])


def _latency(results: Results) -> Iterable[Panel]:
    if "latency" in results:
        bars = [_bar(figure.removesuffix("_ms"), results["latency"], figure, "probe" in figure) for figure in TIMES]
        yield from _panel("latency: from enqueue to start", "ms", bars, ["job", "raw probe"])


def _looks(results: Results) -> Iterable[Panel]:
    parts = [(place, results[name]) for place, name in enumerate(("backlog.empty", "backlog.full")) if name in results]
    names = dict.fromkeys(name for _, result in parts for name in result.names if name.endswith("_ms"))
    bars = [_bar(name.removesuffix("_ms"), result, name, place) for name in names for place, result in parts]
    yield from _panel("backlog: questions", "ms", bars, ["empty store", "full store"])


def _bar(label: str, result: Result, figure: str, colour: int = 0) -> Bar | None:
    over, median = result.over(figure), result.median(figure)
    return None if median is None else Bar(label, median, over[0], over[-1], colour)


def _panel(title: str, unit: str, bars: Iterable[Bar | None], legend: Sequence[str] = ()) -> Iterable[Panel]:
    known = [bar for bar in bars if bar is not None]
    if known:
        yield Bars(title, unit, known, legend)


def _series(results: Results) -> Iterable[Panel]:
    """Of each measure with samples, those of its last run; the parts of one measure share their panels."""
    for measure in _measures(results):
        parts = {name: result for name, result in results.items() if name.partition(".")[0] == measure}
        for title, unit, figures in OVER_TIME:
            lines: dict[str, Sequence[tuple[float, float]]] = {}
            for name, result in parts.items():
                part = name.partition(".")[2]
                for figure, scale in figures.items():
                    points = [(s["at"], s[figure] / scale) for s in result.runs[-1].series if figure in s]
                    if points:
                        words = WORDS.get(figure, figure.removesuffix("_ms"))
                        lines[f"{part} {words}".strip() or measure] = points
            if lines:
                yield Lines(f"{measure}: {title}", unit, lines)
