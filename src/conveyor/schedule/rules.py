"""What a rule is, and the two that need no calendar: whole elapsed time, and one moment."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Self

from conveyor.core.clock import LAST, moment, stored

SECOND: Final = 1_000_000
"""Microseconds."""
LATEST: Final = stored(LAST)
"""No tick is later than what a ``datetime`` can hold."""
_UNITS: Final = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60))


class Rule(ABC):
    """When a schedule is due. Immutable; two rules that say the same are equal and dump the same."""

    __slots__ = ()

    @property
    @abstractmethod
    def text(self) -> str:
        """The rule as people say it."""

    @property
    def zone(self) -> str | None:
        """The time zone that the rule names; None when it names or needs none."""
        return None

    @abstractmethod
    def after(self, moment: int) -> int | None:
        """The first tick later than *moment*; None when none comes any more, or none within fifty years.

        ``ValueError`` when this machine does not know the rule's time zone.
        """

    @abstractmethod
    def dump(self) -> dict[str, object]:
        """The rule as JSON can say it; ``read`` makes it a rule again."""

    def in_zone(self, name: str) -> "Rule":
        """The same rule by the clocks of *name*, unless it has a zone already or needs none.

        ``ValueError`` when there is no such zone, or the rule never comes in it.
        """
        del name
        return self


@dataclass(frozen=True, slots=True)
class Every(Rule):
    """A tick each *period* microseconds: from *start* on, or for ever and in step with 1970 in UTC."""

    period: int
    start: int | None = None

    @property
    def text(self) -> str:
        """As ``every 15 minutes``, and from when on."""
        since = "" if self.start is None else f" from {moment(self.start).isoformat()}"
        return f"every {_span(self.period)}{since}"

    def after(self, moment: int) -> int | None:
        """The first tick later than *moment*."""
        start = self.start or 0
        gone = (moment - start) // self.period + 1
        tick = start + self.period * (gone if self.start is None else max(gone, 0))
        return tick if tick <= LATEST else None

    def dump(self) -> dict[str, object]:
        """Its two numbers."""
        return {"rule": "every", "period": self.period, "start": self.start}


@dataclass(frozen=True, slots=True)
class Once(Rule):
    """One tick, and none after it."""

    at: int

    @property
    def text(self) -> str:
        """As ``once at 2026-12-01T10:00:00+00:00``."""
        return f"once at {moment(self.at).isoformat()}"

    def after(self, moment: int) -> int | None:
        """The tick, as long as it is to come."""
        return self.at if moment < self.at else None

    def dump(self) -> dict[str, object]:
        """Its moment."""
        return {"rule": "once", "at": self.at}


class Zoned(Rule, ABC):
    """A rule by the clocks of some place: of UTC, as long as nobody names one."""

    __slots__ = ()

    @abstractmethod
    def placed(self, zone: str) -> Self:
        """The same by the clocks of *zone*, which is known to exist."""


def _span(period: int) -> str:
    """*period* in the largest unit that divides it."""
    seconds, rest = divmod(period, SECOND)
    if not rest:
        for unit, length in _UNITS:
            if seconds % length == 0:
                return unit if seconds == length else f"{seconds // length} {unit}s"
    number = str(seconds) if not rest else f"{seconds}.{rest:06}".rstrip("0")
    return "second" if number == "1" else f"{number} seconds"
