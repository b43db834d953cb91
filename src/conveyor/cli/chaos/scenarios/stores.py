"""The database takes part."""

import contextlib
import sqlite3
import time

from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.keys import on_redis
from conveyor.cli.chaos.processes import within
from conveyor.cli.chaos.proxy import Cut, Proxy
from conveyor.cli.chaos.redis_proxy import RedisProxy
from conveyor.cli.chaos.site import DRAIN, Site, charged
from conveyor.cli.chaos.tables import EFFECTS, Tables, asking
from conveyor.store.redis.scripts import script

SHORTER = 5.0
LOST = 0.2
"""So many of the COMMITs of transactional jobs, one half before they arrive, one half after."""
LOST_CALLS = 0.05
"""And so many of the calls of Redis: workers make them all the time, and are more patient after each that is lost."""
CALLS = ("enqueue", "claim", "settle")
HOLD = 30.0
"""Seconds that the lock is held: several leases, unless all is to be over sooner."""
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'conveyor'"
)
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'conveyor'"


def d02(site: Site) -> Tables:
    """Terminate every backend of the workers and of who enqueues, each second: work goes on, and nothing is lost."""
    site.load()
    for worker in (site.worker(), site.worker()):
        site.working(worker)
    most = backends = 0
    for _ in site.rounds():
        with asking(site.url) as connection:
            most = max(most, int(str(next(iter(connection.execute(COUNT)))[0])))
            backends += len(list(connection.execute(TERMINATE)))
        site.injected()
        site.pause(1.0)
        if any(not worker.lives for worker in site.workers):
            site.wrong("a worker has ended because its connections were")
            site.alive()
    if not backends:
        site.wrong("there was no backend to terminate, so this says nothing")
    site.note(f"{backends:,} backends, at most {most} at a time")
    return site.drain()


def d05(site: Site) -> Tables:
    """Lose COMMITs of transactional jobs, or the answers to them: what was done is done once, and known to be done.

    On Redis, which has none, the calls of what enqueues, claims and ends jobs.
    """
    if on_redis(site.url):
        losses = _Losses(site, LOST_CALLS)
        return losses.over(RedisProxy(site.url, {name: script(name) for name in CALLS}, losses.chosen))
    losses = _Losses(site, LOST)
    return losses.over(Proxy(site.url, f"INSERT INTO {EFFECTS}", losses.chosen))


class _Losses:
    """What a proxy is to lose: one in so many, by chance, while there are rounds."""

    def __init__(self, site: Site, share: float) -> None:
        self._site = site
        self._share = share

    def chosen(self, what: str = "") -> Cut | None:
        """What becomes of a COMMIT, or of a call of the script *what*."""
        chance = self._site.chance
        cut = chance.choice([Cut.BEFORE, Cut.AFTER]) if chance.random() < self._share else None
        if cut is not None:
            self._site.injected(f"{what} {cut.name.lower()}".strip())
        return cut

    def over(self, proxy: Proxy | RedisProxy) -> Tables:
        """Two workers, and who enqueues, work through *proxy*; what is left when all is done."""
        site = self._site
        with proxy:
            site.through = proxy.url
            site.load()
            for worker in (site.worker(), site.worker()):
                site.working(worker)
            for _ in site.rounds():
                site.pause(1.0)
            if not within(lambda: len(site.hits) > 0, DRAIN):
                site.wrong(f"nothing that could be lost went by in {DRAIN:.0f} s, so this says nothing")
            self._share = 0.0
            return site.drain()


def d11(site: Site) -> Tables:
    """Hold SQLite's write lock over three workers, for far longer than their lease: nobody loses his."""
    site.lease = SHORTER
    site.load()
    for worker in (site.worker(), site.worker(), site.worker()):
        site.working(worker)
    for _ in site.rounds():
        with contextlib.closing(sqlite3.connect(site.file, timeout=60, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            begun = time.monotonic()
            site.pause(min(HOLD, max(1.5 * site.seconds, 2 * site.lease)))
            holder.execute("ROLLBACK")
        site.injected()
        site.note(f"held for {time.monotonic() - begun:.0f} s, {(time.monotonic() - begun) / site.lease:.0f} leases")
    if ended := sum(not worker.lives for worker in site.workers):
        site.wrong(f"{ended} workers have ended over the lock")
    tables = site.drain()
    if lost := charged(tables):
        site.wrong(f"{many(len(lost))} were taken from workers that lived: {lost[0].job}")
    return tables
