"""The scenarios, by the names that the fault list gives them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from conveyor.cli.chaos import namespace, tree
from conveyor.cli.chaos.keys import on_redis
from conveyor.cli.chaos.scenarios.clocks import c02
from conveyor.cli.chaos.scenarios.code import p05, p06, p08
from conveyor.cli.chaos.scenarios.deaths import d12, p01
from conveyor.cli.chaos.scenarios.deploys import p03, u01, u03
from conveyor.cli.chaos.scenarios.freezes import c05, p04
from conveyor.cli.chaos.scenarios.giants import r08
from conveyor.cli.chaos.scenarios.networks import n01, n04
from conveyor.cli.chaos.scenarios.outages import c06
from conveyor.cli.chaos.scenarios.outboxes import d19
from conveyor.cli.chaos.scenarios.pressure import r04, x02
from conveyor.cli.chaos.scenarios.scarce import cannot_mount, r02, r03
from conveyor.cli.chaos.scenarios.soaks import r01
from conveyor.cli.chaos.scenarios.stores import d02, d05, d11
from conveyor.cli.chaos.scenarios.ticks import c04
from conveyor.cli.chaos.server import cannot_serve
from conveyor.cli.chaos.site import Site
from conveyor.cli.chaos.tables import Tables, sqlite

POSTGRES: Final = ("PostgreSQL",)
SQLITE: Final = ("SQLite",)
SQL: Final = ("PostgreSQL", "SQLite")
SERVERS: Final = ("PostgreSQL", "Redis")


@dataclass(frozen=True)
class Scenario:
    """One of them. *act* does it, and gives what the database holds at the end."""

    name: str
    summary: str
    act: Callable[[Site], Tables]
    stores: Collection[str] = ()
    """The kinds of store that it is about, unless it is all."""
    missing: Callable[[], str] = str
    """Says what it would take besides; nothing when all is there."""
    proxied: bool = False
    """Whether something must stand between the workers and the server."""
    sampled: bool = False
    """Whether it samples what can be drawn."""

    def why_not(self, url: str) -> str:
        """Why it cannot be run on the store at *url*; empty when it can."""
        kind = "SQLite" if sqlite(url) else "Redis" if on_redis(url) else "PostgreSQL"
        if self.stores and kind not in self.stores:
            return f"it is about {' and '.join(self.stores)}"
        if self.proxied and not _one_server(url):
            return "it takes a URL with one server's host and port, for a proxy to stand between"
        if not tree.supported():
            return "this system has no /proc to find processes in"
        return self.missing()


def _one_server(url: str) -> bool:
    """Whether it says where the only server is: others of a Cluster would be reached past a proxy."""
    parts = urlsplit(url)
    if "+" in parts.scheme or "," in parts.netloc:
        return False
    return bool(parts.hostname and parts.port)


ALL: Final = (
    Scenario("P01", "kill -9 of the worker, whole and in parts", p01),
    Scenario("P03", "rolling deploy, jobs outlast the grace", p03),
    Scenario("P04", "worker frozen for three leases, then thawed", p04),
    Scenario("P05", "jobs that kill their workers", p05),
    Scenario("P06", "event loop blocked for four leases", p06),
    Scenario("P08", "tasks that raise SystemExit, CancelledError ...", p08),
    Scenario("D02", "every backend terminated each second", d02, POSTGRES),
    Scenario("D05", "answers to COMMITs, and to calls, lost", d05, SERVERS, proxied=True),
    Scenario("D11", "SQLite's write lock held over three workers", d11, SQLITE),
    Scenario("D12", "SQLite's writers killed in mid-commit", d12, SQLITE),
    Scenario("D19", "an outbox's workers killed, and Redis, in the middle of it", d19, SQL, missing=cannot_serve),
    Scenario("N01", "half-open connections: silence, and nobody is told", n01, SERVERS, proxied=True),
    Scenario("N04", "a worker cut off for three leases", n04, SERVERS, missing=namespace.impossible, proxied=True),
    Scenario("C02", "wrong clocks, of a worker and of who enqueues", c02, SERVERS),
    Scenario("C04", "watchers of schedules killed and frozen at the tick", c04),
    Scenario("C05", "workers suspended for many leases, all at once", c05),
    Scenario("C06", "no worker over several ticks of schedules", c06),
    Scenario("R01", "soak: jobs of all kinds, and nothing grows", r01, sampled=True),
    Scenario("R02", "full disk under a worker's log and temporary files", r02, missing=cannot_mount),
    Scenario("R03", "few file descriptors, and none", r03),
    Scenario("R04", "processor taken by busy loops", r04),
    Scenario("R08", "results, errors and output of up to 1 GB", r08),
    Scenario("X02", "cancel races with the end of a job", x02),
    Scenario("U01", "jobs that an old worker does not know", u01),
    Scenario("U03", "jobs with arguments of other code", u03),
)
"""Those of the fault list that are about workers; the tests of Conveyor itself go through more of it."""
