"""The options of ``conveyor chaos``."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from conveyor.cli.numbers import number_between

DAY = 86_400
MOST = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    url: str
    what: Sequence[str] = ()
    seconds: float = 20.0
    rounds: int | None = None
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(MOST))


def arguments(parser: argparse.ArgumentParser, known: Sequence[str]) -> None:
    """What can be asked for; *known* are the scenarios."""
    add = parser.add_argument
    help_ = "which, as P01 P04 (all; --list shows them)"
    add("what", nargs="*", type=str.upper, choices=known, metavar="SCENARIO", help=help_)
    add(
        "--store",
        "--url",
        metavar="URL",
        help="sqlite:///FILE, postgresql://... or redis://...: work beside it, on its disk or server, and leave it "
        "alone (a temporary file)",
    )
    add("--seconds", type=number_between(float, 0.1, DAY), default=20.0, help="how long faults go on in each (20)")
    add("--rounds", type=number_between(int, 1, MOST), help="how many faults in each, however long that takes")
    add("--seed", type=number_between(int, 0, MOST), help="of what is left to chance (another one each time)")
    add("--list", action="store_true", help="only show the scenarios, and which can run here")
    add("--json", action="store_true", help="for programs")
    add("--svg", metavar="FILE", help="draw what R01 has sampled into FILE as well")


def read(options: argparse.Namespace, url: str) -> Settings:
    """What was typed."""
    given = Settings(url, list(dict.fromkeys(options.what)), options.seconds, options.rounds)
    return given if options.seed is None else Settings(url, given.what, given.seconds, given.rounds, options.seed)
