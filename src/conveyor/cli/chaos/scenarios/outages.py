"""Nobody watches over the schedules for a while, and each has said what is to become of its ticks."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from conveyor.cli.chaos.processes import SETTLING, until
from conveyor.cli.chaos.scenarios.ticks import accept
from conveyor.cli.chaos.site import Site
from conveyor.cli.chaos.tables import Tables
from conveyor.cli.chaos.ticks import GRACE, SECOND, Cursor, Made, clock, moment, named, read_cursors, read_made
from conveyor.client.specs import Policies
from conveyor.schedule import every

OUTAGE: Final = 45.0
"""Seconds at least: some ticks are then later than what is borne, and some are not."""
MOST: Final = 3
BEFORE: Final = 3
"""Seconds from the making of the schedules to their first tick."""
AFTER: Final = 2
"""Ticks of a short period after which it is over."""
GAP: Final = SECOND
"""Within it, who makes the jobs has looked what time it is, and the database says when they were made."""
HELD: Final = "held"
"""A queue that nobody serves, until the end: the job of the tick before has not ended then."""
KILLED: Final = 0.5
"""Of the outages so many begin with SIGKILL."""
BRIEF: Final = 4
"""Seconds between ticks, of which many are missed;"""
LONGER: Final = 24
"""and of which two are missed, neither of them too late."""


class Case(NamedTuple):
    """A schedule, with its period in seconds, and its *phase*: by so many its first tick is later than the others'."""

    period: int
    policies: Policies
    queue: str = "default"
    phase: int = 0


CASES: Final[Mapping[str, Case]] = {
    "latest": Case(BRIEF, {"catch_up": "latest"}),
    "skip": Case(BRIEF, {"catch_up": "skip"}),
    "all": Case(BRIEF, {"catch_up": "all"}),
    "latest, few missed": Case(LONGER, {"catch_up": "latest"}),
    "skip, few missed": Case(LONGER, {"catch_up": "skip"}),
    "all, few missed": Case(14, {"catch_up": "all"}),
    "skip, and the latest is too late": Case(600, {"catch_up": "skip"}, phase=12),
    "skip while held": Case(BRIEF, {"catch_up": "all", "overlap": "skip"}, HELD),
    "skip, and it has ended": Case(BRIEF, {"catch_up": "all", "overlap": "skip"}),
    "cancel": Case(BRIEF, {"catch_up": "all", "overlap": "cancel_previous"}, HELD),
    "latest, twice": Case(BRIEF, {"catch_up": "latest", "times": 2}),
    "all, three times": Case(BRIEF, {"catch_up": "all", "times": 3}),
}


def c06(site: Site) -> Tables:
    """Stop all workers over several ticks, and start them again: each schedule makes the jobs that it was told to."""
    for number in site.rounds():
        _outage(site, {f"{number}: {name}": case for name, case in CASES.items()})
    site.worker("-q", f"{HELD}=5")
    return site.drain()


def _outage(site: Site, cases: Mapping[str, Case]) -> None:
    _start(site)
    _make(site, cases)
    until(lambda: _ready(site, cases), SETTLING, lambda: "the first ticks do not come")
    _stop(site)
    before, since = read_cursors(site.url), clock(site.url)
    site.pause(max(OUTAGE, site.seconds))
    _start(site)
    site.injected("outage")
    end = clock(site.url) + AFTER * BRIEF * SECOND
    until(lambda: _passed(site, cases, end), 2 * SETTLING, lambda: "the ticks after the outage do not come")
    _settle(site, cases, before, since)


def _start(site: Site) -> None:
    """Two workers, of which either may be the first."""
    for worker in [site.worker() for _ in range(2 - len(site.workers))]:
        site.working(worker)


def _make(site: Site, cases: Mapping[str, Case]) -> None:
    """Make the schedules. Their first tick is the same, but for their phase."""
    first = clock(site.url) // SECOND + BEFORE
    for name, case in cases.items():
        start = datetime.fromtimestamp(first + case.phase, UTC)
        call = site.tasks.nothing.using(queue=case.queue).bind()
        rule = every(seconds=case.period, start=start)
        site.tasks.app.schedules.add(name, call, rule, **(case.policies | {"most": MOST}))


def _ready(site: Site, cases: Mapping[str, Case]) -> bool:
    """Whether each has made a job, and those have ended that are to."""
    cursors, hot = read_cursors(site.url), {row.job for row in site.hot()}
    mine = [(case, cursors[name]) for name, case in cases.items() if not case.phase]
    return all(cursor.fired and (case.queue == HELD or cursor.job not in hot) for case, cursor in mine)


def _stop(site: Site) -> None:
    """All: as an operator does it, or as the lack of power."""
    if site.chance.random() < KILLED:
        site.note("the workers were killed")
        for worker in list(site.workers):
            site.kill(worker)
            site.workers.remove(worker)
    else:
        site.note("the workers were stopped")
        site.stop()


def _passed(site: Site, cases: Mapping[str, Case], end: int) -> bool:
    """Whether those that tick often have got so far."""
    cursors = read_cursors(site.url)
    often = [cursors[name] for name, case in cases.items() if case.period == BRIEF]
    return all(cursor.next_at is None or cursor.next_at > end for cursor in often)


def _settle(site: Site, cases: Mapping[str, Case], before: Mapping[str, Cursor], since: int) -> None:
    """End the schedules, and compare the jobs with what each was told."""
    for name in cases:
        site.tasks.app.schedules.pause(name)
    after, hot = read_cursors(site.url), {row.job for row in site.hot()}
    made = [job for job in read_made(site.url) if job.schedule in cases]
    accept(site, [job.job for job in made])
    later = [job for job in made if job.at > since]
    now = min((job.at for job in later), default=since)
    site.note(f"{len(later):,} jobs after an outage of {(now - since) / SECOND:.0f} s, by {len(cases)} schedules")
    if untried := [name for name in cases if (next_at := before[name].next_at) is None or next_at > now]:
        site.note(f"not tried, for no tick was missed: {', '.join(untried)}")
    for name, case in cases.items():
        mine = [job for job in made if job.schedule == name]
        there = [job.job for job in mine if job.job in hot]
        for line in (*_late(case, before[name], later, now), *_common(case, after[name], mine, now, there)):
            site.wrong(f"C06: {name}: {line}")


def expected(case: Case, before: Cursor, now: int) -> Sequence[int]:
    """The ticks that make a job when somebody looks for the first time at *now*: what the documentation says."""
    first = before.next_at
    chosen = [] if first is None else list(range(first, now + 1, case.period * SECOND))
    if not chosen:
        return []
    if now - chosen[0] > GRACE:
        match case.policies.get("catch_up"):
            case "all":
                chosen = chosen[-MOST:]
            case "latest":
                chosen = chosen[-1:]
            case _:
                chosen = [tick for tick in chosen[-1:] if now - tick <= GRACE]
    overlap, times = case.policies.get("overlap", "allow"), case.policies.get("times")
    if overlap == "skip" and case.queue == HELD:
        return []
    chosen = chosen if overlap == "allow" else chosen[-1:]
    return chosen if times is None else chosen[: times - before.fired]


def _late(case: Case, before: Cursor, later: Sequence[Made], now: int) -> Iterator[str]:
    """What is wrong with the jobs of missed ticks. Who makes them has looked what time it is a little earlier."""
    ways = [
        (
            list(expected(case, before, at)),
            [job.tick for job in later if job.schedule == before.name and job.tick <= at],
        )
        for at in (now, now - GAP)
    ]
    if not any(wanted == found for wanted, found in ways):
        wanted, found = (", ".join(map(moment, ticks)) or "none" for ticks in ways[0])
        yield f"the ticks {wanted} were to make jobs at {moment(now)}, and {found} did"


def _common(case: Case, after: Cursor, mine: Sequence[Made], now: int, there: Sequence[str]) -> Iterator[str]:
    """What else is wrong with a schedule, of which *there* are the jobs that have not ended."""
    found = Counter(job.tick for job in mine)
    if doubled := [moment(tick) for tick, count in found.items() if count > 1]:
        yield f"two jobs for a tick: {named(doubled)}"
    if len(mine) != after.fired:
        yield f"it says that it has made {after.fired} jobs, and there are {len(mine)}"
    overlap, times = case.policies.get("overlap", "allow"), case.policies.get("times")
    if times is not None and (len(mine), after.next_at) != (times, None):
        yield f"it made {len(mine)} jobs instead of {times}, and its next tick is {after.next_at}"
    if overlap == "allow" and times is None:
        period = case.period * SECOND
        last = after.tick or 0
        if missed := [moment(tick) for tick in range(last, now, -period) if tick not in found]:
            yield f"no job for a tick after the outage: {named(missed)}"
    halfway = after.next_at is not None and (after.paused_at or 0) >= after.next_at  # perhaps called off, and paused
    if overlap != "allow" and case.queue == HELD and list(there) != [after.job] and not halfway:
        yield f"{len(there)} of its jobs have not ended, and one was to be left"
