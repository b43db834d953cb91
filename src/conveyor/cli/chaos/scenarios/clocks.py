"""Clocks that are wrong."""

from typing import Final

from conveyor.cli.chaos import skew
from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.site import RATE, Site, charged
from conveyor.cli.chaos.tables import Tables, sqlite

MINUTE: Final = 60.0
DAY: Final = 86_400.0
WRONG: Final = {
    "+10 min": (10 * MINUTE, 1.0),
    "-10 min": (-10 * MINUTE, 1.0),
    "+1 d": (DAY, 1.0),
    "-1 d": (-DAY, 1.0),
    "x10": (0.0, 10.0),
}
"""Seconds by which a clock is ahead, and how fast it runs."""
EACH: Final = 2.0
"""Seconds for each, at least."""
TOLD: Final = "this host's clock and the database's differ"
"""What a worker says. SQLite has no clock of its own."""


def c02(site: Site) -> Tables:
    """Give one of two workers, and one of two who enqueue, a clock that is wrong: nobody's lease minds."""
    site.load(RATE / 2)
    site.working(site.worker())
    for number in site.rounds(len(WRONG)):
        name, (ahead, rate) = list(WRONG.items())[(number - 1) % len(WRONG)]
        wrong = skew.environment(site.folder, ahead, rate)
        load, worker = site.load(RATE / 2, 0.3, **wrong), site.worker(**wrong)
        site.working(worker)
        site.injected(name)
        site.pause(max(site.seconds / len(WRONG), EACH))
        site.relieve(load)
        if ahead and not sqlite(site.url) and TOLD not in worker.said:
            site.wrong(f"a worker whose clock is wrong by {ahead:+.0f} s did not say so")
        site.stop(worker)
    tables = site.drain()
    if lost := charged(tables):
        site.wrong(f"{many(len(lost))} were taken from workers whose clocks were wrong: {lost[0].job}")
    return tables
