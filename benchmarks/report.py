"""A whole run, as it goes to the JSON file, and as Markdown."""

from collections.abc import Iterator, Mapping
from typing import TypedDict

from benchmarks.figures import Results, summary
from benchmarks.peers.common import About
from benchmarks.tables import NONE, behind, figures_table, ratios_table

OURS = "conveyor"
BASES = ("pgqueuer", "huey")
"""The peer that ratios are taken of: the one of these that is there."""


class Report(TypedDict):
    """A run; mappings by peer, unless they say otherwise."""

    date: str
    machine: Mapping[str, str]
    """What it is, by name."""
    python: str
    store: str
    server: Mapping[str, str]
    """Its settings, by name."""
    jobs: Mapping[str, int]
    """How many were drained."""
    rounds: int
    seconds: float
    """How long each measure could take."""
    titles: Mapping[str, str]
    about: Mapping[str, About]
    results: Results
    comes_back: Mapping[str, float | None]
    """Seconds until a killed worker's job ran again; None for those that had not when the wait was over."""


def markdown(report: Report) -> str:
    """The run for people to read."""
    results = report["results"]
    titles = {peer: title for peer, title in report["titles"].items() if peer in results}
    parts = [
        f"## {report['date']}",
        _where(report),
        f"Median of the rounds ({report['rounds']}), with the lowest and the highest.\n",
        figures_table(titles, results),
    ]
    for base in titles.keys() & BASES:
        parts += f"As multiples of {titles[base]}'s, round by round.\n", ratios_table(titles, results, base)
    if OURS in titles:
        lost = list(behind(titles, results, OURS))
        head = f"Where {titles[OURS]} is behind:" if lost else f"{titles[OURS]} is behind nowhere."
        parts.append("\n".join((head, "", *(f"* {sentence}" for sentence in lost))).strip() + "\n")
    parts.append("".join(_peers(report)))
    return "\n".join(parts)


def _where(report: Report) -> str:
    machine = ", ".join(f"{name}: {value}" for name, value in report["machine"].items())
    server = ", ".join(f"`{name}={value}`" for name, value in report["server"].items())
    return f"{machine}; Python {report['python']} for all; {report['store']} with {server}. All share the cores.\n"


def _peers(report: Report) -> Iterator[str]:
    yield "| | version | jobs in a drain | kept as successful | job of a killed worker | settings |\n"
    yield "| --- | --- | ---: | ---: | --- | --- |\n"
    for peer, title in report["titles"].items():
        about = report["about"][peer]
        cells = (
            about["version"],
            *_drained(report, peer),
            _back(report, peer),
            about["settings"],
        )
        yield f"| {title} | {' | '.join(cells)} |\n"


def _drained(report: Report, peer: str) -> tuple[str, str]:
    if peer not in report["results"]:  # only its worker was killed
        return NONE, NONE
    return f"{report['jobs'][peer]:,}", f"{summary(report['results'][peer]['drain_kept']).low:.0%}"


def _back(report: Report, peer: str) -> str:
    if peer not in report["comes_back"]:
        return "not tried"
    seconds = report["comes_back"][peer]
    return "did not come back" if seconds is None else f"ran again after {seconds:.1f} s"
