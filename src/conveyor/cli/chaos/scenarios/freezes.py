"""Processes that stand still, are taken for dead, and go on."""

from functools import partial

from conveyor.cli.chaos.site import SHORT, Site
from conveyor.cli.chaos.tables import Tables, sqlite

TIMES = 3
"""The lease is over so often."""
LONG = 2.5
"""Leases that some jobs take: they would end as soon as they are thawed, while another runs them."""
EACH = 3
FIRST = 100


def p04(site: Site) -> Tables:
    """Stop a worker for three leases, and let it go on; each part of it alone, where it is a tree.

    The other one runs its jobs meanwhile. What the one that was stopped has to say of them must be refused.
    """
    site.lease = SHORT
    site.load()
    for worker in (site.worker(), site.worker()):
        site.working(worker)
    for _ in site.rounds():
        _occupy(site)
        worker = site.chance.choice(site.alive())
        part = site.chance.choice(["whole", *worker.parts()])  # that is what leaves a zombie, most of all
        frozen = site.freeze(worker, part)
        site.injected(part)
        site.pause(TIMES * site.lease)
        site.thaw(frozen)
        site.pause(site.lease)
    return site.drain()


def _occupy(site: Site) -> None:
    """Give the workers jobs that outlive their leases; transactional ones too, where those leave others room.

    They come first: so that another worker runs some of them at the moment when the first one goes on with them.
    """
    tasks = [site.tasks.nap, site.tasks.doze]
    tasks += [] if sqlite(site.url) else [site.tasks.pay, site.tasks.apay]
    long = LONG * site.lease
    jobs = {site.enqueue(partial(task.using(priority=FIRST).enqueue, long)) for task in tasks for _ in range(EACH)}
    site.started(jobs)
