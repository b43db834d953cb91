"""Arithmetic with the ticks of a rule, which knows only what comes next."""

from collections import deque

from conveyor.schedule.rules import SECOND, Rule

_WALKED = 8
"""So many ticks are walked through before anything cleverer is tried."""


def upcoming(rule: Rule, after: int, count: int) -> list[int]:
    """The first *count* ticks later than *after*; fewer when there are no more."""
    found: list[int] = []
    while len(found) < count and (tick := rule.after(after)) is not None:
        found.append(tick)
        after = tick
    return found


def latest(rule: Rule, after: int, until: int) -> int | None:
    """The newest tick in (*after*, *until*]; None when there is none.

    Millions of ticks in between cost no more than the logarithm of their number.
    """
    found = newest(rule, after, until, 1)
    return found[0] if found else None


def newest(rule: Rule, after: int, until: int, most: int) -> list[int]:
    """The newest *most* ticks in (*after*, *until*], oldest first."""
    if most < 1:
        return []
    few = [tick for tick in upcoming(rule, after, _WALKED) if tick <= until]
    if len(few) < _WALKED:
        return few[-most:]
    found: deque[int] = deque()
    gap = SECOND
    while len(found) < most and (tick := _last(rule, after, until, gap)) is not None:
        gap = found[0] - tick if found else SECOND
        found.appendleft(tick)
        until = tick - 1
    return list(found)


def _last(rule: Rule, after: int, until: int, gap: int) -> int | None:
    """The newest tick in (*after*, *until*]: looked for from *gap* before *until* on, and twice as far each time."""
    low, tick = until, None
    while tick is None and low > after:
        low = max(after, until - gap)
        tick = _next(rule, low, until)
        gap *= 2
    if tick is None:
        return None
    high = until
    while (later := _next(rule, tick, until)) is not None:
        # The last one lies in [later, high]: halve that.
        tick, middle = later, (later + high) // 2
        if (found := _next(rule, middle, until)) is None:
            high = middle
        else:
            tick = found
    return tick


def _next(rule: Rule, after: int, until: int) -> int | None:
    tick = rule.after(after)
    return tick if tick is not None and tick <= until else None
