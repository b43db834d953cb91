"""Processes that stand still, are taken for dead, and go on."""

import random
import time
from collections.abc import Collection, Iterable, Sequence
from functools import partial

from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.freezer import freezer
from conveyor.cli.chaos.history import again, running
from conveyor.cli.chaos.processes import Worker, within
from conveyor.cli.chaos.site import DRAIN, SHORT, SLOTS, Site, charged
from conveyor.cli.chaos.tables import Tables, sqlite

TIMES = 3
"""The lease is over so often."""
MOST = 600.0
"""Seconds that workers are suspended, at most."""
HERD = 2
"""Jobs that are held at once by so many for each slot: those whose outcomes are just being written hold none."""
LONG = 2.5
"""Leases that some jobs take: they would end as soon as they are thawed, while another runs them."""
EACH = 3
BRIEF = (0.2, 0.6)
"""And some take so many the first time: they end in a cell whose runner stands, which hears of it when it is thawed."""
LOOK = 0.1
FIRST = 100


def p04(site: Site) -> Tables:
    """Stop a worker for three leases, and let it go on; each part of it alone, where it is a tree.

    The other one runs its jobs meanwhile. What the one that was stopped has to say of them must be refused.
    """
    site.lease = SHORT
    site.load()
    for worker in (site.worker(), site.worker()):
        site.working(worker)
    parts: list[str] = []
    for _ in site.rounds():
        lingering = _occupy(site)
        worker = _waited_on(site, lingering)
        there = worker.parts()
        parts = [part for part in parts if part in there] or _mixed(there, site.chance)
        site.hits.begin()
        frozen = site.freeze(worker, part := parts.pop())
        site.injected(part)
        site.pause(TIMES * site.lease)
        if part == "whole":  # a runner that stands alone is killed by its supervisor, and says nothing any more
            within(partial(_elsewhere, site, lingering), TIMES * site.lease, LOOK)
        site.thaw(frozen)
        site.pause(site.lease)
    return site.drain()


def _waited_on(site: Site, jobs: Collection[str]) -> Worker:
    """A worker one of whose cells runs one of *jobs*: that is to end when it is too late."""
    within(lambda: bool(site.at_work(jobs)), DRAIN, LOOK)
    return site.chance.choice(site.at_work(jobs) or site.alive())


def _elsewhere(site: Site, jobs: Collection[str]) -> bool:
    """Whether any of *jobs* runs once more, for which others may have had no cell until now."""
    records = site.history.read()
    return bool(running(records, again(records) & set(jobs)))


def _mixed(parts: Iterable[str], chance: random.Random) -> list[str]:
    """All of *parts* in a random order, so that each has its turn; the whole tree twice: it leaves most zombies."""
    mixed = ["whole", *parts]
    chance.shuffle(mixed)
    return mixed


def c05(site: Site) -> Tables:
    """Suspend some workers at one moment for many leases, as a host is, and let them go on, while another one works.

    What they have to say of their jobs must be refused, and they must not come back as a herd.
    """
    site.lease = SHORT
    site.load()
    for worker in (site.worker(), site.worker(), site.worker()):
        site.working(worker)
    with freezer(site.folder) as ice:
        site.note(f"by {ice.name}")
        for _ in site.rounds():
            _occupy(site)
            frozen = site.suspend(ice, partial(_members, site.alive()[1:]))
            site.injected()
            site.pause(max(TIMES * site.lease, min(site.seconds, MOST)))
            lost = len(charged(site.tables()))
            site.thaw(frozen, ice)
            _come_back(site)
            site.note(f"{many(lost)} taken from them meanwhile")
            if not lost:
                site.wrong("nothing was taken from workers that stood still, so this says nothing")
    return site.drain()


def _members(workers: Sequence[Worker]) -> list[int]:
    return [pid for worker in workers for pid in worker.members]


def _come_back(site: Site) -> None:
    """For one lease, look how much is held at once."""
    end, most = time.monotonic() + site.lease, 0
    while time.monotonic() < end:
        most = max(most, sum(row.state == "running" for row in site.hot()))
        site.pause(LOOK)
    room = len(site.workers) * SLOTS
    site.note(f"at most {many(most)} held at once afterwards, with {room} slots")
    if most > HERD * room:
        site.wrong(f"a herd: {many(most)} were held at once after the thaw, with {room} slots")


def _occupy(site: Site) -> Collection[str]:
    """Give the workers jobs that outlive their leases; transactional ones too, where those leave others room.

    They come first: so that another worker runs some of them at the moment when the first one goes on with them. Those
    that are brief the first time, which it gives, come last, to be running yet, and before the others when they have
    been taken back.
    """
    tasks = [site.tasks.nap, site.tasks.doze]
    tasks += [] if sqlite(site.url) or not site.tasks.transactions else [site.tasks.pay, site.tasks.apay]
    long = LONG * site.lease
    calls = [partial(task.using(priority=FIRST - 1).enqueue, long) for task in tasks]
    site.started({site.enqueue(call) for call in calls for _ in range(EACH)})
    brief = site.chance.uniform(*BRIEF) * site.lease
    linger = partial(site.tasks.linger.using(priority=FIRST).enqueue, brief, long)
    return {site.enqueue(linger) for _ in range(EACH)}
