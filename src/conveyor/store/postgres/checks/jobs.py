"""What in our own rows would trip us up."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from conveyor.core.health import Finding, note, span, trouble
from conveyor.store.postgres.checks.look import Look

RINGS_LONG: Final = 3_600.0
"""Seconds for which no worker asks to be notified."""
LONGEST: Final = timedelta.max.total_seconds()


def ringing(look: Look) -> Iterator[Finding]:
    """Whether enqueues notify although nobody has asked for that."""
    for (seconds,) in look.ask("bell"):
        left = float(str(seconds))
        if left > RINGS_LONG:
            text = (
                f"each enqueue notifies for {span(timedelta(seconds=min(left, LONGEST)))} more, which makes it slower"
            )
            yield note(
                "bell",
                f"{text}: the clock, or conveyor_bell, was set back or forth",
                "SELECT setval('conveyor_bell', 0)",
            )


def overflowing(look: Look) -> Iterator[Finding]:
    """Whether a claim must fail because a number is at its end."""
    for id_, token, attempt in look.ask("numbers"):
        text = f"job {id_} has the token {token} and attempt {attempt}: each claim that would take it fails whole"
        fix = f"UPDATE conveyor_job SET token = 0, attempt = least(attempt, 1000) WHERE id = '{id_}'"  # noqa: S608 - a uuid
        yield trouble("numbers", text, fix)
