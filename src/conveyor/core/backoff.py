"""How long a failed job waits before its next attempt."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

JITTER = 0.25
LONGEST_WAIT = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """A rule from the number of the failed attempt to seconds of waiting; made by the methods below.

    Each wait is spread by *jitter*: a share of the wait, drawn anew each time, is taken off, so that jobs which
    failed together do not return together.
    """

    waits: tuple[float, ...] = ()
    base: float = 0.0
    step: float = 0.0
    factor: float = 1.0
    cap: float = 3600.0
    jitter: float = JITTER

    def __post_init__(self) -> None:
        """Refuse numbers that no clock can wait for."""
        for name in ("base", "step", "factor", "cap", "jitter"):
            value = _number(f"Backoff: {name}", getattr(self, name))
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"Backoff: {name}={value} must be finite and not negative")
        if self.cap > LONGEST_WAIT:
            raise ValueError(f"Backoff: {self.cap} seconds are more than ten years")
        if any(not math.isfinite(wait) or not 0 <= wait <= LONGEST_WAIT for wait in self.waits):
            raise ValueError(f"Backoff.of: each of {list(self.waits)} must lie between 0 seconds and ten years")
        if self.jitter > 1:
            raise ValueError(f"Backoff: jitter={self.jitter} is a share of the wait and must be at most 1")

    @classmethod
    def fixed(cls, seconds: float | timedelta, *, jitter: float = JITTER) -> "Backoff":
        """The same wait each time."""
        wait = _seconds("Backoff.fixed: seconds", seconds)
        return cls(base=wait, cap=wait, jitter=jitter)

    @classmethod
    def linear(cls, seconds: float | timedelta, *, cap: float | timedelta = 3600, jitter: float = JITTER) -> "Backoff":
        """*seconds* after the first failure, twice that after the second, and so on up to *cap*."""
        step = _seconds("Backoff.linear: seconds", seconds)
        return cls(base=step, step=step, cap=_seconds("Backoff.linear: cap", cap), jitter=jitter)

    @classmethod
    def exponential(
        cls,
        seconds: float | timedelta,
        *,
        factor: float = 2,
        cap: float | timedelta = 3600,
        jitter: float = JITTER,
    ) -> "Backoff":
        """*seconds* after the first failure, then *factor* times the last wait, up to *cap*."""
        base = _seconds("Backoff.exponential: seconds", seconds)
        return cls(base=base, factor=factor, cap=_seconds("Backoff.exponential: cap", cap), jitter=jitter)

    @classmethod
    def of(cls, waits: Sequence[float | timedelta], *, jitter: float = JITTER) -> "Backoff":
        """These waits in turn; the last one stays."""
        if not isinstance(cast(object, waits), Sequence):
            raise TypeError(f"Backoff.of takes a list of waits, as Backoff.of([1, 60]), not {waits!r}")
        if not waits:
            raise ValueError("Backoff.of needs at least one wait")
        return cls(
            waits=tuple(_seconds(f"Backoff.of: waits[{at}]", wait) for at, wait in enumerate(waits)), jitter=jitter
        )

    def seconds(self, attempt: int, chance: float) -> float:
        """The wait after *attempt* (from 1) failed; *chance* in [0, 1) is the draw for the jitter."""
        listed = self.waits[min(attempt, len(self.waits)) - 1] if self.waits else None
        wait = min(self._growth(attempt - 1), self.cap) if listed is None else listed
        return wait * (1 - self.jitter * chance)

    def _growth(self, failures: int) -> float:
        if not self.base:
            return self.step * failures
        try:
            return self.base * self.factor**failures + self.step * failures
        except OverflowError:
            return self.cap


def jittered(seconds: float) -> float:
    """*seconds*, spread by a fifth either way, so that many processes do not move in step."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - a spread, not a secret


def _seconds(what: str, value: object) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else _number(what, value, " of seconds or a timedelta")


def _number(what: str, value: object, kind: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number{kind}, not {value!r}")
    return value


DEFAULT_BACKOFF = Backoff.exponential(5, factor=3, cap=3600)
"""5 s, 15 s, 45 s, 135 s: five attempts span about three minutes."""
