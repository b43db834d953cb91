"""Jobs on their way from a transaction in SQL to a store on Redis, and whoever carries them dies."""

from collections.abc import Collection
from typing import Final

from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.processes import SETTLING, until
from conveyor.cli.chaos.server import Server
from conveyor.cli.chaos.site import Site
from conveyor.cli.chaos.tables import Tables, asking, read_effects

SHORTER: Final = 5.0
MANY: Final = 100
"""Slots of each worker: what is forwarded is to be run soon."""
BUYERS: Final = 2
RATE: Final = 3.0
"""Transactions of each in a second."""
BRIEF: Final = 0.05
"""Seconds of the longest jobs."""
SOON: Final = 0.1
"""Seconds at most from when a batch was begun to the fault."""
FAULTS: Final = (("workers",), ("Redis",), ("Redis", "workers"))
"""What dies, in turns."""
NUMBER: Final = "SELECT coalesce(max(number), 0) FROM conveyor_relay"
FREE: Final = "UPDATE conveyor_relay SET owned_until = 0"
"""As if the ten seconds had passed after which somebody else goes on for a worker that has died."""


def d19(site: Site) -> Tables:
    """Kill who forwards from the outbox, and Redis, while they do: what was committed runs, and nothing else does."""
    redis = site.kept.enter_context(Server(site.folder, site.environment()))
    site.forward(redis.url)
    site.lease, site.slots = SHORTER, MANY
    for _ in range(BUYERS):
        site.load(RATE, BRIEF, "--within")
    for number in site.rounds():
        victims = FAULTS[number % len(FAULTS)]
        _forwarding(site)
        site.hits.begin()
        if "Redis" in victims:
            redis.kill()
        if "workers" in victims:
            for worker in list(site.workers):
                site.kill(worker)
                site.workers.remove(worker)
        site.injected(" and ".join(victims))
        if "Redis" in victims:
            redis.start()
        if any(not worker.lives for worker in site.workers):
            site.wrong("a worker has ended because Redis was killed")
            site.alive()
    tables = site.drain()
    _compare(site, tables)
    return tables


def _forwarding(site: Site) -> None:
    """Have two workers, one of which forwards just now."""
    if not site.workers:
        _asked(site, FREE)
        for worker in (site.worker(), site.worker()):
            site.working(worker)
    last = _asked(site, NUMBER)
    until(lambda: _asked(site, NUMBER) > last, SETTLING, lambda: "no worker forwards anything")
    site.pause(site.chance.uniform(0.0, SOON))


def _asked(site: Site, text: str) -> int:
    with asking(site.outbox or "") as connection:
        return int(str(next(iter([*connection.execute(text), (0,)]))[0]))


def _compare(site: Site, tables: Tables) -> None:
    """The rows that transactions wrote besides their jobs say what was committed: each job is there, and no other."""
    committed = read_effects(site.outbox or "").keys()
    stored = {row.job for row in (*tables.hot, *tables.past)}
    records = site.history.read()
    back = {record.job for record in records if record.kind == "refused"}
    run = {record.job for record in records if record.kind == "started"}
    _wrong(site, committed - stored, "committed, and not in the store")
    _wrong(site, stored - committed, "in the store, whose transaction was not committed")
    _wrong(site, run - committed, "started, whose transaction was not committed")
    site.note(f"{many(len(back))} of transactions that were rolled back")


def _wrong(site: Site, jobs: Collection[str], what: str) -> None:
    if jobs:
        site.wrong(f"I1: {many(len(jobs))} {what}: {min(jobs)}")
