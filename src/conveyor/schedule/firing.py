"""Which ticks of a schedule fire, decided from where it stands and what time it is."""

import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final

import msgspec

from conveyor.core.schedules import Move, Scheduled, Spec, read_spec
from conveyor.schedule.reading import read
from conveyor.schedule.rules import Rule
from conveyor.schedule.ticks import latest, newest

GRACE: Final = 30_000_000
"""Microseconds that a tick may come late. Older ones were missed, and the schedule says what becomes of those."""
BYTES: Final = 1_000_000
"""Of arguments that one step makes jobs of, about; the next one makes the rest."""
AT_ONCE: Final = 100
"""Late ticks that fire together: more than there are in that time."""


def rule_of(spec: Spec) -> Rule:
    """Its rule. Raises ``ValueError`` for one that cannot be read, and for a time zone that is not known here."""
    return _read(msgspec.json.encode(spec.rule))


@lru_cache(maxsize=2_000)
def _read(text: bytes) -> Rule:
    return read(msgspec.json.decode(text, type=dict[str, object]))


def zone_of(spec: Spec) -> str:
    """The time zone of its rule; "UTC" for one that needs none."""
    return rule_of(spec).zone or "UTC"


def following(spec: Spec, moment: int) -> int | None:
    """The first tick after *moment*, between start and end; ``None`` when there is none any more."""
    after = moment if spec.start is None else max(moment, spec.start - 1)
    tick = _after(rule_of(spec), after)
    return None if tick is None or (spec.end is not None and tick > spec.end) else tick


def fires(spec: Spec, due: int, now: int) -> list[int]:
    """The ticks from *due* until *now* that fire, oldest first.

    While none of them is later than ``GRACE`` nothing was missed, and each fires. Otherwise nobody was there, and
    ``catch_up`` says which of them do: ``skip`` none but the latest, and that only if it is not too late.
    """
    rule, until = rule_of(spec), now if spec.end is None else min(now, spec.end)
    if now - due <= GRACE:
        return list(islice(_between(rule, due, until), AT_ONCE))
    if spec.catch_up == "all":
        return newest(rule, due - 1, until, spec.most)
    return [tick for tick in newest(rule, due - 1, until, 1) if spec.catch_up == "latest" or now - tick <= GRACE]


def _between(rule: Rule, first: int, until: int) -> Iterator[int]:
    """The tick *first*, if it is one still, and those behind it, up to *until*."""
    tick = _after(rule, first - 1)
    while tick is not None and tick <= until:
        yield tick
        tick = _after(rule, tick)


@lru_cache(maxsize=4_000)
def _after(rule: Rule, moment: int) -> int | None:
    """The next tick, found once: many schedules have the same rule, and the same ticks."""
    return rule.after(moment)


def move_of(row: Scheduled) -> Move:
    """The step of a schedule that is due. Raises ``ValueError`` when what is stored of it cannot be read."""
    spec = read_spec(row.spec)
    if row.next_at is None or row.next_at > row.now:
        raise ValueError(f"the schedule {row.name} is not due")
    ticks = fires(spec, row.next_at, row.now)
    if spec.overlap != "allow":
        ticks = ticks[-1:]
    if spec.times is not None:
        ticks = ticks[: max(spec.times - row.fired, 0)]
    at_once = max(BYTES // max(len(spec.job.args), 1), 1)
    ticks, rest = ticks[:at_once], ticks[at_once:]
    jobs = tuple(spec.job.at(row.name, tick, tick + _spread(spec.jitter)) for tick in ticks)
    passed = ticks[-1] if ticks else latest(rule_of(spec), row.next_at - 1, row.now) or row.next_at
    late = passed if row.now - row.next_at <= GRACE else row.now
    next_at = rest[0] if rest else following(spec, late)
    return Move(row.name, row.version, row.next_at, next_at, passed, jobs)


def _spread(jitter: int) -> int:
    return random.randint(0, jitter) if jitter else 0  # noqa: S311 - a spread, not a secret
