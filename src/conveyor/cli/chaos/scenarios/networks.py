"""The network takes part: a worker is cut off from a server that is there for all others."""

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from conveyor.cli.chaos.forwarder import Forwarder
from conveyor.cli.chaos.history import running, runs_of
from conveyor.cli.chaos.keys import on_redis
from conveyor.cli.chaos.namespace import Namespace, NotRun, namespace
from conveyor.cli.chaos.processes import SETTLING, Worker, within
from conveyor.cli.chaos.site import Site
from conveyor.cli.chaos.tables import Tables

SHORTER = 5.0
TIMES = 3
"""The lease is over so often while a worker is cut off."""
LONG = 1.5
"""Leases that the jobs take which a worker has when it is cut off."""
LOOK = 0.05
SLOWLY = 0.2
"""Seconds between looks at all that was written down."""
FIRST = 100
BRIEF = 0.1
"""Seconds of the longest jobs besides: those who are left have the work of all to do."""
SAFE = 2 / 3
"""After this share of its lease a worker that could not renew it begins to stop its jobs. Nobody starts them before
the whole of it is over; the rest is for machines that are slow."""
ENDING = 15.0
"""The grace of a worker that is told to end while nobody answers: longer than its lease, as usual, and not exceeded."""
NOTICED = {
    "the lease": "the lease cannot be renewed: {silence}",
    "a claim": "claim: {silence}",
    "outcomes": "outcomes cannot be written: {silence}",
    "listening": "the listening connection is lost",
}
"""What a worker says when it gives up a connection that nobody answers on."""
NO_ANSWER = "PostgreSQL: no answer"
LOST = "Redis"
"""Of which there is no other trouble here."""


class Way(NamedTuple):
    """A way of cutting workers off."""

    name: str
    cut: Callable[[], None]
    mend: Callable[[], None]


class Cut:
    """What becomes of one worker that is cut off, and of another one that is told to end meanwhile, if any."""

    def __init__(self, site: Site, way: Way, worker: Worker, told: Worker | None = None) -> None:
        """Cuts nothing off yet. Who is *told* to end has a grace of ``ENDING``."""
        self.way, self.worker, self.told = way, worker, told
        self._site = site
        self._noticed: dict[str, float] = {}
        self._pids: set[int] = set()
        silence = LOST if on_redis(site.url) else NO_ANSWER
        self._signs = {what: text.format(silence=silence) for what, text in NOTICED.items()}

    def begin(self) -> None:
        """Cut it off."""
        self._pids = set(self.worker.members)
        self._heard = len(self.worker.said)
        self._since = time.monotonic()
        self.way.cut()
        self._site.injected(self.way.name)
        if self.told is not None:
            self._site.workers.remove(self.told)
            self.told.terminate()

    def look(self) -> bool:
        """See what it says; whether the one that is to end has ended."""
        said, now = self.worker.said[self._heard :], time.monotonic() - self._since
        for what, text in self._signs.items():
            if text in said:
                self._noticed.setdefault(what, now)
        if self.told is not None and not self.told.lives:
            self._note(f"SIGTERM to exit {now:.1f} s, with a grace of {ENDING:.0f} s")
            if status := self.told.ends():
                self._wrong(f"a worker that was told to end has ended with {status}")
            self._site.kill(self.told)
            self.told = None
        return self.told is None

    def judge(self) -> None:
        """What it has done, before it is mended."""
        pids = self._pids | self.worker.members.keys()
        ends = [run.end for run in runs_of(self._site.history.read()) if run.pid in pids and run.end > self._since]
        stopped = max(ends, default=self._since) - self._since
        self._note(
            f"{len(ends)} jobs stopped, the last after {stopped:.1f} s, {stopped / self._site.lease:.0%} of a lease"
        )
        if self._noticed:
            self._note("noticed by " + ", ".join(f"{what} after {at:.1f} s" for what, at in self._noticed.items()))
        else:
            self._wrong("the worker has not noticed that nobody answers")
        if not self.worker.lives:
            self._wrong("the worker has ended")
        if not ends:
            self._wrong("the worker had no job that it could have lost, so this says nothing")
        if stopped > self._site.lease:
            self._wrong(f"I4: a worker that could not renew its lease went on for {stopped:.1f} s")
        if self.told is not None:
            self._wrong(f"a worker did not end within the {ENDING:.0f} s of its grace")

    def mend(self) -> None:
        """It must go on by itself, once it can."""
        begun = time.monotonic()
        self.way.mend()

        def works() -> bool:
            pids = self.worker.members
            return any(r.kind == "started" and r.at > begun and r.pid in pids for r in self._site.history.read())

        if within(works, SETTLING, SLOWLY):
            self._note(f"works again {time.monotonic() - begun:.1f} s after the end of it")
        else:
            self._wrong(f"the worker did not work again within {SETTLING:.0f} s")

    def _note(self, text: str) -> None:
        self._site.note(f"{self.way.name}: {text}")

    def _wrong(self, text: str) -> None:
        self._site.wrong(f"{self.way.name}: {text}")


def n01(site: Site) -> Tables:
    """Let connections fall silent, with nobody told: they are given up, the jobs with them, and SIGTERM is heeded.

    By a proxy that keeps them and passes nothing on, and by lost packets too, where that is allowed.
    """
    site.lease = SHORTER
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(Forwarder(site.url))
        site.load(slow=BRIEF)
        site.working(site.worker())
        ways = {Way("silent proxy", proxy.mute, proxy.heal): _at_work(site, through=proxy.url)}
        try:
            space, through = _network(site, stack)
        except NotRun as error:
            site.note(f"not tried: lost packets ({error})")
        else:
            packets = Way("lost packets", space.mute, space.heal)
            ways[packets] = _at_work(site, through=through, before=space.command)
        for _ in site.rounds():
            told = _at_work(site, proxy.url, options=("--grace", f"{ENDING:g}"))
            cuts = [
                Cut(site, way, worker, None if number else told) for number, (way, worker) in enumerate(ways.items())
            ]
            _cut_off(site, cuts)
        return site.drain()


def n04(site: Site) -> Tables:
    """Cut one worker off for three leases: its jobs run elsewhere, once it has stopped them; then it works again."""
    site.lease = SHORTER
    with contextlib.ExitStack() as stack:
        space, through = _network(site, stack)
        site.load(slow=BRIEF)
        worker = _at_work(site, through, space.command)
        site.working(site.worker())
        for _ in site.rounds():
            _cut_off(site, [Cut(site, Way("partition", space.down, space.up), worker)])
        return site.drain()


def _network(site: Site, stack: contextlib.ExitStack) -> tuple[Namespace, str]:
    """A namespace, and the address of the store from there. Raises ``NotRun``."""
    space = stack.enter_context(namespace(site.folder))
    forwarder = stack.enter_context(Forwarder(site.url, space.host))
    space.reaches(forwarder.port)
    return space, forwarder.url


def _at_work(site: Site, through: str, before: Sequence[str] = (), options: Sequence[str] = ()) -> Worker:
    worker = site.worker(*options, before=before, CONVEYOR_URL=through)
    site.working(worker)
    return worker


def _cut_off(site: Site, cuts: Sequence[Cut]) -> None:
    """Cut off all of *cuts* for three leases, and see what they do."""
    _occupy(site, [one.worker for one in cuts])
    begun = time.monotonic()
    for one in cuts:
        one.begin()
    long = TIMES * site.lease
    while (passed := time.monotonic() - begun) < max(long, ENDING) + LOOK:
        over = [one.look() for one in cuts]
        if passed > long and all(over):
            break
        site.pause(LOOK)
    for one in cuts:
        one.judge()
    for one in cuts:
        one.mend()


def _occupy(site: Site, workers: Sequence[Worker]) -> None:
    """Give all workers jobs that outlive their leases: each of *workers* is to have some."""
    tasks = [site.tasks.nap, site.tasks.doze] + ([site.tasks.apay] if site.tasks.transactions else [])

    def busy() -> bool:
        there = running(site.history.read(), jobs)
        return all(there & worker.members.keys() for worker in workers)

    for _ in range(10):
        calls = [partial(task.using(priority=FIRST).enqueue, LONG * site.lease) for task in tasks]
        jobs = {site.enqueue(call) for call in calls for _ in range(1 + len(site.workers))}
        site.started(jobs)
        if within(busy, 1.0, SLOWLY):
            return
