"""Processes that die, as by the hand of the kernel that is out of memory: without a word."""

import contextlib
import sqlite3
from functools import partial

from conveyor.cli.chaos.history import again, running
from conveyor.cli.chaos.processes import Worker, within
from conveyor.cli.chaos.site import DRAIN, SHORT, Site
from conveyor.cli.chaos.tables import Tables

BUSY = 2_000.0
"""Jobs a second, more than can be stored: so that somebody commits at any moment."""
LONGEST = 1.5
"""Seconds at most from the start of a worker, or of its work, to its death."""
LOOK = 0.1
FIRST = 100
"""Jobs that are to be hit are claimed before the load."""
EARLY = 0.25
"""Of the deaths, so many may come before it has begun to work."""


def p01(site: Site) -> Tables:
    """Kill a worker at a random moment, and start it again at once; each part of it alone, where it is a tree.

    Most deaths come while it works: were it killed sooner each time, nothing would ever be put to the test.
    """
    site.lease = SHORT
    site.load()
    _busy(site, worker := site.worker())
    for _ in site.rounds():
        part = site.chance.choice(list(worker.parts()))
        site.hits.begin()
        site.kill(worker, part)
        site.injected(part)
        if part in {"whole", "supervisor"}:
            site.kill(worker)
            site.workers.remove(worker)
            worker = site.worker()
        if site.chance.random() > EARLY:
            _busy(site, worker)
        site.pause(site.chance.uniform(0.05, LONGEST))
    tables = site.drain()
    if not again(site.history.read()):
        site.wrong("no job ran where something was killed, so this says nothing")
    return tables


def _busy(site: Site, worker: Worker) -> None:
    """Wait until a worker has jobs that may last until its death, of either kind."""
    site.working(worker)
    site.enqueue(partial(site.tasks.nap.using(priority=FIRST).enqueue, LONGEST))
    doze = site.enqueue(partial(site.tasks.doze.using(priority=FIRST).enqueue, LONGEST))
    within(lambda: bool(running(site.history.read(), {doze})), DRAIN, LOOK)


def d12(site: Site) -> Tables:
    """Kill all who write to a file of SQLite, in the middle of their commits; it must be sound each time."""
    site.lease = SHORT
    for _ in site.rounds():
        load, worker = site.load(BUSY, 0.0), site.worker()
        site.working(worker)
        site.pause(site.chance.uniform(0.05, LONGEST))
        site.killed(load)
        site.kill(worker)
        site.injected()
        _sound(site)
        site.workers.remove(worker)
    return site.drain()


def _sound(site: Site) -> None:
    with contextlib.closing(sqlite3.connect(site.file, timeout=30)) as file:
        for check, good in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
            if (told := file.execute(f"PRAGMA {check}").fetchall()) != good:
                site.wrong(f"the file is not sound: {check} says {told[:3]}")
