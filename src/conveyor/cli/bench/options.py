"""The options of ``conveyor bench``."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Final

from conveyor.cli.numbers import number_between
from conveyor.worker.board import CELLS
from conveyor.worker.runner import MOST_SLOTS

MEASURES: Final = ("enqueue", "drain", "latency", "steady", "backlog", "held-snapshot", "schedules", "idle")
USUAL: Final = ("enqueue", "drain", "latency", "idle")
"""What is measured when nothing is said: it takes about a minute."""
JOBS: Final = "50000; 100000 in held-snapshot, 5000 in backlog; in schedules so many of those: 1000"
MOST: Final = 1_000_000_000
DAY: Final = 86_400


@dataclass(frozen=True)
class Settings:
    """What was asked for. Where a number is ``None``, each measure has its own default."""

    url: str
    jobs: int | None = None
    slots: int = 200
    processes: int = 1
    cells: int | None = None
    rate: float | None = None
    seconds: float | None = None
    every: float = 5.0
    waiting: int = 200_000
    finished: int = 1_000_000
    hold: bool = False
    runs: int = 1
    what: Sequence[str] = field(default=USUAL)

    def as_json(self) -> dict[str, object]:
        """For programs; without the URL, which may hold a password."""
        return {name: value for name, value in asdict(self).items() if name != "url"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument(
        "what",
        nargs="*",
        choices=MEASURES,
        metavar="WHAT",
        help=f"{', '.join(MEASURES)} (without any: {', '.join(USUAL)})",
    )
    whole, number = number_between(int, 1, MOST), number_between(float, 0.001, MOST)
    add = parser.add_argument
    add(
        "--store",
        "--url",
        metavar="URL",
        help="sqlite:///FILE, postgresql://..., redis://... or redis+cluster://...: measure beside it, on its disk or "
        "server, and leave it alone (a temporary file)",
    )
    add("--jobs", type=whole, help=f"how many jobs ({JOBS})")
    add(
        "--slots",
        type=number_between(int, 1, MOST_SLOTS),
        default=200,
        help="jobs that run at a time in each worker (200)",
    )
    add("--processes", type=number_between(int, 1, 64), default=1, help="workers, each a process (1)")
    few, cells = (
        number_between(int, 1, CELLS),
        "have drain run plain functions, in so many processes beside each worker",
    )
    add("--cells", type=few, help=f"{cells} (async ones, within it)")
    add("--rate", type=number, help="jobs per second (20 in latency; in steady half of what is first measured)")
    add("--seconds", type=number_between(float, 0.1, DAY), help="how long (10; in steady 120, in schedules 60)")
    add("--every", type=number_between(float, 0.1, DAY), default=5.0, help="seconds between samples in steady (5)")
    add("--waiting", type=whole, default=200_000, help="waiting jobs in backlog (200000)")
    add("--finished", type=whole, default=1_000_000, help="finished jobs in backlog (1000000)")
    add("--hold", action="store_true", help="hold a snapshot in another session during steady; PostgreSQL only")
    add("--runs", type=number_between(int, 1, 100), default=1, help="so often, to show the median (1)")
    add("--json", action="store_true", help="for programs")
    add("--svg", metavar="FILE", help="draw the figures into FILE as well")


def read(options: argparse.Namespace, url: str) -> Settings:
    """What was typed."""
    given = {item.name: getattr(options, item.name) for item in fields(Settings) if item.name not in {"url", "what"}}
    return Settings(url=url, what=list(dict.fromkeys(options.what)) or USUAL, **given)
