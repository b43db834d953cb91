"""How a supervisor tends its runners."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MOST: Final = 64
"""Runners of one supervisor."""


@dataclass(frozen=True, slots=True)
class Autoscale:
    """How many runners there are as they are needed."""

    most: int
    target: timedelta
    """Within which a due job should start."""
    look: float = 5.0
    """Seconds between two looks at the queues."""
    calm: float = 30.0
    """Seconds for which fewer must have been enough before one ends."""


@dataclass(frozen=True, slots=True)
class Tending:
    """All times in seconds."""

    command: tuple[str, ...]
    """What ``python`` starts as a runner; the numbers of its files are put behind it."""
    processes: int = 1
    """Runners: as many, or, with *autoscale*, at least."""
    autoscale: Autoscale | None = None
    grace: float = 30.0
    """How long running jobs may go on after the worker was asked to stop; infinite to wait for them."""
    lease: float = 20.0
    beat: float = 5.0
    burst: bool = False
    """End once all runners have ended by themselves."""
    http: tuple[str, int] | None = None
    """Where probes are answered over HTTP, if at all."""
    look: float = 1.0
    """How often the runners are looked at."""
    rescue: float = 5.0
    upkeep: float = 60.0
