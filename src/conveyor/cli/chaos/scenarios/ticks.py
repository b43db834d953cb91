"""Schedules whose watchers die and stand still at the very moment of a tick."""

import signal
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from conveyor.cli.chaos import skew, tree
from conveyor.cli.chaos.freezer import Signals
from conveyor.cli.chaos.processes import SETTLING, Worker, until
from conveyor.cli.chaos.site import SHORT, Site
from conveyor.cli.chaos.tables import Tables, registered, sqlite
from conveyor.cli.chaos.ticks import SECOND, clock, judged, moment, read_cursors, read_made, told, violations
from conveyor.schedule import every
from conveyor.task import Call

SCHEDULES: Final = 10
MANY: Final = 8
"""Workers, if there is a minute for their start,"""
FEW: Final = 3
"""and otherwise."""
SLOTS: Final = 2
"""Of each: with more, so many workers take more connections than most servers give."""
ENOUGH: Final = 2
MINUTE: Final = 60.0
NEAR: Final = 0.05
"""Seconds before or after a tick at which they are hit."""
SOON: Final = 0.3
"""It is no tick that comes sooner: what is to be hit must be found first."""
STILL: Final = (0.5, 4.0)
"""Seconds for which one stands still."""
STALLED: Final = 10 * SECOND
"""A tick that is so late when all is over has been missed."""
AHEAD: Final = 600.0
"""Seconds by which the clock of one worker is wrong."""
FAULTS: Final = ("kill whole", "kill supervisor", "kill runner", "freeze whole", "freeze supervisor")


def c04(site: Site) -> Tables:
    """Kill and freeze those who watch over schedules, at a tick: each tick has one job, none is missed or doubled.

    One at a time, so that another one lives; and one of them has a wrong clock.
    """
    site.lease, site.slots = SHORT, SLOTS
    odd = {} if sqlite(site.url) else skew.environment(site.folder, AHEAD, 1.0)
    crew = _Crew(site, MANY if site.seconds >= MINUTE else FEW, odd)
    names = _schedules(site)
    faults: list[str] = []
    away: list[float] = []
    for _ in site.rounds():
        faults = faults or site.chance.sample(FAULTS, len(FAULTS))
        away.append(abs(crew.hit(*faults.pop().split())))
    close = sum(seconds <= 2 * NEAR for seconds in away)
    site.note(f"{close} of {len(away)} hits within {2 * NEAR * 1000:.0f} ms of a tick, the farthest {max(away):.2f} s")
    settle(site, names)
    return site.drain()


class _Crew:
    """The workers, of which the first one may have a wrong clock."""

    def __init__(self, site: Site, count: int, odd: Mapping[str, str]) -> None:
        self._site = site
        self._odd = odd
        self._ahead = clock(site.url) / SECOND - time.time()
        """Of our clock, the database's."""
        self._wrong = site.worker(**odd)
        for worker in (self._wrong, *(site.worker() for _ in range(count - 1))):
            site.working(worker)
        site.note(f"{count} workers" + (f", the clock of one {AHEAD:+.0f} s wrong" if odd else ""))
        if not odd:
            site.note("not tried: a wrong clock (SQLite has none of its own: its processes share this machine's)")
            site.note("not tried: to stand still in the middle of a write (its lock would stop everybody)")

    def hit(self, how: str, part: str) -> float:
        """Do something to one of them at a tick; gives the seconds from it."""
        worker = self._site.chance.choice(self._ready())
        parts = worker.parts()
        pids = parts.get(part, parts["whole"])
        tick = self._tick()
        self._site.hits.begin()
        if how == "kill":
            tree.send(pids, signal.SIGKILL)
            off = time.time() - tick
            if part != "runner":
                self._replaced(worker)
        else:
            off = self._stood_still(pids) - tick
        self._site.injected(f"{how} {part}")
        return off

    def _stood_still(self, pids: Collection[int]) -> float:
        """Stop them for a while; gives the moment when that was."""
        asked: list[float] = []

        def found() -> Collection[int]:
            asked.append(time.time())
            return pids

        frozen = self._site.suspend(Signals(), found)
        self._site.pause(self._site.chance.uniform(*STILL))
        self._site.thaw(frozen)
        return asked[-1]

    def _tick(self) -> float:
        """Wait until a tick, more or less; gives it, on our clock."""
        now = time.time() + self._ahead
        tick = int(now + SOON + 1) - self._ahead
        self._site.pause(tick + self._site.chance.uniform(-NEAR, NEAR) - time.time())
        return tick

    def _replaced(self, worker: Worker) -> None:
        """What is left of it goes, and another one is there instead."""
        self._site.kill(worker)
        self._site.workers.remove(worker)
        wrong = worker is self._wrong
        new = self._site.worker(**(self._odd if wrong else {}))
        self._wrong = new if wrong else self._wrong

    def _ready(self) -> Sequence[Worker]:
        """Those that are at work, once there are enough: when one is hit, another one lives."""
        ready: list[Worker] = []

        def enough() -> bool:
            for worker in [worker for worker in self._site.workers if not worker.lives]:
                self._replaced(worker)  # its supervisor stood still for its lease
            known = registered(self._site.url)
            ready[:] = [worker for worker in self._site.workers if known & worker.members.keys()]
            return len(ready) >= ENOUGH

        until(enough, SETTLING, lambda: "workers do not begin to work")
        return ready


def _schedules(site: Site) -> Sequence[str]:
    """Some side by side, each with a tick in each second; of every kind of task one."""
    tasks = site.tasks
    calls: list[Call[int]] = [tasks.nothing.bind(), tasks.quick.bind()]
    calls += [tasks.pay.bind(0.0), tasks.apay.bind(0.0)] if tasks.transactions else []
    names = [f"each second {number}" for number in range(1, SCHEDULES + 1)]
    for number, name in enumerate(names):
        site.tasks.app.schedules.add(name, calls[number % len(calls)], every(seconds=1))
    return names


def settle(site: Site, names: Sequence[str]) -> None:
    """End the schedules, and compare their jobs with their ticks; all that are there count as accepted."""
    for name in names:
        site.tasks.app.schedules.pause(name)
    cursors = [cursor for name, cursor in read_cursors(site.url).items() if name in names]
    made = [job for job in read_made(site.url) if job.schedule in names]
    accept(site, [job.job for job in made])
    ticks = judged(cursors, made, SECOND)
    for line in violations(ticks):
        site.wrong(line)
    for cursor in cursors:
        if cursor.paused_at is None or cursor.tick is None or cursor.paused_at - cursor.tick > STALLED:
            site.wrong(f"ticks: {cursor.name} stood at {moment(cursor.tick or cursor.created_at)} when all was over")
    site.note(told(ticks))


def accept(site: Site, jobs: Sequence[str]) -> None:
    """Nobody was told of *jobs* but their schedules: the checker is to hold the store to them from now on."""
    for job in jobs:
        site.history.write("asked")
        site.history.write("accepted", job)
