"""The tables and the picture of the page: what was measured, and what was modelled."""

import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from benchmarks.scaling.costs import CORES, line
from benchmarks.scaling.drains import Drained
from benchmarks.scaling.grid import HOT, OFFERED, SHARDS, SLOW, WAITED, WORKERS, Row
from benchmarks.scaling.measure import CALLS
from benchmarks.scaling.run import Figures
from conveyor.cli.bench.svg import Bar, Bars, drawn

PART: Final = re.compile(r"(<!-- scaling: ([\w-]+) -->\n).*?(<!-- end of it -->)", re.DOTALL)
MICRO: Final = 1_000_000
MILLI: Final = 1_000
BEHIND: Final = 0.9
"""Less than this of what was offered is started, and the line grows."""
QUICK: Final = 0.01
NOT_RUN: Final = "not run"


def renewed(text: str, made: Mapping[str, str]) -> str:
    """A page with its tables made anew."""
    return PART.sub(lambda found: found[1] + made[found[2]] + found[3], text)


def tables(figures: Figures, rows: Sequence[Row]) -> dict[str, str]:
    """By the name under which the page asks for them."""
    return {
        "where": _where(figures),
        "nodes": _nodes(figures),
        "calls": _calls(figures),
        "idle": _idle(figures),
        "proof": _proof(figures, rows),
        "most": _most(rows, QUICK),
        "most-slow": _most(rows, SLOW),
        "waits": _waits(rows),
        "skew": _skew(rows),
    }


def chart(figures: Figures, rows: Sequence[Row]) -> str:
    """Jobs a second of a hundred workers, by shards."""
    found = _found(rows, "most", QUICK)
    most = WORKERS[1]
    bars = [Bar("one PostgreSQL", *[found["postgresql", most, 1]["ended"]] * 3, colour=1)]
    for shards in SHARDS:
        name = "one Redis" if shards == 1 else f"{shards} shards"
        bars.append(Bar(name, *[found["redis", most, shards]["ended"]] * 3))
    about = (
        f"Modelled from service times measured on {figures['date']}; each shard on a node, PostgreSQL on {CORES} cores"
    )
    return drawn(f"The most that {most:,} workers get through", about, [Bars("jobs", "a second", bars)])


# -- measured


def _where(figures: Figures) -> str:
    machine = figures["machine"]
    return (
        f"{figures['date']}, {machine['processor']}, {machine['cores']} cores that servers, workers and the enqueuing\n"
        f"process shared; {figures['redis']['version']} with the append-only file, `appendfsync everysec`;\n"
        f"{figures['postgresql']['version']} with `fsync`. Medians of {figures['rounds']} rounds, with the lowest and "
        "the highest.\n"
    )


def _nodes(figures: Figures) -> str:
    def per_job(what: Callable[[Drained], float], runs: Sequence[Drained]) -> str:
        return _spread([what(run) / run["jobs"] * MICRO for run in runs])

    lines = []
    for shards, runs in figures["nodes"].items():
        used = figures["placed"][shards]
        lines.append(
            [
                shards,
                per_job(lambda run: sum(run["enqueue"][node] for node in used) / len(used), runs),  # noqa: B023 - used at once
                per_job(lambda run: sum(run["drain"][node] for node in used) / len(used), runs),  # noqa: B023 - as above
                per_job(lambda run: sum(run["enqueue"][node] + run["drain"][node] for node in used), runs),  # noqa: B023 - as above
                per_job(lambda run: run["worker"], runs),
                per_job(lambda run: run["client"], runs),
                _spread([run["calls"] / run["jobs"] * MILLI for run in runs]),
            ]
        )
    head = (
        "Shards|Enqueue, each node|Claim and end, each node|All nodes|Worker|Enqueuing process|Scripts for 1,000 jobs"
    )
    return _table(head.split("|"), lines)


def _calls(figures: Figures) -> str:
    lines = []
    for title, kind in (("Redis", figures["redis"]), ("PostgreSQL", figures["postgresql"])):
        for call in ("enqueue", "claim", "settle"):
            cells = [title, {"settle": "end"}.get(call, call)]
            for jobs in CALLS:
                of = [one for turn in kind["calls"] for one in turn[call] if one["jobs"] == jobs]
                cells.append(_spread([one["server"] / jobs * MICRO for one in of]))
            fitted = line(kind, call)
            cells.append(f"{_number(fitted.each * MICRO)} + {_number(fitted.job * MICRO)} n")
            lines.append(cells)
    sizes = [f"{jobs:,} a call" for jobs in CALLS]
    return _table(["", "", *sizes, "A call of n"], lines)


def _idle(figures: Figures) -> str:
    lines = []
    for shards, one in figures["idle"].items():
        used = figures["placed"][shards]
        calls = [one["calls"][node] for node in used]
        held = sum(one["connections"].values())
        lines.append([shards, _number(sum(calls)), _number(statistics.mean(calls)), _number(held)])
    lines.append(["PostgreSQL", "13", "", _number(figures["connections"][0])])
    return _table(["Shards", "Scripts, or transactions, in 10 s", "Of each shard", "Connections"], lines)


def _proof(figures: Figures, rows: Sequence[Row]) -> str:
    lines = []
    for store, title in (("redis", "Redis"), ("postgresql", "PostgreSQL")):
        kind = figures["redis"] if store == "redis" else figures["postgresql"]
        for workers in (1, 2):
            runs = [drains[workers - 1] for drains in kind["drains"]]
            real = [run["rate"] for run in runs]
            model = next(
                row["ended"] for row in rows if (row["what"], row["store"], row["workers"]) == ("proof", store, workers)
            )
            error = model / statistics.median(real) - 1
            lines.append([title, str(workers), _spread(real), _number(model), f"{error:+.0%}"])
    return _table(["Store", "Workers", "Measured, jobs/s", "Model", "Error"], lines)


# -- modelled


def _found(rows: Sequence[Row], what: str, run_time: float) -> dict[tuple[str, int, int], Row]:
    chosen = [row for row in rows if row["what"] == what and row["run_time"] == run_time]
    return {(row["store"], row["workers"], row["shards"]): row for row in chosen}


def _most(rows: Sequence[Row], run_time: float) -> str:
    found = _found(rows, "most", run_time)

    def cell(store: str, workers: int, shards: int) -> str:
        row = found.get((store, workers, shards))
        if row is None:
            return NOT_RUN
        return f"{_round(row['ended'])} ({row['busiest']:.0%})"

    lines = [
        [f"{workers:,}", *(cell("redis", workers, shards) for shards in SHARDS), cell("postgresql", workers, 1)]
        for workers in WORKERS
    ]
    return _table(["Workers", "1 shard", *(f"{shards}" for shards in SHARDS[1:]), "PostgreSQL"], lines)


def _waits(rows: Sequence[Row]) -> str:
    def cell(store: str, workers: int, shards: int, offered: float) -> str:
        wanted = ("waits", store, workers, shards, offered)
        row = next((row for row in rows if _key(row) == wanted), None)
        if row is None:
            return NOT_RUN
        if row["ended"] < BEHIND * offered and row["ended"] + 3 * row["ended"] ** 0.5 < offered:
            return "falls behind"
        return f"{_number(row['p50'] * MILLI)} / {_number(row['p99'] * MILLI)} ({row['busiest']:.0%})"

    lines = [
        [
            f"{workers:,}",
            f"{offered:,.0f}",
            *(cell("redis", workers, shards, offered) for shards in WAITED),
            cell("postgresql", workers, 1, offered),
        ]
        for workers in WORKERS
        for offered in OFFERED
    ]
    head = ["Workers", "Jobs/s", "1 shard", *(f"{shards} shards" for shards in WAITED[1:]), "PostgreSQL"]
    return _table(head, lines)


def _skew(rows: Sequence[Row]) -> str:
    found = {row["hot"]: row for row in rows if row["what"] == "skew"}
    lines = [
        ["none" if not hot else f"{hot:.0%} of all jobs", f"{found[hot]['hottest']:.0%}", _round(found[hot]["ended"])]
        for hot in HOT
        if hot in found
    ]
    return _table(["In one schedule", "The busiest shard has", "Jobs/s"], lines)


def _key(row: Row) -> tuple[str, str, int, int, float]:
    return row["what"], row["store"], row["workers"], row["shards"], row["offered"]


# -- words


def _table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = list(head)
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *lines)).replace("|  |", "| |")


def _spread(values: Sequence[float]) -> str:
    middle, low, high = (_number(value) for value in (statistics.median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - two digits are enough


def _round(value: float) -> str:
    """Two digits, and noughts: a model is not more exact."""
    digits = max(len(str(int(value))) - 2, 0)
    return f"{round(value / 10**digits) * 10**digits:,}"
