"""The figures as Markdown, and in words where Conveyor is behind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from benchmarks.figures import Results, ratios, summary

Better = Literal["more", "less"]
SMALL, LARGE = 10, 100
"""Below the one figures have two decimals, from the other on none."""


class Row(NamedTuple):
    """One line of the tables."""

    key: str
    title: str
    better: Better


ROWS = (
    Row("drain", "drain, one process, jobs/s", "more"),
    Row("drain_worker", "drain, CPU of the worker, us/job", "less"),
    Row("drain_server", "drain, CPU of the server, us/job", "less"),
    Row("drain_wal", "drain, WAL, bytes/job", "less"),
    Row("drain_commands", "drain, commands on the server with those of scripts, a job", "less"),
    Row("drain_network", "drain, bytes to and from the server, a job", "less"),
    Row("drain_log", "drain, append-only file, bytes/job", "less"),
    Row("plain", "drain, one process with nothing set, jobs/s", "more"),
    Row("drain2", "drain, two processes, jobs/s", "more"),
    Row("drain2_worker", "two processes, their CPU, us/job", "less"),
    Row("drain2_server", "two processes, CPU of the server, us/job", "less"),
    Row("bulk", "enqueue, 1,000 a call, jobs/s", "more"),
    Row("bulk_client", "1,000 a call, CPU of the client, us/job", "less"),
    Row("bulk_server", "1,000 a call, CPU of the server, us/job", "less"),
    Row("bulk_wal", "1,000 a call, WAL, bytes/job", "less"),
    Row("bulk_commands", "1,000 a call, commands on the server with those of scripts, a job", "less"),
    Row("bulk_network", "1,000 a call, bytes to and from the server, a job", "less"),
    Row("bulk_log", "1,000 a call, append-only file, bytes/job", "less"),
    Row("bulk_memory", "memory of the server for a waiting job, bytes", "less"),
    Row("callers", "enqueue, awaited by 100 callers, jobs/s", "more"),
    Row("callers_client", "100 callers, CPU of the client, us/job", "less"),
    Row("callers_server", "100 callers, CPU of the server, us/job", "less"),
    Row("single", "enqueue, one awaited at a time, jobs/s", "more"),
    Row("p50", "enqueue to start at 20/s, p50, ms", "less"),
    Row("p99", "enqueue to start at 20/s, p99, ms", "less"),
)
NONE = "-"


def figures_table(titles: Mapping[str, str], results: Results) -> str:
    """Every figure of every peer: the median of the rounds, and from the lowest to the highest."""
    return _table(titles, lambda row, peer: _cell(results[peer].get(row.key)))


def ratios_table(titles: Mapping[str, str], results: Results, base: str) -> str:
    """The same as multiples of the peer *base*'s, round by round."""

    def cell(row: Row, peer: str) -> str:
        rounds, others = results[peer].get(row.key), results[base].get(row.key)
        return _cell(ratios(rounds, others) if rounds and others else None)

    return _table(titles, cell)


def _table(titles: Mapping[str, str], cell: Callable[[Row, str], str]) -> str:
    lines = [("", "better", *titles.values()), ("---", "---", *("---:" for _ in titles))]
    for row in ROWS:
        cells = [cell(row, peer) for peer in titles]
        if any(one != NONE for one in cells):
            lines.append((row.title, row.better, *cells))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(rounds: Sequence[float] | None) -> str:
    if not rounds:
        return NONE
    median, low, high = (_number(value) for value in summary(rounds))
    return f"{median} ({low} to {high})" if len(rounds) > 1 else median


def _number(value: float) -> str:
    decimals = 2 if value < SMALL else 1 if value < LARGE else 0
    return f"{value:,.{decimals}f}"


def behind(titles: Mapping[str, str], results: Results, ours: str) -> Iterator[str]:
    """A sentence for each row in which some peer's median beats that of *ours*."""
    for row in ROWS:
        medians = {peer: summary(results[peer][row.key]).median for peer in titles if row.key in results[peer]}
        best = (max if row.better == "more" else min)(medians, key=medians.__getitem__, default=ours)
        if ours in medians and medians[best] != medians[ours]:
            reached, wanted = _number(medians[ours]), _number(medians[best])
            yield f"{row.title}: {titles[ours]} {reached}, {titles[best]} {wanted}."
